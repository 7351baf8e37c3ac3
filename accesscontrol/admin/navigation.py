"""The sidebar: what the user may see, grouped by who works with it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from accesscontrol.admin.base import acting_user

_GROUPS: tuple[tuple[Any, tuple[tuple[Any, str, str], ...]], ...] = (
    (
        _("Attendance"),
        (
            (_("Attendance log"), "schedule", "accesscontrol.punch"),
            (_("Decisions"), "fact_check", "accesscontrol.decision"),
            (_("Unknown visitors"), "person_search", "accesscontrol.visitor"),
        ),
    ),
    (_("People"), ((_("Employees"), "group", "accesscontrol.employee"),)),
    (
        _("Installation"),
        (
            (_("Sites"), "location_city", "accesscontrol.site"),
            (_("Kiosks"), "tablet_android", "accesscontrol.kiosk"),
            (_("Thresholds"), "tune", "accesscontrol.threshold"),
            (_("Face models"), "neurology", "accesscontrol.modelversion"),
        ),
    ),
    (
        _("Administration"),
        (
            (_("Logins"), "manage_accounts", "accesscontrol.user"),
            (_("Groups"), "groups", "auth.group"),
            (_("Audit log"), "history", "accesscontrol.auditentry"),
        ),
    ),
)


# Pages that are no list of a noun, by the noun whose list they follow.
_VIEWS: dict[str, tuple[Any, str, str, tuple[str, ...]]] = {
    "accesscontrol.employee": (
        _("Gallery health"),
        "vital_signs",
        "admin:accesscontrol_employee_health",
        ("accesscontrol.view_employee", "accesscontrol.view_decision"),
    ),
    "accesscontrol.modelversion": (
        _("Change of model"),
        "swap_horiz",
        "admin:accesscontrol_modelversion_model_change",
        ("accesscontrol.view_modelchange",),
    ),
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups and links for unfold, without what the user may not open."""
    user = acting_user(request)
    groups: list[dict[str, Any]] = [
        {
            "items": [
                {"title": _("Overview"), "icon": "dashboard", "link": reverse_lazy("admin:index")}
            ]
        }
    ]
    for title, entries in _GROUPS:
        items = []
        for name, icon, noun in entries:
            app, model = noun.split(".")
            if user.has_perm(f"{app}.view_{model}"):
                link = reverse_lazy(f"admin:{app}_{model}_changelist")
                items.append({"title": name, "icon": icon, "link": link})
            if noun in _VIEWS and user.has_perms(_VIEWS[noun][3]):
                name, icon, view, _permissions = _VIEWS[noun]
                items.append({"title": name, "icon": icon, "link": reverse_lazy(view)})
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    _mark_shown([item for group in groups for item in group["items"]], request.path)
    return groups


def _mark_shown(items: list[dict[str, Any]], path: str) -> None:
    """One link is active: of those whose address the page's begins with, the longest."""
    overview, *rest = items
    around = [item for item in rest if path.startswith(str(item["link"]))]
    shown = max(around, key=lambda item: len(str(item["link"])), default=overview)
    for item in items:
        item["active"] = item is shown
