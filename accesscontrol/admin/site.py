"""Sites, each with its threshold under the active model."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.dates import WEEKDAYS
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelect2Widget

from accesscontrol import model_versions, pad, sites, thresholds
from accesscontrol.admin.base import DomainAdmin, acting_user
from accesscontrol.admin.dashboard import enrolled_people
from accesscontrol.admin.threshold_views import threshold_page
from accesscontrol.models import Site, Threshold
from accesscontrol.models.site import EVERY_DAY

HOURS_MEANING = _(
    "When people may enter, on the site's clock. Outside these hours whoever is recognised is told "
    "that they may not enter; whoever is inside can punch out at any time."
)

if TYPE_CHECKING:
    ModelFormOfSite = forms.ModelForm[Site]
else:
    ModelFormOfSite = forms.ModelForm


class SiteForm(ModelFormOfSite):
    """A site but for its threshold, which has a page of its own."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        widget=UnfoldAdminSelect2Widget,
        help_text=_("Punches are stored in UTC and shown in this zone."),
    )
    open_days = forms.MultipleChoiceField(
        label=_("Days"),
        required=False,
        choices=[(str(day), name) for day, name in enumerate(WEEKDAYS.values(), 1)],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("On which people may enter. None ticked: on every day."),
    )

    class Meta:
        model = Site
        fields = (
            "name",
            "slug",
            "time_zone",
            "is_active",
            "cool_down_s",
            "longest_shift_h",
            "pad_policy",
            "open_days",
            "opens_at",
            "closes_at",
        )

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        zones = sorted(zoneinfo.available_timezones() | {self.instance.time_zone})
        field = self.fields.get("time_zone")
        if isinstance(field, forms.ChoiceField):
            field.choices = [(zone, zone.replace("_", " ")) for zone in zones]
        if not self.instance.pk:
            self.initial.setdefault("pad_policy", pad.default_policy())
        self.initial["open_days"] = list(self.instance.open_days)

    def clean_open_days(self) -> str:
        return "".join(sorted(self.cleaned_data["open_days"])) or EVERY_DAY


def threshold_in_force(site: Site) -> Threshold | None:
    version = model_versions.active()
    return thresholds.in_force(site.pk, version.pk) if version and site.pk else None


@admin.register(Site)
class SiteAdmin(DomainAdmin[Site]):
    form = SiteForm
    list_display = ("name", "slug", "time_zone", "threshold_now", "people", "is_active")
    list_filter = (("is_active", BooleanRadioFilter),)
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}

    @admin.display(description=_("threshold"))
    def threshold_now(self, site: Site) -> str:
        row = threshold_in_force(site)
        return f"{row.value:g}" if row else str(_("none: nobody is accepted"))

    @admin.display(description=_("enrolled people"))
    def people(self, site: Site) -> int:
        return enrolled_people(site)

    def has_delete_permission(self, request: HttpRequest, obj: Site | None = None) -> bool:
        return False  # its punches stay; a site that closes is made inactive

    def get_prepopulated_fields(self, request: HttpRequest, obj: Site | None = None) -> Any:
        return {} if obj else super().get_prepopulated_fields(request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: Site | None = None) -> Any:
        fieldsets: list[tuple[Any, dict[str, Any]]] = [
            (None, {"fields": (("name", "slug"), ("time_zone", "is_active"))}),
            (_("Attendance"), {"fields": (("cool_down_s", "longest_shift_h"),)}),
            (
                _("Hours"),
                {
                    "fields": ("open_days", ("opens_at", "closes_at")),
                    "description": HOURS_MEANING,
                },
            ),
            (_("Photos held before the camera"), {"fields": ("pad_policy",), **pad_state()}),
        ]
        if obj:
            description = format_html('<p class="gh-meaning">{}</p>', meaning(obj))
            fieldsets.append((_("Recognition"), {"fields": (), "description": description}))
        return fieldsets

    def save_model(self, request: HttpRequest, obj: Site, form: Any, change: bool) -> None:
        sites.save_site(obj, acting_user(request))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(threshold_page)
        name = "accesscontrol_site_threshold"
        return [path("<int:pk>/threshold/", page, name=name), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        history = Threshold.objects.filter(site_id=object_id) if object_id.isdigit() else ()
        if history:
            history = history.select_related("model_version", "set_by")[:50]
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "threshold_history": history}
        )


def pad_state() -> dict[str, str]:
    """A fieldset's description where presentation attack detection has no model to rely on."""
    if pad.is_installed():
        return {}
    text = _(
        "The model that tells faces from pictures of faces is not installed on this machine. "
        "Install it where the workers run, before you switch detection on: {}"
    )
    return {
        "description": format_html('<p class="gh-meaning">{}</p>', str(text).format(pad.INSTALL))
    }


def meaning(site: Site) -> str:
    """What the site's threshold means, or why there is none, for a reader without a degree."""
    version = model_versions.active()
    if version is None:
        return str(_("No face model has been registered yet: the first worker that starts does."))
    row = threshold_in_force(site)
    if row is None and not version.calibration:
        text = _(
            "{} has no calibration, so there is no threshold: nobody is accepted here. Calibrate "
            "it where the workers run, then restart them: {}"
        )
        return str(text).format(version, model_versions.calibrate_command(version))
    if row is None:
        return str(_("No threshold is set for the model in use: nobody is accepted here."))
    return thresholds.meaning(version, row.value, enrolled_people(site))
