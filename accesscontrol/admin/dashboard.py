"""The index page: what HR and IT need at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from accesscontrol import enrolment, look_alikes, site_days
from accesscontrol.admin.base import acting_user, visible_rows
from accesscontrol.admin.credential_views import ENROLS
from accesscontrol.models import Employee, Kiosk, PhotoStatus, Punch, Site

SILENT_AFTER = timedelta(minutes=5)
"""A kiosk tells of itself at least this often while it is connected."""
MOST_PAIRS = 20
"""Of look-alikes, listed on the page; the others are counted."""


@dataclass(frozen=True, slots=True)
class SiteToday:
    """One line of the page: a site on the present day of its own clock."""

    site: Site
    punches: int
    people: int
    enrolled: int
    clock: str


def add_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add to the page what the user may see."""
    user = acting_user(request)
    if user.has_perms(["accesscontrol.view_site", "accesscontrol.view_punch"]):
        context["today"] = [_today(site) for site in Site.objects.filter(is_active=True)]
    if user.has_perm("accesscontrol.view_employee"):
        context["waiting_photos"] = enrolment.waiting_photos()
        context["without_photo"] = (
            Employee.objects.filter(is_active=True)
            .exclude(photos__status=PhotoStatus.ACCEPTED)
            .count()
        )
        context["employees"] = Employee.objects.filter(is_active=True).count()
    if user.has_perms([f"accesscontrol.{name}" for name in ENROLS]):
        visible = visible_rows(request, Employee.objects.all())
        to_judge = look_alikes.to_judge(visible)
        context["to_judge"] = to_judge[:MOST_PAIRS]
        context["more_to_judge"] = max(0, to_judge.count() - MOST_PAIRS)
    if user.has_perm("accesscontrol.view_kiosk"):
        context["kiosks"] = Kiosk.objects.filter(revoked_at__isnull=True).count()
        context["silent_kiosks"] = silent_kiosks()
    return context


def silent_kiosks() -> list[Kiosk]:
    """Paired kiosks of active sites that have not been connected for SILENT_AFTER."""
    paired = Kiosk.objects.filter(
        paired_at__isnull=False, revoked_at__isnull=True, site__is_active=True
    )
    limit = timezone.now() - SILENT_AFTER
    silent = Q(status__isnull=True) | Q(status__last_seen_at__isnull=True)
    return list(
        paired.filter(silent | Q(status__last_seen_at__lt=limit)).select_related("site", "status")
    )


def _today(site: Site) -> SiteToday:
    day = site_days.today(site)
    start, end = site_days.bounds(site.zone, day, day)
    punches = Punch.objects.standing().filter(site=site, at__gte=start, at__lt=end)
    return SiteToday(
        site=site,
        punches=punches.count(),
        people=punches.values("employee").distinct().count(),
        enrolled=enrolled_people(site),
        clock=f"{timezone.now().astimezone(site.zone):%H:%M}",
    )


def enrolled_people(site: Site) -> int:
    """Active employees of the site with at least one accepted photo."""
    return (
        Employee.objects.filter(site=site, is_active=True, photos__status=PhotoStatus.ACCEPTED)
        .distinct()
        .count()
    )
