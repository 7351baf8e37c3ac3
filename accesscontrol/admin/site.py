"""Sites, each with its threshold under the active model."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminTextInputWidget,
)

from accesscontrol import model_versions, pad, sites, thresholds
from accesscontrol.admin.base import DomainAdmin, acting_user
from accesscontrol.admin.dashboard import enrolled_people
from accesscontrol.models import Site, Threshold

THRESHOLD_FIELDS = ("threshold", "margin", "reason")


if TYPE_CHECKING:
    ModelFormOfSite = forms.ModelForm[Site]
else:
    ModelFormOfSite = forms.ModelForm


class SiteForm(ModelFormOfSite):
    """A site and, beside it, a new threshold if a value was changed."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        widget=UnfoldAdminSelect2Widget,
        help_text=_("Punches are stored in UTC and shown in this zone."),
    )
    threshold = forms.FloatField(
        label=_("Threshold"),
        required=False,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "0.001"}),
        help_text=_("How alike two faces must be, between 0 and 1. Higher is stricter."),
    )
    margin = forms.FloatField(
        label=_("Margin"),
        required=False,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "0.001"}),
        help_text=_("How far the best person must lie above the second best."),
    )
    reason = forms.CharField(
        label=_("Reason for the change"),
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Needed when threshold or margin change; kept in the history."),
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
        )

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        zones = sorted(zoneinfo.available_timezones() | {self.instance.time_zone})
        field = self.fields.get("time_zone")
        if isinstance(field, forms.ChoiceField):
            field.choices = [(zone, zone.replace("_", " ")) for zone in zones]
        if not self.instance.pk:
            self.initial.setdefault("pad_policy", pad.default_policy())
        self.in_force = threshold_in_force(self.instance)
        if self.in_force:
            self.initial["threshold"] = self.in_force.value
            self.initial["margin"] = self.in_force.margin

    @property
    def changes_threshold(self) -> bool:
        return bool({"threshold", "margin"} & set(self.changed_data))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.changes_threshold or self.errors:
            return cleaned
        if cleaned.get("threshold") is None or cleaned.get("margin") is None:
            self.add_error("threshold", _("Give both a threshold and a margin."))
            return cleaned
        try:
            thresholds.check(cleaned["threshold"], cleaned["margin"])
        except thresholds.ThresholdError as error:
            self.add_error("threshold", str(error))
        if not cleaned.get("reason", "").strip():
            self.add_error("reason", _("Say why the threshold or margin is changed."))
        return cleaned


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

    def get_form(
        self, request: HttpRequest, obj: Site | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Site]]:
        form = super().get_form(request, obj, change, **kwargs)
        if not self._may_set_threshold(request, obj):
            for name in THRESHOLD_FIELDS:
                form.base_fields.pop(name, None)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Site | None = None) -> Any:
        fieldsets: list[tuple[Any, dict[str, Any]]] = [
            (None, {"fields": (("name", "slug"), ("time_zone", "is_active"))}),
            (_("Attendance"), {"fields": (("cool_down_s", "longest_shift_h"),)}),
            (_("Photos held before the camera"), {"fields": ("pad_policy",), **pad_state()}),
        ]
        if obj:
            fields = THRESHOLD_FIELDS if self._may_set_threshold(request, obj) else ()
            rows = ((*fields[:2],), fields[2]) if fields else ()
            description = format_html('<p class="gh-meaning">{}</p>', meaning(obj))
            fieldsets.append((_("Recognition"), {"fields": rows, "description": description}))
        return fieldsets

    def save_model(self, request: HttpRequest, obj: Site, form: Any, change: bool) -> None:
        user = acting_user(request)
        sites.save_site(obj, user)
        version = model_versions.active()
        if version and form.changes_threshold and self._may_set_threshold(request, obj):
            thresholds.set_threshold(
                obj,
                version,
                value=form.cleaned_data["threshold"],
                margin=form.cleaned_data["margin"],
                reason=form.cleaned_data["reason"].strip(),
                by=user,
            )

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

    def _may_set_threshold(self, request: HttpRequest, site: Site | None) -> bool:
        return (
            site is not None
            and model_versions.active() is not None
            and self.has_change_permission(request, site)
            and acting_user(request).has_perm("accesscontrol.add_threshold")
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
