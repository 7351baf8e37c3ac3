"""Correcting a decision: HR says whom it really was, and the attendance follows.

Nothing is edited: a correction is a row, the punch that it brings is a row that points at it, and
the punch that it cancels stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from accesscontrol import audit, punches
from accesscontrol.models import Correction, Decision, Direction, Employee, Punch, User

REASON_MAX = 200


class CorrectionError(Exception):
    """The correction cannot be made; the message says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Marked:
    """HR's word on a decision."""

    employee: Employee | None
    """Whom it really was; None: nobody can say, but not who was recognised."""
    reason: str
    direction: Direction | None = None
    """Of the punch; None: as the kiosk would have punched."""
    after: int | None = None
    """The correction that the user saw as the one that holds, by number; None: none."""


def holding(decision: Decision) -> Correction | None:
    """The correction that no other replaces, or None if the decision was never corrected."""
    return Correction.objects.filter(decision=decision, replaced_by__isnull=True).first()


def standing_punch(decision: Decision) -> Punch | None:
    """The punch that counts for a decision now, or None."""
    return Punch.objects.standing().filter(decision=decision).first()


@transaction.atomic
def correct_punch(decision: Decision, marked: Marked, *, by: User | None) -> Correction:
    """Write down whom it was; cancel the punch of anybody else and punch them.

    The same word twice is one correction. Where the person has another punch within the cool-down
    (refused, tried again and was let in) that one stands for both. Raises CorrectionError.
    """
    reason = marked.reason.strip()
    if not reason or len(reason) > REASON_MAX:
        raise CorrectionError(f"Say in at most {REASON_MAX} characters how you know.")
    decision = (
        Decision.objects.select_for_update(of=("self",), no_key=True)
        .select_related("site", "kiosk__site")
        .get(pk=decision.pk)
    )
    before, punch = holding(decision), standing_punch(decision)
    if before is not None and _says_so(before, punch, marked):
        return before
    _check(decision, before, punch, marked)
    employee = _lock(marked.employee, punch)
    correction = Correction.objects.create(
        decision=decision,
        replaces=before,
        employee=employee,
        cancels=punch,
        reason=reason,
        made_by=by,
    )
    made = _punch(correction, employee, marked.direction) if employee else None
    audit.record(
        audit.actor_of(by),
        "correct_punch",
        f"decision:{decision.pk}",
        {
            "correction": correction.pk,
            "employee": employee.pk if employee else None,
            "cancelled": punch.pk if punch else None,
            "punch": made.pk if made else None,
        },
    )
    return correction


def _says_so(before: Correction, punch: Punch | None, marked: Marked) -> bool:
    """Whether the correction that holds says just this."""
    if before.employee_id != (marked.employee.pk if marked.employee else None):
        return False
    return marked.direction is None or punch is None or punch.direction == marked.direction


def _check(
    decision: Decision, before: Correction | None, punch: Punch | None, marked: Marked
) -> None:
    if (before.pk if before else None) != marked.after:
        raise CorrectionError("Somebody else has corrected this decision meanwhile. Look again.")
    person = marked.employee
    admitted = Employee.objects.admitted_to(decision.site_id)
    if person and not admitted.filter(pk=person.pk).exists():
        raise CorrectionError(f"{person} is not admitted to this site, {decision.site}.")
    if before is not None:
        return
    if person is None and decision.employee_id is None:
        raise CorrectionError("Nobody was recognised here: there is nobody that it was not.")
    same = person is not None and person.pk == decision.employee_id
    if same and (punch is None or marked.direction in {None, punch.direction}):
        raise CorrectionError("The decision says so already.")


def _lock(employee: Employee | None, punch: Punch | None) -> Employee | None:
    """Lock whose punches change, in one order, so that no walk-up punches between."""
    people = [employee.pk] if employee else []
    people += [punch.employee_id] if punch else []
    rows = Employee.objects.select_for_update(no_key=True).filter(pk__in=people).order_by("pk")
    locked = {row.pk: row for row in rows}
    return locked[employee.pk] if employee else None


def _punch(correction: Correction, employee: Employee, direction: Direction | None) -> Punch | None:
    decision = correction.decision
    at, kiosk = decision.received_at, decision.kiosk
    if punches.near(employee, at, decision.site):
        return None
    return Punch.objects.create(
        decision=decision,
        correction=correction,
        employee=employee,
        site=decision.site,
        kiosk=kiosk,
        presentation=decision.presentation,
        direction=direction or punches.next_direction(employee, kiosk, at),
        at=at,
        captured_at=decision.captured_at,
        time_zone=decision.site.time_zone,
        cooling=punches.EMPTY,
    )
