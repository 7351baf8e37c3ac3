"""Signing in with PIN or badge, at the same kiosk and to the same effect as a recognised face.

Also what answers the step-up of look-alikes. An attempt is counted before it is looked at
(`throttling`), compared outside of any transaction, since that is slow on purpose, and recorded in
one, where everything that may have ended meanwhile is asked again under lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Value, When
from django.utils import timezone

from accesscontrol import admission, audit, credentials, decisions, step_ups, throttling
from accesscontrol.admission import Denial
from accesscontrol.decisions import KioskShutOutError, Recorded
from accesscontrol.models import Badge, Decision, Employee, Kiosk, Method, Outcome, Pin
from accesscontrol.punches import punch
from accesscontrol.step_ups import Offer
from accesscontrol.throttling import Refused

SAME_NUMBER = 3
"""People of a site who may have the same number: one of the site's own, others admitted to it."""


class Failure(StrEnum):
    """Why an attempt failed, for HR; the kiosk is told none of it."""

    WRONG = "WRONG"
    """No person of this number with this PIN."""
    UNKNOWN_BADGE = "UNKNOWN_BADGE"
    REVOKED_BADGE = "REVOKED_BADGE"
    NOT_OF_THE_PAIR = "NOT_OF_THE_PAIR"
    """Neither of the two who were asked."""
    TOO_LATE = "TOO_LATE"
    """The step-up had ended: by time, by tries, or settled already."""
    NOT_ASKED = "NOT_ASKED"
    """There was no step-up to answer."""
    ENDED = "ENDED"
    """The PIN or badge ended in that very moment."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody typed, or held to the reader. `badge`, or else `pin`, is not empty."""

    id: UUID
    """The client's own: the same attempt twice has one effect."""
    number: str = ""
    pin: str = ""
    badge: str = ""
    presentation: UUID | None = None
    """Of the refusal that asked for it; then `number` is empty."""

    def __repr__(self) -> str:  # a traceback must not print PINs
        return f"Attempt({self.id})"


@dataclass(frozen=True, slots=True)
class _Found:
    """Whose credential it is, or why nobody's."""

    credential: Pin | Badge | None = None
    failure: Failure | None = None

    @property
    def employee_id(self) -> int | None:
        return self.credential.employee_id if self.credential else None


def sign_in(kiosk_id: UUID, attempt: Attempt) -> Recorded | Refused:
    """Look at an attempt, record what becomes of it, and punch whoever it accepts.

    The same attempt again returns what was recorded. Raises KioskShutOutError.
    """
    known = Decision.objects.filter(kiosk=kiosk_id, presentation=attempt.id).first()
    if known:
        return decisions.as_recorded(known)
    site_id = Kiosk.objects.values_list("site_id", flat=True).get(pk=kiosk_id)
    asked = attempt.presentation
    offer = step_ups.find_offer(kiosk_id, asked, timezone.now()) if asked else None
    subjects = _subjects(kiosk_id, site_id, attempt, offer)
    refused = throttling.begin(subjects, attempt.id)
    if refused:
        return refused
    found = _look(site_id, attempt, offer)
    return _record(kiosk_id, attempt, offer, found, subjects)


def _subjects(kiosk_id: UUID, site_id: int, attempt: Attempt, offer: Offer | None) -> list[str]:
    """Where a failure counts: at the kiosk, and for whom it was tried."""
    subjects = [throttling.of_kiosk(kiosk_id)]
    if offer and offer.pair:
        subjects.append(throttling.of_pair(offer.pair.pk))
    elif not attempt.badge and attempt.presentation is None:
        subjects.append(throttling.of_number(site_id, attempt.number))
    return subjects


def _look(site_id: int, attempt: Attempt, offer: Offer | None) -> _Found:
    if attempt.presentation is not None and offer is None:
        return _Found(failure=Failure.NOT_ASKED)
    if offer and not offer.is_open:
        return _Found(failure=Failure.TOO_LATE)
    if attempt.badge:
        return _by_badge(attempt.badge, offer)
    people = offer.people if offer else _of_number(site_id, attempt.number)
    pin = credentials.matching_pin(attempt.pin, people)
    wrong = Failure.NOT_OF_THE_PAIR if offer else Failure.WRONG
    return _Found(pin) if pin else _Found(failure=wrong)


def _by_badge(number: str, offer: Offer | None) -> _Found:
    badge = credentials.find_badge(number)
    if badge is None:
        return _Found(failure=Failure.UNKNOWN_BADGE)
    if badge.revoked_at is not None:
        return _Found(failure=Failure.REVOKED_BADGE)
    if offer and badge.employee not in offer.people:
        return _Found(failure=Failure.NOT_OF_THE_PAIR)
    return _Found(badge)


def _of_number(site_id: int, number: str) -> list[Employee]:
    """Who may be meant by a number at a site, those at home there first."""
    at_home = Case(When(site=site_id, then=Value(0)), default=Value(1))
    people = Employee.objects.admitted_to(site_id).filter(number__iexact=number)
    return list(people.order_by(at_home, "pk")[:SAME_NUMBER])


