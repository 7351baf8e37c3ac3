"""Django's entries to the domain and to its admin."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class AccessControlConfig(AppConfig):
    name = "accesscontrol"
    verbose_name = "Gatehouse"
    default = True

    def ready(self) -> None:
        from accesscontrol import checks  # noqa: F401  registers the system checks
        from accesscontrol.groups import ensure_groups

        post_migrate.connect(ensure_groups, sender=self)


class GatehouseAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site as the default one."""

    default = False
    default_site = "accesscontrol.admin_site.GatehouseAdminSite"
