"""Whether a recognised person may enter here and now: asked under lock, before the record."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from accesscontrol.lanes import LARGER, SAME_MOMENT
from accesscontrol.models import Consent, Decision, Direction, Employee, Kiosk, Outcome, Template
from accesscontrol.opening import is_open
from accesscontrol.punches import next_direction

if TYPE_CHECKING:
    from accesscontrol.decisions import Evidence, Policy


class Denial(StrEnum):
    """Why somebody who was recognised may not enter."""

    SITE_CLOSED = "SITE_CLOSED"
    """The site is not active."""
    OTHER_SITE = "OTHER_SITE"
    """The person is not admitted to this site, by now."""
    INACTIVE = "INACTIVE"
    """The person is not active any more."""
    NO_CONSENT = "NO_CONSENT"
    """The consent was withdrawn."""
    NO_TEMPLATE = "NO_TEMPLATE"
    """The template that was found is gone."""
    HOURS = "HOURS"
    """The site is not open at this time, and the person is not on the way out."""
    OTHER_KIOSK = "OTHER_KIOSK"
    """Another kiosk of the site saw the person larger and accepted them, at the same moment."""


def lock(employee_id: int) -> Employee | None:
    """The employee, locked until the transaction ends; None if there is none by now."""
    return Employee.objects.select_for_update(no_key=True).filter(pk=employee_id).first()


def denial(
    employee: Employee | None, kiosk: Kiosk, evidence: Evidence, policy: Policy | None
) -> Denial | None:
    """Why this person may not enter here at this moment, or None if they may.

    Call within the transaction that holds the locks on the employee and the kiosk.
    """
    if policy is None:
        return Denial.SITE_CLOSED
    barred = _barred(employee, kiosk)
    if barred or employee is None:
        return barred
    if not Consent.objects.filter(employee=employee, withdrawn_at__isnull=True).exists():
        return Denial.NO_CONSENT
    version = policy.model_version_id
    if not Template.objects.filter(employee=employee, model_version_id=version).exists():
        return Denial.NO_TEMPLATE
    if _is_closed_to(employee, kiosk, evidence.received_at):
        return Denial.HOURS
    return Denial.OTHER_KIOSK if _is_larger_elsewhere(employee, kiosk, evidence) else None


def sign_in_denial(employee: Employee | None, kiosk: Kiosk, at: datetime) -> Denial | None:
    """The same for somebody who signs in with PIN or badge: needs neither consent nor template."""
    barred = _barred(employee, kiosk)
    if barred or employee is None:
        return barred
    return Denial.HOURS if _is_closed_to(employee, kiosk, at) else None


def _barred(employee: Employee | None, kiosk: Kiosk) -> Denial | None:
    """Why this person may not enter here at any time, whatever lets them in."""
    if not kiosk.site.is_active:
        return Denial.SITE_CLOSED
    if employee is None or not employee.is_active:
        return Denial.INACTIVE
    admitted = Employee.objects.admitted_to(kiosk.site_id).filter(pk=employee.pk).exists()
    return None if admitted else Denial.OTHER_SITE


def _is_closed_to(employee: Employee, kiosk: Kiosk, at: datetime) -> bool:
    return not is_open(kiosk.site, at) and next_direction(employee, kiosk, at) == Direction.IN


def _is_larger_elsewhere(employee: Employee, kiosk: Kiosk, evidence: Evidence) -> bool:
    """Where the other kiosk saw them smaller, they stand here: greeted, by the cool-down once."""
    at = evidence.received_at
    elsewhere = Decision.objects.filter(
        site=kiosk.site,
        employee=employee,
        outcome=Outcome.ACCEPTED,
        received_at__range=(at - SAME_MOMENT, at + SAME_MOMENT),
        decided_at__gte=at - SAME_MOMENT,
    ).exclude(kiosk=kiosk)
    shares = [decision.evidence.get("face_share") for decision in elsewhere]
    return any(
        isinstance(share, float) and share > LARGER * evidence.face_share for share in shares
    )
