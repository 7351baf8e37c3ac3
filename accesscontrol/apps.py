"""Django's entry to the domain."""

from django.apps import AppConfig


class AccessControlConfig(AppConfig):
    name = "accesscontrol"
    verbose_name = "Gatehouse"

    def ready(self) -> None:
        from accesscontrol import checks  # noqa: F401  registers the system checks
