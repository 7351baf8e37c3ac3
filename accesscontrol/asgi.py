"""The ASGI application: HTTP through Django, the kiosk stream through Channels."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "accesscontrol.settings")
django_application = get_asgi_application()  # before anything that imports models

from django.conf import settings  # noqa: E402
from django.utils.module_loading import import_string  # noqa: E402

from accesscontrol.request_limit import LimitedRequests  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": LimitedRequests(django_application, settings.REQUEST_MAX_BYTES),
        # Named in the settings, as URLs are, because the domain does not import the kiosk.
        "websocket": URLRouter(import_string(settings.WEBSOCKET_ROUTES)),
    }
)
