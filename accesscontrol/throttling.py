"""Throttling of sign-ins (NIST SP 800-63B 3.2.2): five failures in a row, and nobody is looked at
for half a minute; fifty, and only another factor helps until HR lifts the lock.

An attempt is counted, and committed, before its PIN is looked at, and taken back by a success:
fifty attempts at once get no more guesses than one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accesscontrol import audit, crypto, keyring
from accesscontrol.models import Employee, Kiosk, Throttle, User

FREE = 5
"""Failures in a row before each pause."""
PAUSE = timedelta(seconds=30)
LOCKED_FROM = 50
FORGOTTEN_AFTER = timedelta(days=1)
"""Without another failure; a lock is not forgotten."""
_SWEPT = 100


@dataclass(frozen=True, slots=True)
class Refused:
    """The attempt is not looked at."""

    locked: bool
    """Until HR lifts it; else a pause."""


def of_kiosk(kiosk_id: UUID) -> str:
    return f"kiosk:{kiosk_id}"


def of_pair(pair_id: int) -> str:
    return f"pair:{pair_id}"


def of_number(site_id: int, number: str) -> str:
    """A number as it was typed at a site, whether it is anybody's or not."""
    keys = keyring.load(settings.KEYRING_PATH).credentials
    digest = crypto.keyed_digest(keys.key(keys.current), f"number:{number.casefold()}".encode())
    return f"number:{site_id}:{digest[:32]}"


def subjects_of(employee: Employee) -> list[str]:
    """Where failures with this employee's number are counted: at each of their sites."""
    sites = {employee.site_id, *employee.admissions.values_list("site", flat=True)}
    return [of_number(site, employee.number) for site in sorted(sites)]


@transaction.atomic
def begin(subjects: Sequence[str], attempt: UUID, *, now: datetime | None = None) -> Refused | None:
    """Count an attempt as failed; why it is not looked at, or None. Commits before it is.

    `subjects` begin with the kiosk's.

    The same attempt again is not counted again: whichever of its copies is recorded first decides
    for all of them.
    """
    now = now or timezone.now()
    _sweep(now)
    fresh = [Throttle(subject=subject, counted_at=now) for subject in subjects]
    Throttle.objects.bulk_create(fresh, ignore_conflicts=True)
    rows = _locked(subjects)
    if all(row.attempt == attempt for row in rows):
        return None
    if stopped := [row for row in rows if _stops(row, now)]:
        for row in stopped:
            row.turned_away += 1
            row.save(update_fields=["turned_away"])
        return Refused(locked=any(row.is_locked for row in stopped))
    for row in rows:
        _count(row, attempt, now)
    for row in rows:
        if row.is_locked:
            audit.record(subjects[0], "lock_sign_in", row.subject, {"failures": row.failures})
    return None


def _locked(subjects: Sequence[str]) -> list[Throttle]:
    """Always in the same order, so that two who want the same rows wait for each other in turn."""
    rows = Throttle.objects.select_for_update().filter(subject__in=subjects)
    return list(rows.order_by("subject"))


def _stops(row: Throttle, now: datetime) -> bool:
    # A pause that ends much later was set by a clock that has stepped back since. A little later is
    # one that another process set while this one waited for the row.
    paused = row.refused_until is not None and now < row.refused_until <= now + 2 * PAUSE
    return row.is_locked or paused


def _count(row: Throttle, attempt: UUID, now: datetime) -> None:
    row.failures += 1
    row.counted_at, row.attempt = now, attempt
    row.refused_until = now + PAUSE if row.failures % FREE == 0 else None
    row.is_locked = row.failures >= LOCKED_FROM
    row.save()


def forget(subjects: Sequence[str]) -> int:
    """A success, or a new PIN: what failed before does not count any more. Within a transaction."""
    failed = [row.pk for row in _locked(subjects) if row.failures]
    return Throttle.objects.filter(pk__in=failed).update(
        failures=0, turned_away=0, refused_until=None, is_locked=False, attempt=None
    )


@dataclass(frozen=True, slots=True)
class Lockout:
    """What HR sees of a throttle that stops sign-ins at the moment."""

    row: Throttle
    locked: bool
    """Until it is lifted; else only for a moment."""


def lockouts(subjects: Sequence[str]) -> list[Lockout]:
    """Those of the subjects at which sign-ins are stopped now."""
    now = timezone.now()
    rows = Throttle.objects.filter(subject__in=subjects).order_by("subject")
    return [Lockout(row, row.is_locked) for row in rows if _stops(row, now)]


@transaction.atomic
def lift_of_employee(employee: Employee, *, by: User | None) -> bool:
    """Let an employee's number be tried again; False if nothing stopped it."""
    return _lift(subjects_of(employee), f"employee:{employee.pk}", by)


@transaction.atomic
def lift_of_pair(pair_id: int, *, by: User | None) -> bool:
    return _lift([of_pair(pair_id)], of_pair(pair_id), by)


@transaction.atomic
def lift_of_kiosk(kiosk: Kiosk, *, by: User | None) -> bool:
    return _lift([of_kiosk(kiosk.pk)], f"kiosk:{kiosk.pk}", by)


def _lift(subjects: Sequence[str], subject: str, by: User | None) -> bool:
    lifted = forget(subjects)
    if lifted:
        audit.record(audit.actor_of(by), "lift_sign_in_lock", subject)
    return bool(lifted)


def _sweep(now: datetime) -> None:
    """Remove what is forgotten, a few rows at a time and none that somebody waits for."""
    old = Throttle.objects.filter(counted_at__lt=now - FORGOTTEN_AFTER, is_locked=False)
    rows = old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_SWEPT]
    if found := list(rows):
        Throttle.objects.filter(pk__in=found).delete()
