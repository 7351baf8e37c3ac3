"""The groups that an installation starts with. Whoever runs it may change them afterwards."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import transaction

_SEES = ("site", "employee", "kiosk", "decision", "punch")
GROUPS: dict[str, tuple[str, ...]] = {
    # Enrols people and exports attendance.
    "HR": (
        *(f"view_{noun}" for noun in _SEES),
        *(f"{may}_employee" for may in ("add", "change")),
        *(f"{may}_consent" for may in ("view", "add", "change")),
        *(f"{may}_enrolmentphoto" for may in ("view", "add", "delete")),
        "add_correction",
        *(f"{may}_visitor" for may in ("view", "delete")),
    ),
    # Answers "why was I not recognised?", for what a wrong acceptance may cost, and for whether
    # unknown visitors are kept.
    "Site manager": (
        *(f"view_{noun}" for noun in _SEES),
        "view_consent",
        *(f"{may}_threshold" for may in ("view", "add")),
        *(f"{may}_visitor" for may in ("view", "delete")),
        *(f"{may}_visitorpolicy" for may in ("view", "add", "change", "delete")),
    ),
    # Installs, pairs kiosks, sets thresholds, changes models; sees no photos and no attendance.
    "IT": (
        *(f"{may}_{noun}" for noun in ("site", "kiosk") for may in ("view", "add", "change")),
        *(f"{may}_threshold" for may in ("view", "add")),
        "view_decision",
        "view_modelversion",
        *(f"{may}_modelchange" for may in ("view", "add", "change")),
        "view_auditentry",
    ),
}


@transaction.atomic
def ensure_groups(**_signal: Any) -> None:
    """Add the groups that are missing; those that exist stay as they are.

    Called after migrations, when Django has made the permissions.
    """
    for name, codenames in GROUPS.items():
        group, created = Group.objects.get_or_create(name=name)
        if created:
            group.permissions.set(
                Permission.objects.filter(
                    content_type__app_label="accesscontrol", codename__in=codenames
                )
            )
