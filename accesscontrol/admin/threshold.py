"""Thresholds: the history of all sites. They are set on the site's page."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RelatedDropdownFilter

from accesscontrol.admin.base import ReadOnlyAdmin, clock_cell
from accesscontrol.models import Threshold


@admin.register(Threshold)
class ThresholdAdmin(ReadOnlyAdmin[Threshold]):
    list_display = ("site", "value", "margin", "rate", "model_version", "time", "who", "reason")
    list_filter = (("site", RelatedDropdownFilter), ("model_version", RelatedDropdownFilter))
    list_filter_submit = True
    list_select_related = ("site", "model_version", "set_by")

    @admin.display(description=_("set at"), ordering="id")
    def time(self, row: Threshold) -> str:
        return clock_cell("UTC", row.set_at)

    @admin.display(description=_("false match rate"), ordering="false_match_rate")
    def rate(self, row: Threshold) -> str:
        return f"1 : {round(1 / row.false_match_rate):,}" if row.false_match_rate else "–"  # noqa: RUF001

    @admin.display(description=_("set by"), ordering="set_by")
    def who(self, row: Threshold) -> str:
        return str(row.set_by or _("Gatehouse"))