@transaction.atomic
def _record(
    kiosk_id: UUID,
    attempt: Attempt,
    offer: Offer | None,
    found: _Found,
    subjects: list[str],
) -> Recorded:
    kiosk = (
        Kiosk.objects.select_for_update(of=("self",), no_key=True)
        .select_related("site")
        .get(pk=kiosk_id)
    )
    if not kiosk.may_stream:
        raise KioskShutOutError(str(kiosk_id))
    known = Decision.objects.filter(kiosk=kiosk, presentation=attempt.id).first()
    if known:
        return decisions.as_recorded(known)
    at = timezone.now()
    employee = admission.lock(found.employee_id) if found.employee_id is not None else None
    found = _still(found, attempt, offer, kiosk, at)
    denied = admission.sign_in_denial(employee, kiosk, at) if found.credential else None
    admitted = employee if found.credential and not denied else None
    decision = _write(kiosk, attempt, offer, (found, denied), at, employee)
    made, repeat = punch(decision, admitted, kiosk) if admitted else (None, False)
    if found.credential:
        throttling.forget(subjects)
    own = made.pk if made and not repeat else None
    done = {"outcome": decision.outcome, "employee": decision.employee_id, "punch": own}
    detail = {"by": decision.method, **done}
    audit.record(f"kiosk:{kiosk.pk}", "sign_in", f"decision:{decision.pk}", detail)
    return Recorded(decision, made, repeat)


def _still(
    found: _Found, attempt: Attempt, offer: Offer | None, kiosk: Kiosk, at: datetime
) -> _Found:
    """What was found, unless it has ended since. Call under the locks on kiosk and employee."""
    credential = found.credential
    if credential is None:
        return found
    live = (
        Pin.objects.filter(pk=credential.pk, ended_at__isnull=True)
        if isinstance(credential, Pin)
        else Badge.objects.filter(pk=credential.pk, revoked_at__isnull=True)
    )
    if not live.exists():
        return _Found(failure=Failure.ENDED)
    if offer and attempt.presentation:
        again = step_ups.find_offer(kiosk.pk, attempt.presentation, at)
        if again is None or not again.is_open:
            return _Found(failure=Failure.TOO_LATE)
    return found


def _write(
    kiosk: Kiosk,
    attempt: Attempt,
    offer: Offer | None,
    end: tuple[_Found, Denial | None],
    at: datetime,
    whose: Employee | None,
) -> Decision:
    found, denied = end
    outcome = Outcome.NOT_ALLOWED if denied else Outcome.ACCEPTED
    if found.credential is None:
        outcome = Outcome.SIGN_IN_FAILED
    credential = found.credential if outcome is Outcome.ACCEPTED else None
    return Decision.objects.create(
        site=kiosk.site,
        kiosk=kiosk,
        presentation=attempt.id,
        outcome=outcome,
        method=_method(attempt, offer),
        employee=whose if credential else None,
        nearest=whose if found.credential else None,
        pin=credential if isinstance(credential, Pin) else None,
        badge=credential if isinstance(credential, Badge) else None,
        evidence={"denied": denied, "sign_in": found.failure},
        first_captured_at=at,
        captured_at=at,
        received_at=at,
        decided_at=at,
        **_of_the_refusal(offer),
    )


def _method(attempt: Attempt, offer: Offer | None) -> Method:
    if offer:
        return Method.FACE_AND_BADGE if attempt.badge else Method.FACE_AND_PIN
    return Method.BADGE if attempt.badge else Method.PIN


def _of_the_refusal(offer: Offer | None) -> dict[str, Any]:
    """What was seen of the face that was asked. Whom it was nearest to stays with the refusal."""
    if offer is None:
        return {"frames": 0}
    refusal = offer.refusal
    return {
        "steps_up": refusal,
        "score": refusal.score,
        "second_score": refusal.second_score,
        "threshold": refusal.threshold,
        "margin": refusal.margin,
        "threshold_row": refusal.threshold_row,
        "model_version": refusal.model_version,
        "frames": refusal.frames,
    }


THROTTLED = "Too many failed attempts. Please wait half a minute, then try again."
LOCKED = "Sign-in is locked here after too many failed attempts. Please ask HR."


def kiosk_message(attempt: Attempt, answer: Recorded | Refused) -> dict[str, object]:
    """The answer to an attempt as the kiosk's screen needs it: a "decision" message."""
    if isinstance(answer, Recorded):
        return decisions.kiosk_message(answer, None)
    return {
        "type": "decision",
        "presentation": str(attempt.id),
        "seq": None,
        "outcome": "THROTTLED",
        "employee": None,
        "direction": None,
        "at": None,
        "repeat": False,
        "reason": LOCKED if answer.locked else THROTTLED,
    }
