"""Routes of the web process."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from accesscontrol import health

urlpatterns = [
    path("live", health.live, name="live"),
    path("ready", health.ready, name="ready"),
    path("admin/", admin.site.urls),
    path("", include("kiosk.urls")),
]
