"""Kiosks: added, paired and revoked here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RelatedDropdownFilter

from accesscontrol import sites, throttling
from accesscontrol.admin import pairing_views
from accesscontrol.admin.base import DomainAdmin, acting_user, clock_cell, label
from accesscontrol.admin.credential_views import lift_kiosk_lock, may_lift
from accesscontrol.admin.dashboard import SILENT_AFTER
from accesscontrol.models import Kiosk, KioskStatus, PairingCode

STATE_COLOURS = {
    "not paired": "warning",
    "code waiting": "info",
    "connected": "success",
    "silent": "danger",
    "revoked": "default",
}
STATE_TEXTS = {
    "not paired": _("not paired"),
    "code waiting": _("code waiting"),
    "connected": _("paired"),
    "silent": _("paired, silent"),
    "revoked": _("revoked"),
}


ZONE_MEANING = _(
    "Only people whose face has its middle in this part of the picture stand before this kiosk. "
    "Others, such as those in the neighbouring lane, are neither compared nor shown. 0 is the left "
    "or upper edge of the picture as the camera takes it, seen from the device; the kiosk's screen "
    "shows it as in a mirror, with left and right changed."
)


def state_of(kiosk: Any) -> str:
    """One of STATE_TEXTS' keys; `kiosk` comes from KioskAdmin.get_queryset."""
    if kiosk.has_code and not kiosk.may_stream:
        return "code waiting"
    if kiosk.revoked_at:
        return "revoked"
    if not kiosk.public_key:
        return "not paired"
    status = status_of(kiosk)
    fresh = status and status.last_seen_at and timezone.now() - status.last_seen_at <= SILENT_AFTER
    return "connected" if fresh else "silent"


def status_of(kiosk: Kiosk) -> KioskStatus | None:
    try:
        return kiosk.status
    except KioskStatus.DoesNotExist:
        return None


@admin.register(Kiosk)
class KioskAdmin(DomainAdmin[Kiosk]):
    list_display = ("name", "site", "state", "last_seen", "direction")
    list_filter = (("site", RelatedDropdownFilter),)
    list_filter_submit = True
    list_select_related = ("site", "status")
    search_fields = ("name",)
    fieldsets = (
        (None, {"fields": (("site", "name"), "direction")}),
        (_("Near and far"), {"fields": (("smallest_face", "deciding_face"),)}),
        (
            _("Zone"),
            {
                "fields": (("zone_left", "zone_right"), ("zone_top", "zone_bottom")),
                "description": ZONE_MEANING,
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Kiosk]:
        codes = PairingCode.objects.filter(
            kiosk=OuterRef("pk"), redeemed_at__isnull=True, expires_at__gt=timezone.now()
        )
        return super().get_queryset(request).annotate(has_code=Exists(codes))

    @label(STATE_COLOURS, description=_("state"))
    def state(self, kiosk: Kiosk) -> tuple[str, object]:
        state = state_of(kiosk)
        return state, STATE_TEXTS[state]

    @admin.display(description=_("last seen"), ordering="status__last_seen_at")
    def last_seen(self, kiosk: Kiosk) -> str:
        status = status_of(kiosk)
        return clock_cell(kiosk.site.time_zone, status.last_seen_at if status else None)

    def get_readonly_fields(self, request: HttpRequest, obj: Kiosk | None = None) -> Any:
        return ("site",) if obj else ()  # its decisions and punches belong to that site

    def has_delete_permission(self, request: HttpRequest, obj: Kiosk | None = None) -> bool:
        return False  # punches point at it; a kiosk that is gone is revoked

    def save_model(self, request: HttpRequest, obj: Kiosk, form: Any, change: bool) -> None:
        sites.save_kiosk(obj, acting_user(request))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<uuid:pk>/pair/", view(pairing_views.new_code), name="accesscontrol_kiosk_pair"),
            path(
                "<uuid:pk>/revoke/", view(pairing_views.revoke), name="accesscontrol_kiosk_revoke"
            ),
            path("<uuid:pk>/lift/", view(lift_kiosk_lock), name="accesscontrol_kiosk_lift"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        kiosk: Any = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if kiosk:
            state = state_of(kiosk)
            context["kiosk_state"] = {
                "text": STATE_TEXTS[state],
                "colour": STATE_COLOURS[state],
                "last_seen": self.last_seen(kiosk),
                "address": getattr(status_of(kiosk), "connected_from", None),
                "paired_at": clock_cell(kiosk.site.time_zone, kiosk.paired_at),
                "revocable": bool(kiosk.public_key) and kiosk.revoked_at is None,
                "counts": pairing_views.frame_counts(kiosk.pk),
                "lockouts": throttling.lockouts([throttling.of_kiosk(kiosk.pk)]),
                "may_lift": may_lift(request),
            }
        return super().change_view(request, object_id, form_url, context)
