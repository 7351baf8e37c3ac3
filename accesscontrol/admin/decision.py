"""Decisions: why somebody was, or was not, recognised."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from accesscontrol.admin.base import ReadOnlyAdmin, clock_cell, label, on_the_clock_of
from accesscontrol.admin.filters import SiteDayFilter
from accesscontrol.admin.why import why
from accesscontrol.models import Decision, Outcome

OUTCOME_COLOURS: dict[str, str] = {
    Outcome.ACCEPTED: "success",
    Outcome.NO_MATCH: "warning",
    Outcome.AMBIGUOUS: "warning",
    Outcome.LOW_QUALITY: "info",
    Outcome.TOO_FAR: "info",
    Outcome.AT_OTHER_KIOSK: "info",
    Outcome.EXPIRED: "info",
    Outcome.EMPTY_GALLERY: "info",
    Outcome.NOT_CALIBRATED: "danger",
    Outcome.PAD_FAILED: "danger",
    Outcome.NOT_ALLOWED: "danger",
    Outcome.ERROR: "danger",
}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin[Decision]):
    list_display = ("time", "kiosk_name", "result", "person", "likeness", "asked", "frames")
    list_filter = (
        ("site", RelatedDropdownFilter),
        ("outcome", ChoicesDropdownFilter),
        ("decided_at", SiteDayFilter),
    )
    list_filter_submit = True
    list_select_related = ("site", "kiosk", "kiosk__site", "employee", "nearest")
    list_per_page = 50
    search_fields = ("employee__name", "employee__number", "nearest__name")
    fieldsets = (
        (None, {"fields": ("answer",)}),
        (
            _("Decision"),
            {"fields": (("time", "outcome"), ("site", "kiosk"), ("employee", "nearest"))},
        ),
        (
            _("Evidence"),
            {
                "fields": (
                    ("likeness", "asked"),
                    ("second", "margin_asked"),
                    ("frames", "model_version"),
                    ("first_captured", "last_captured"),
                    ("received", "presentation"),
                    "details",
                )
            },
        ),
    )
    readonly_fields = (
        "answer",
        "time",
        "likeness",
        "second",
        "asked",
        "margin_asked",
        "first_captured",
        "last_captured",
        "received",
        "details",
    )

    @admin.display(description=_("why?"))
    def answer(self, row: Decision) -> str:
        return format_html('<p class="gh-answer">{}</p>', why(row))

    @admin.display(description=_("time"), ordering="id")
    def time(self, row: Decision) -> str:
        return clock_cell(row.site.time_zone, row.decided_at)

    @admin.display(description=_("kiosk"), ordering="kiosk")
    def kiosk_name(self, row: Decision) -> str:
        return format_html(
            '{} <span class="gh-quiet gh-line">{}</span>', row.kiosk.name, row.kiosk.site
        )

    @label(OUTCOME_COLOURS, description=_("outcome"), ordering="outcome")
    def result(self, row: Decision) -> tuple[str, object]:
        return row.outcome, row.get_outcome_display()

    @admin.display(description=_("employee or nearest"))
    def person(self, row: Decision) -> str:
        if row.employee:
            return format_html("<strong>{}</strong>", row.employee)
        if row.nearest:
            return format_html('<span class="gh-quiet">{} {}</span>', _("nearest:"), row.nearest)
        return "–"  # noqa: RUF001

    @admin.display(description=_("likeness"), ordering="score")
    def likeness(self, row: Decision) -> str:
        return _number(row.score)

    @admin.display(description=_("second person"))
    def second(self, row: Decision) -> str:
        return _number(row.second_score)

    @admin.display(description=_("threshold"), ordering="threshold")
    def asked(self, row: Decision) -> str:
        return _number(row.threshold)

    @admin.display(description=_("margin"))
    def margin_asked(self, row: Decision) -> str:
        return _number(row.margin)

    @admin.display(description=_("first frame taken (kiosk's clock)"))
    def first_captured(self, row: Decision) -> str:
        return on_the_clock_of(row.site.time_zone, row.first_captured_at)

    @admin.display(description=_("last frame taken (kiosk's clock)"))
    def last_captured(self, row: Decision) -> str:
        return on_the_clock_of(row.site.time_zone, row.captured_at)

    @admin.display(description=_("received (server's clock)"))
    def received(self, row: Decision) -> str:
        return on_the_clock_of(row.site.time_zone, row.received_at)

    @admin.display(description=_("more evidence"))
    def details(self, row: Decision) -> str:
        text = json.dumps(row.evidence, indent=2, ensure_ascii=False)
        return format_html('<pre class="gh-json">{}</pre>', text)
