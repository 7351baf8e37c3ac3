"""The audit log: who did what."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, RangeDateTimeFilter

from accesscontrol.admin.base import ReadOnlyAdmin, clock_cell
from accesscontrol.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin[AuditEntry]):
    list_display = ("time", "actor", "action", "subject", "detail_line")
    list_filter = (("action", AllValuesCheckboxFilter), ("at", RangeDateTimeFilter))
    list_filter_submit = True
    search_fields = ("actor", "subject")
    fields = ("time", "actor", "action", "subject", "detail_text", "previous_hash", "hash")
    readonly_fields = ("time", "detail_text")

    @admin.display(description=_("time"), ordering="id")
    def time(self, row: AuditEntry) -> str:
        return clock_cell("UTC", row.at)

    @admin.display(description=_("detail"))
    def detail_line(self, row: AuditEntry) -> str:
        text = ", ".join(f"{key}: {value}" for key, value in row.detail.items())
        return format_html('<span class="gh-quiet gh-clip" title="{}">{}</span>', text, text)

    @admin.display(description=_("detail"))
    def detail_text(self, row: AuditEntry) -> str:
        text = json.dumps(row.detail, indent=2, ensure_ascii=False)
        return format_html('<pre class="gh-json">{}</pre>', text)
