"""Sites, their employees and kiosks: the verbs that HR's forms and the commands call."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.text import slugify

from accesscontrol import audit, model_versions, pad, thresholds
from accesscontrol.models import Admission, Employee, Kiosk, Site, User


@transaction.atomic
def save_site(site: Site, by: User | None) -> Site:
    """Add or change a site. A new one gets the default threshold of each model that is kept."""
    site.full_clean()
    added = site.pk is None
    site.save()
    for version in model_versions.kept() if added else ():
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
            "pad_policy": site.pad_policy,
            "open_days": site.open_days,
            "opens_at": str(site.opens_at) if site.opens_at else None,
            "closes_at": str(site.closes_at) if site.closes_at else None,
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


@transaction.atomic
def admit(employee: Employee, site: Site, by: User | None) -> Admission:
    """Let an employee enter at a further site; with this commit they are in its gallery.

    The admission there is already is returned as it is.
    """
    admission, added = Admission.objects.get_or_create(
        employee=employee, site=site, defaults={"admitted_by": by}
    )
    if added:
        audit.record(
            audit.actor_of(by), "admit_employee", f"employee:{employee.pk}", {"site": site.pk}
        )
    return admission


@transaction.atomic
def end_admission(employee: Employee, site: Site, by: User | None) -> bool:
    """End an employee's admission to a further site; with this commit they are not in its gallery.

    False if there is none. The home site is changed with `save_employee`.
    """
    ended, _ = Admission.objects.filter(employee=employee, site=site).delete()
    if ended:
        audit.record(
            audit.actor_of(by), "end_admission", f"employee:{employee.pk}", {"site": site.pk}
        )
    return bool(ended)


@transaction.atomic
def save_kiosk(kiosk: Kiosk, by: User | None) -> Kiosk:
    """Add a kiosk or change its name, direction, faces or zone; `kiosks` pairs and revokes."""
    kiosk.full_clean()
    added = not Kiosk.objects.filter(pk=kiosk.pk).exists()
    kiosk.save()
    audit.record(
        audit.actor_of(by),
        "add_kiosk" if added else "change_kiosk",
        f"kiosk:{kiosk.pk}",
        {
            "site": kiosk.site_id,
            "name": kiosk.name,
            "direction": kiosk.direction,
            "smallest_face": kiosk.smallest_face,
            "deciding_face": kiosk.deciding_face,
            "zone": [kiosk.zone_left, kiosk.zone_top, kiosk.zone_right, kiosk.zone_bottom],
        },
    )
    return kiosk


class UnknownSiteError(LookupError):
    """No site, or more than one, goes by this name; the message lists those there are."""


def find_site(name_or_slug: str) -> Site:
    """The site of this name or short name, in whatever case. Raises UnknownSiteError."""
    wanted = name_or_slug.strip()
    every = list(Site.objects.all())
    exact = [site for site in every if site.name == wanted]
    # Not by the database, whose idea of case ends at ASCII under the C locale.
    folded = wanted.casefold()
    alike = [site for site in every if folded in {site.name.casefold(), site.slug.casefold()}]
    found = exact or alike
    if len(found) == 1:
        return found[0]
    known = [f"{site.name} ({site.slug})" for site in found or every]
    if not known:
        raise UnknownSiteError(
            "There is no site yet. Add one with: manage.py add_site --name NAME --time-zone ZONE"
        )
    problem = "Several sites are" if found else "No site is"
    raise UnknownSiteError(
        f"{problem} called “{wanted}”. Sites: {'; '.join(known)}. "
        "Add one with: manage.py add_site --name NAME --time-zone ZONE"
    )


def new_site(name: str, by: User | None, *, slug: str = "", **fields: Any) -> Site:
    """Add a site; without a short name one is made from its name. Raises ValidationError.

    `fields` are further ones of the model, such as `time_zone`; without `pad_policy` the site gets
    presentation attack detection if its model is installed.
    """
    fields.setdefault("pad_policy", pad.default_policy())
    return save_site(Site(name=name.strip(), slug=slug or slugify(name) or "site", **fields), by)
