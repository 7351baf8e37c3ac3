"""Django's entry to the kiosk: pages, stream and the Python client's command."""

from django.apps import AppConfig


class KioskConfig(AppConfig):
    name = "kiosk"
