"""Sites and their employees: the verbs that HR's forms and the commands call."""

from __future__ import annotations

from django.db import transaction

from accesscontrol import audit, model_versions, thresholds
from accesscontrol.models import Employee, Site, User


@transaction.atomic
def save_site(site: Site, by: User | None) -> Site:
    """Add or change a site. A new one gets the default threshold of the active model."""
    site.full_clean()
    added = site.pk is None
    site.save()
    version = model_versions.active()
    if added and version:
        thresholds.set_default(site, version)
    audit.record(
        audit.actor_of(by),
        "add_site" if added else "change_site",
        f"site:{site.pk}",
        {
            "name": site.name,
            "time_zone": site.time_zone,
            "cool_down_s": site.cool_down_s,
            "longest_shift_h": site.longest_shift_h,
            "is_active": site.is_active,
        },
    )
    return site


@transaction.atomic
def save_employee(employee: Employee, by: User | None) -> Employee:
    """Add or change an employee; an inactive one leaves the gallery with this commit."""
    employee.full_clean()
    added = employee.pk is None
    employee.save()
    audit.record(
        audit.actor_of(by),
        "add_employee" if added else "change_employee",
        f"employee:{employee.pk}",
        {"site": employee.site_id, "number": employee.number, "is_active": employee.is_active},
    )
    return employee
