"""The pages: start screen and kiosk. Both are the same for everybody and hold no data."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kiosk import protocol
from kiosk.texts import TEXTS


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Where people land who type the server's name only."""
    return render(request, "kiosk/start.html")


@never_cache
@require_safe
def kiosk(request: HttpRequest) -> HttpResponse:
    """The kiosk page: pairs, then streams the camera. All of it happens in its scripts."""
    return render(
        request, "kiosk/kiosk.html", {"texts": TEXTS, "stream_path": protocol.STREAM_PATH}
    )
