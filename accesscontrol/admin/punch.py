"""The attendance log."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    ChoicesDropdownFilter,
    RelatedDropdownFilter,
)

from accesscontrol.admin.base import ReadOnlyAdmin, clock_cell, label, on_the_clock_of
from accesscontrol.admin.export_view import export_attendance
from accesscontrol.admin.filters import SiteDayFilter
from accesscontrol.models import Direction, Punch

# How the list's filters are called in the export's address.
EXPORT_PARAMETERS = {
    "site__id__exact": "site",
    "employee__id__exact": "employee",
    "at_from": "from",
    "at_to": "to",
}


@admin.register(Punch)
class PunchAdmin(ReadOnlyAdmin[Punch]):
    list_display = ("time", "who", "number", "way", "standing", "site", "kiosk_name")
    list_filter = (
        ("site", RelatedDropdownFilter),
        ("employee", AutocompleteSelectFilter),
        ("at", SiteDayFilter),
        ("direction", ChoicesDropdownFilter),
    )
    list_filter_submit = True
    list_select_related = ("employee", "site", "kiosk", "cancelled_by")
    list_per_page = 100
    search_fields = ("employee__name", "employee__number")
    fields = (
        ("time", "direction"),
        ("employee", "number"),
        ("site", "kiosk"),
        ("time_zone", "utc"),
        ("decision", "presentation"),
        ("state", "correction_reason"),
    )
    readonly_fields = ("time", "number", "utc", "state", "correction_reason")

    @admin.display(description=_("time"), ordering="at")
    def time(self, punch: Punch) -> str:
        return clock_cell(punch.time_zone, punch.at)

    @admin.display(description=_("UTC"))
    def utc(self, punch: Punch) -> str:
        return clock_cell("UTC", punch.at)

    @admin.display(description=_("employee"), ordering="employee__name")
    def who(self, punch: Punch) -> str:
        return punch.employee.name

    @admin.display(description=_("number"), ordering="employee__number")
    def number(self, punch: Punch) -> str:
        return punch.employee.number

    @admin.display(description=_("kiosk"), ordering="kiosk__name")
    def kiosk_name(self, punch: Punch) -> str:
        return punch.kiosk.name

    @label(
        {Direction.IN: "success", Direction.OUT: "info"},
        description=_("direction"),
        ordering="direction",
    )
    def way(self, punch: Punch) -> tuple[str, object]:
        return punch.direction, punch.get_direction_display()

    @label(
        {"cancelled": "danger", "correction": "warning"},
        description=_("corrected"),
        ordering="correction",
    )
    def standing(self, punch: Punch) -> tuple[str, object]:
        if hasattr(punch, "cancelled_by"):
            return "cancelled", _("cancelled")
        return ("correction", _("by correction")) if punch.correction_id else ("", "")

    @admin.display(description=_("corrected"))
    def state(self, punch: Punch) -> str:
        return str(self.standing(punch)[1]) or "–"  # noqa: RUF001

    @admin.display(description=_("why"))
    def correction_reason(self, punch: Punch) -> str:
        """Of what cancelled it, else of what brought it."""
        row = getattr(punch, "cancelled_by", None) or punch.correction
        if row is None:
            return "–"  # noqa: RUF001
        who = row.made_by or _("the command line")
        return f"{row.reason} ({who}, {on_the_clock_of(punch.time_zone, row.made_at)})"

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(export_attendance)
        return [path("export/", export, name="accesscontrol_punch_export"), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        wanted = {
            name: request.GET[parameter]
            for parameter, name in EXPORT_PARAMETERS.items()
            if request.GET.get(parameter)
        }
        address = reverse("admin:accesscontrol_punch_export")
        export_url = f"{address}?{urlencode(wanted)}" if wanted else address
        return super().changelist_view(request, {**(extra_context or {}), "export_url": export_url})
