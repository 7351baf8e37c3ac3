"""WebSocket routes of the kiosk."""

from __future__ import annotations

from typing import Any

from channels.security.websocket import WebsocketDenier
from django.urls import path, re_path

from kiosk.consumers import StreamConsumer

websocket_urlpatterns: list[Any] = [
    path("kiosk/stream/<uuid:kiosk_id>", StreamConsumer.as_asgi()),
    # Without it an unknown path would be an exception in the server's log.
    re_path("", WebsocketDenier.as_asgi()),
]
