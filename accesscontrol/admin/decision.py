"""Decisions: why somebody was, or was not, recognised."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from accesscontrol.admin import correction_views
from accesscontrol.admin.base import (
    ReadOnlyAdmin,
    acting_user,
    clock_cell,
    label,
    on_the_clock_of,
    visible_rows,
)
from accesscontrol.admin.challenge_words import asked, in_a_sentence
from accesscontrol.admin.filters import SiteDayFilter
from accesscontrol.admin.pose_plot import pose_plot
from accesscontrol.admin.trail_plot import plot
from accesscontrol.admin.why import why
from accesscontrol.explanation import explain
from accesscontrol.models import (
    Correction,
    Decision,
    Employee,
    Method,
    Outcome,
    ShadowDecision,
)

OUTCOME_COLOURS: dict[str, str] = {
    Outcome.ACCEPTED: "success",
    Outcome.NO_MATCH: "warning",
    Outcome.AMBIGUOUS: "warning",
    Outcome.LOW_QUALITY: "info",
    Outcome.TOO_FAR: "info",
    Outcome.AT_OTHER_KIOSK: "info",
    Outcome.SIGN_IN_FAILED: "warning",
    Outcome.EXPIRED: "info",
    Outcome.EMPTY_GALLERY: "info",
    Outcome.NOT_CALIBRATED: "danger",
    Outcome.PAD_FAILED: "danger",
    Outcome.CHALLENGE: "danger",
    Outcome.NOT_ALLOWED: "danger",
    Outcome.ERROR: "danger",
}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001


def _sees_people(request: HttpRequest) -> bool:
    return acting_user(request).has_perm("accesscontrol.view_employee")


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin[Decision]):
    list_display = (
        "time", "kiosk_name", "result", "method", "person", "likeness", "asked", "frames",
    )  # fmt: skip
    list_filter = (
        ("site", RelatedDropdownFilter),
        ("outcome", ChoicesDropdownFilter),
        ("method", ChoicesDropdownFilter),
        ("decided_at", SiteDayFilter),
    )
    list_filter_submit = True
    list_select_related = ("site", "kiosk", "kiosk__site", "employee", "nearest")
    list_per_page = 50
    search_fields = ("employee__name", "employee__number", "nearest__name")
    fieldsets = (
        (
            _("Decision"),
            {
                "fields": (
                    ("time", "outcome"),
                    ("method", "frames"),
                    ("site", "kiosk"),
                    ("steps_up", "presentation"),
                )
            },
        ),
        (
            _("As recorded"),
            {
                "fields": (
                    ("first_captured", "last_captured"),
                    ("received", "model_version"),
                    "details",
                ),
                "classes": ["collapse"],
            },
        ),
    )
    readonly_fields = ("time", "first_captured", "last_captured", "received", "details")

    def get_list_display(
        self, request: HttpRequest
    ) -> list[str | Callable[[Decision], str | bool]]:
        shown = super().get_list_display(request)
        return [column for column in shown if column != "person" or _sees_people(request)]

    def get_search_fields(self, request: HttpRequest) -> list[str] | tuple[str, ...]:
        return super().get_search_fields(request) if _sees_people(request) else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Decision]:
        corrections = Correction.objects.filter(decision=OuterRef("pk"))
        return super().get_queryset(request).annotate(is_corrected=Exists(corrections))

    def get_urls(self) -> list[URLPattern]:
        return [*correction_views.urls(self.admin_site), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = self._explained(request, object_id)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )

    def _explained(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """What the template shows above the recorded fields, as far as the user may see it."""
        row = self.get_object(request, object_id)
        if row is None or not self.has_view_permission(request, row):
            return {}
        shown = explain(row, visible_rows(request, Employee.objects.all()))
        held = shown.corrections[0] if shown.corrections else None
        accepted = shown.decision.employee
        recognised = held.name if held else (accepted.name if accepted else "")
        may = ("add_correction", "view_employee")
        return {
            "explanation": shown,
            "answer": why(shown.decision),
            "plot": plot(shown.frames, shown.lowest_quality, shown.pad_threshold),
            "challenge": in_a_sentence(row),
            "pose_plot": pose_plot(asked(row)),
            "may_correct": acting_user(request).has_perms([f"accesscontrol.{p}" for p in may]),
            "recognised": recognised,
            "by_face": row.method == Method.FACE,
            "step_ups": row.step_ups.order_by("pk"),
            "shadow": ShadowDecision.objects.filter(decision=row)
            .select_related("model_version")
            .first(),
        }

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
    def person(self, row: Any) -> str:
        shown = "–"  # noqa: RUF001
        if row.employee:
            shown = format_html("<strong>{}</strong>", row.employee)
        elif row.nearest:
            shown = format_html('<span class="gh-quiet">{} {}</span>', _("nearest:"), row.nearest)
        if row.is_corrected:
            return format_html('{} <span class="gh-line">{}</span>', shown, _("corrected by HR"))
        return shown

    @admin.display(description=_("likeness"), ordering="score")
    def likeness(self, row: Decision) -> str:
        return _number(row.score)

    @admin.display(description=_("threshold"), ordering="threshold")
    def asked(self, row: Decision) -> str:
        return _number(row.threshold)

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
        kept = {name: value for name, value in row.evidence.items() if name != "trail"}
        if shown := asked(row):
            kept["challenge"] = {name: value for name, value in shown.items() if name != "poses"}
        text = json.dumps(kept, indent=2, ensure_ascii=False)
        return format_html('<pre class="gh-json">{}</pre>', text)
