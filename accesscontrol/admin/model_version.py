"""Face models: registered by the workers."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accesscontrol.admin.base import ReadOnlyAdmin, clock_cell
from accesscontrol.models import ModelVersion


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin[ModelVersion]):
    list_display = ("__str__", "is_active", "dimension", "licence", "time")
    fields = (
        ("name", "version"),
        ("is_active", "time"),
        ("dimension", "licence"),
        "sha256",
        "measured",
    )
    readonly_fields = ("time", "measured")

    @admin.display(description=_("registered at"), ordering="registered_at")
    def time(self, row: ModelVersion) -> str:
        return clock_cell("UTC", row.registered_at)

    @admin.display(description=_("calibration"))
    def measured(self, row: ModelVersion) -> str:
        text = json.dumps(row.calibration, indent=2, ensure_ascii=False)
        return format_html('<pre class="gh-json">{}</pre>', text)
