"""Pairing codes, revocation and frame counters on a kiosk's page."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

import redis
import segno
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accesscontrol import kiosks
from accesscontrol.admin.base import acting_user, require_permission
from accesscontrol.admin.confirmation import Confirmation
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Kiosk

KIOSK_PAGE = "/kiosk/"
COUNTER_TIMEOUT_S = 1


@never_cache
@require_http_methods(["GET", "POST"])
def new_code(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show a fresh pairing code. It is kept only as a digest, so this page is its only place."""
    require_permission(request, "view_kiosk", "change_kiosk")
    kiosk = get_object_or_404(Kiosk.objects.select_related("site"), pk=pk)
    if request.method == "GET":
        return Confirmation(
            title=_("New pairing code"),
            question=_("Make a pairing code for %(kiosk)s?") % {"kiosk": kiosk},
            consequences=(
                _("The code works once, for 15 minutes. An earlier code ends now."),
                _("A device that is paired stays so until the new code is used on another one."),
            ),
            button=_("Make code"),
            back=_page(pk),
            danger=False,
        ).response(request)
    code = kiosks.new_pairing_code(kiosk, by=acting_user(request))
    address = request.build_absolute_uri(KIOSK_PAGE)
    link = f"{address}?{urlencode({'code': code})}"
    expires = timezone.now() + kiosks.CODE_LIFETIME
    context = {
        **admin.site.each_context(request),
        "title": _("Pairing code"),
        "kiosk": kiosk,
        "code": code,
        "address": address,
        "link": link,
        # Made by the library from digits and letters only.
        "qr": mark_safe(segno.make(link, error="m").svg_inline(scale=6, border=4)),  # noqa: S308
        "minutes": int(kiosks.CODE_LIFETIME.total_seconds() // 60),
        "until": expires.astimezone(kiosk.site.zone),
        "only_here": request.get_host().split(":")[0] in {"localhost", "127.0.0.1", "[::1]"},
        "secure": request.is_secure(),
        "back": _page(pk),
    }
    return TemplateResponse(request, "admin/accesscontrol/kiosk/code.html", context)


@require_http_methods(["GET", "POST"])
def revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    require_permission(request, "view_kiosk", "change_kiosk")
    kiosk = get_object_or_404(Kiosk.objects.select_related("site"), pk=pk)
    if request.method == "GET":
        return Confirmation(
            title=_("Revoke kiosk"),
            question=_("Revoke %(kiosk)s?") % {"kiosk": kiosk},
            consequences=(
                _("The device is disconnected at once and cannot connect again."),
                _("Nobody is recognised there until the kiosk is paired anew."),
                _("Its decisions and punches stay."),
            ),
            button=_("Revoke kiosk"),
            back=_page(pk),
        ).response(request)
    kiosks.revoke_kiosk(kiosk, by=acting_user(request))
    messages.success(request, _("%(kiosk)s is revoked.") % {"kiosk": kiosk})
    return redirect(_page(pk))


def frame_counts(kiosk_id: UUID) -> dict[str, int] | None:
    """Frames of the last days by what became of them; None if Redis does not answer."""
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=COUNTER_TIMEOUT_S,
        socket_connect_timeout=COUNTER_TIMEOUT_S,
    )
    try:
        with client:
            counts = FrameOutlet(client).counts(kiosk_id)
    except redis.RedisError:
        return None
    names = ("received", "processed", "replaced", "expired", "over_rate")
    return {name: counts.get(name, 0) for name in names}


def _page(pk: UUID) -> str:
    return reverse("admin:accesscontrol_kiosk_change", args=[pk])
