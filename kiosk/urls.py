"""Routes of the kiosk."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from kiosk import views
from kiosk.pairing import PairingView

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.start, name="start"),
    path("kiosk/", views.kiosk, name="kiosk"),
    path("kiosk/pair", PairingView.as_view(), name="kiosk-pair"),
]
