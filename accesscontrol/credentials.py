"""Credentials of an employee besides the face: a PIN and badges. The verbs that HR's pages call.

No consent and no template is needed for them: they are the equal way in of whoever will not, or
cannot, be recognised.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accesscontrol import audit, crypto, keyring, pins, throttling
from accesscontrol.keyring import KeySet
from accesscontrol.models import Badge, Employee, LookAlike, Pin, User

LABEL_MAX = 100
SHORTEST_BADGE, LONGEST_BADGE = 6, 64


class CredentialError(Exception):
    """The credential cannot be set; the message tells HR what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Held:
    """The live credentials of an employee."""

    pin: Pin | None
    badges: list[Badge]


def held(employee: Employee) -> Held:
    """What the employee can sign in with."""
    pin = Pin.objects.filter(employee=employee, ended_at__isnull=True).first()
    badges = Badge.objects.filter(employee=employee, revoked_at__isnull=True)
    return Held(pin, list(badges.select_related("added_by")))


@transaction.atomic
def set_pin(employee: Employee, pin: str, *, by: User | None) -> Pin:
    """Give an employee this PIN; the one before ends, and failures with it are forgotten.

    Raises CredentialError for one that is too easy to guess.
    """
    locked = _lock(employee)
    problem = pins.weakness(pin, locked.number)
    if problem:
        raise CredentialError(problem)
    keys = _keys()
    if any(_is_pin_of(pin, other) for other in _look_alikes_of(locked)):
        raise CredentialError("This PIN cannot be used. Choose another one.")
    _end_pin(locked)
    made = Pin.objects.create(
        employee=locked,
        key_id=keys.current,
        hash=pins.hashed(pin, keys.key(keys.current)),
        set_by=by,
    )
    throttling.forget(throttling.subjects_of(locked))
    audit.record(audit.actor_of(by), "set_pin", f"employee:{locked.pk}", {"pin": made.pk})
    return made


def set_random_pin(employee: Employee, *, by: User | None) -> str:
    """Give an employee a random PIN and return it: it cannot be read again."""
    pin = pins.random_pin(employee.number)
    set_pin(employee, pin, by=by)
    return pin


@transaction.atomic
def revoke_pin(employee: Employee, *, by: User | None) -> None:
    """End the employee's PIN with this commit. Raises CredentialError if there is none."""
    ended = _end_pin(_lock(employee))
    if ended is None:
        raise CredentialError(f"{employee} has no PIN.")
    audit.record(audit.actor_of(by), "revoke_pin", f"employee:{employee.pk}", {"pin": ended.pk})


@transaction.atomic
def add_badge(employee: Employee, number: str, *, label: str = "", by: User | None) -> Badge:
    """Give an employee a badge, by what a reader types when it is held to it.

    The badge that they have already is returned as it is. Raises CredentialError for somebody
    else's, and for what is no badge's number.
    """
    _lock(employee)
    plain = plain_badge(number)
    if not plain:
        raise CredentialError(
            f"The number of a badge has {SHORTEST_BADGE} to {LONGEST_BADGE} letters and digits. "
            "Hold the badge to a reader while the field is selected."
        )
    known = find_badge(plain)
    if known and known.revoked_at is None:
        if known.employee_id == employee.pk:
            return known
        raise CredentialError("This badge belongs to somebody else. Revoke it there first.")
    keys = _keys()
    badge = Badge.objects.create(
        employee=employee,
        label=label.strip()[:LABEL_MAX],
        key_id=keys.current,
        digest=_badge_digest(plain, keys.key(keys.current)),
        added_by=by,
    )
    audit.record(audit.actor_of(by), "add_badge", f"employee:{employee.pk}", {"badge": badge.pk})
    return badge


@transaction.atomic
def revoke_badge(badge: Badge, *, by: User | None) -> None:
    """End a badge with this commit; somebody else may get it then."""
    _lock(badge.employee)
    live = Badge.objects.filter(pk=badge.pk, revoked_at__isnull=True)
    if not live.update(revoked_at=max(timezone.now(), badge.added_at)):
        raise CredentialError("The badge was revoked already.")
    audit.record(
        audit.actor_of(by), "revoke_badge", f"employee:{badge.employee_id}", {"badge": badge.pk}
    )


def plain_badge(number: str) -> str:
    """The number as it is compared: capitals and digits only; empty if it is no badge's."""
    plain = "".join(c for c in number.upper() if c.isascii() and c.isalnum())
    return plain if SHORTEST_BADGE <= len(plain) <= LONGEST_BADGE else ""


def find_badge(number: str) -> Badge | None:
    """The live badge of this number, else the one revoked last, else None."""
    plain = plain_badge(number)
    if not plain:
        return None
    digests = [_badge_digest(plain, key) for key in _keys().keys.values()]
    found = Badge.objects.filter(digest__in=digests).select_related("employee").order_by("-pk")
    return found.filter(revoked_at__isnull=True).first() or found.first()


def matching_pin(pin: str, people: list[Employee]) -> Pin | None:
    """The live PIN of just one of these people that is this one.

    The same work for nobody, for people without a PIN and for a wrong PIN. None, too, where it is
    that of two of them.
    """
    if not 0 < len(pin) <= pins.LONGEST:
        return None
    _keys()  # whatever is wrong with them is told before, not only where somebody has a PIN
    live = Pin.objects.filter(employee__in=people, ended_at__isnull=True)
    compared = {row.employee_id: row for row in live.select_related("employee")}
    found = []
    for place in range(max(1, len(people))):
        row = compared.get(people[place].pk) if people else None
        if row is None:
            pins.waste_time(pin)
        elif pins.matches(pin, row.hash, _keys().key(row.key_id)):
            found.append(row)
    return found[0] if len(found) == 1 else None


def _is_pin_of(pin: str, employee: Employee) -> bool:
    row = Pin.objects.filter(employee=employee, ended_at__isnull=True).first()
    return row is not None and pins.matches(pin, row.hash, _keys().key(row.key_id))


def _look_alikes_of(employee: Employee) -> list[Employee]:
    """People of whom only the PIN tells this one: it must not be theirs, too."""
    pairs = LookAlike.objects.select_related("one", "other")
    return [pair.other for pair in pairs.filter(one=employee)] + [
        pair.one for pair in pairs.filter(other=employee)
    ]


def _end_pin(employee: Employee) -> Pin | None:
    live = Pin.objects.filter(employee=employee, ended_at__isnull=True).first()
    if live is None:
        return None
    live.ended_at, live.hash = max(timezone.now(), live.set_at), ""
    live.save(update_fields=["ended_at", "hash"])
    return live


def _lock(employee: Employee) -> Employee:
    """Sign-ins take this lock, too: from the commit on nothing that ended lets anybody in."""
    return Employee.objects.select_for_update(no_key=True).get(pk=employee.pk)


def _keys() -> KeySet:
    return keyring.load(settings.KEYRING_PATH).credentials


def _badge_digest(plain: str, key: bytes) -> str:
    return crypto.keyed_digest(key, f"badge:{plain}".encode())
