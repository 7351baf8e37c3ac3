"""Face models: registered by the workers."""

from __future__ import annotations

import json

from django.contrib import admin
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accesscontrol import model_versions
from accesscontrol.admin import change_views
from accesscontrol.admin.base import ReadOnlyAdmin, clock_cell
from accesscontrol.models import ModelVersion

_NOT_CALIBRATED = _(
    "None: no threshold can be taken from it, so nobody is accepted. Calibrate it where the "
    "workers run, then restart them:"
)


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

    def get_urls(self) -> list[URLPattern]:
        return [*change_views.urls(self.admin_site), *super().get_urls()]

    @admin.display(description=_("registered at"), ordering="registered_at")
    def time(self, row: ModelVersion) -> str:
        return clock_cell("UTC", row.registered_at)

    @admin.display(description=_("calibration"))
    def measured(self, row: ModelVersion) -> str:
        if not row.calibration:
            command = model_versions.calibrate_command(row)
            return format_html("{} <code>{}</code>", _NOT_CALIBRATED, command)
        text = json.dumps(row.calibration, indent=2, ensure_ascii=False)
        return format_html('<pre class="gh-json">{}</pre>', text)
