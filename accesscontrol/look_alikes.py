"""Look-alikes: pairs whom a camera cannot tell apart, found at enrolment, and judged by HR."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accesscontrol import audit, model_versions, throttling
from accesscontrol.models import Employee, LookAlike, User

MOST = 10

_ONE_AT_A_TIME = 0x6A7E_0003
"""Of PostgreSQL's advisory locks: held until the commit by who looks for pairs or forgets them."""

# Of each person nearest to any template of the employee, in the galleries of the employee's sites.
_RESEMBLING = """
WITH own AS MATERIALIZED (
    SELECT site_id, rotation_id, embedding FROM accesscontrol_gallery
    WHERE employee_id = %(employee)s AND model_version_id = %(version)s
), asked AS (
    SELECT DISTINCT ON (site_id) site_id, value FROM accesscontrol_threshold
    WHERE model_version_id = %(version)s ORDER BY site_id, id DESC
)
SELECT gallery.employee_id, max(-(own.embedding <#> gallery.embedding)) AS score
FROM own
JOIN asked ON asked.site_id = own.site_id
JOIN accesscontrol_gallery AS gallery
    ON gallery.site_id = own.site_id AND gallery.model_version_id = %(version)s
   AND gallery.rotation_id = own.rotation_id AND gallery.employee_id <> %(employee)s
WHERE -(own.embedding <#> gallery.embedding) >= asked.value
GROUP BY 1 ORDER BY 2 DESC LIMIT %(most)s
"""


class LookAlikeError(Exception):
    """The pair cannot be kept; the message says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Resembling:
    """Somebody whose templates reach a site's threshold for the employee's."""

    person: Employee
    score: float
    pair: LookAlike | None
    """What the kiosk asks the PIN for; None: whoever is near both is refused."""

    @property
    def is_to_judge(self) -> bool:
        """HR has not said yet whether these are two people."""
        return self.pair is None or self.pair.confirmed_at is None


def resembling(employee: Employee, visible: QuerySet[Employee]) -> list[Resembling]:
    """Who looks like the employee, nearest first, of the `visible` ones; and kept pairs."""
    pairs = {_partner(pair, employee.pk): pair for pair in pairs_of(employee)}
    scores = _scores(employee)
    people = visible.in_bulk([*scores, *pairs])
    found = [Resembling(people[pk], scores[pk], pairs.get(pk)) for pk in scores if pk in people]
    rest = [pk for pk in pairs if pk not in scores and pk in people]
    return found + [Resembling(people[pk], 0.0, pairs[pk]) for pk in rest]


def _scores(employee: Employee) -> dict[int, float]:
    version = model_versions.active()
    if version is None:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_RESEMBLING, {"employee": employee.pk, "version": version.pk, "most": MOST})
        return {pk: float(score) for pk, score in cursor.fetchall()}


def pairs_of(employee: Employee) -> list[LookAlike]:
    return list(LookAlike.objects.filter(Q(one=employee) | Q(other=employee)))


def to_judge(visible: QuerySet[Employee]) -> QuerySet[LookAlike]:
    """Pairs found at enrolment of which HR has not said yet whether they are two people."""
    found = LookAlike.objects.filter(confirmed_at=None, one__in=visible, other__in=visible)
    alive = found.filter(one__is_active=True, other__is_active=True).order_by("pk")
    return alive.select_related("one", "one__site", "other", "other__site")


def pair_of(one_id: int, other_id: int) -> LookAlike | None:
    """The pair of these two, whichever comes first."""
    low, high = sorted((one_id, other_id))
    return LookAlike.objects.filter(one=low, other=high).first()


def _partner(pair: LookAlike, employee_id: int) -> int:
    return pair.other_id if pair.one_id == employee_id else pair.one_id


@transaction.atomic
def keep_found(employee: Employee) -> int:
    """Keep the pairs that a new template of the employee makes; returns how many are new.

    From the commit on a kiosk asks these two, and nobody else, for PIN or badge. It is for HR to
    say whether they are two people. In the transaction that wrote the template: of two people
    enrolled at once the later one sees the earlier one's.
    """
    _one_at_a_time()
    known = {_partner(pair, employee.pk) for pair in pairs_of(employee)}
    found = [pk for pk in _scores(employee) if pk not in known]
    for other in found:
        low, high = sorted((employee.pk, other))
        LookAlike.objects.create(one_id=low, other_id=high)
        audit.record("worker", "find_look_alikes", f"employee:{low}", {"other": high})
    return len(found)


def forget(employee: Employee) -> None:
    """Delete the person's pairs, in the transaction that deleted their templates.

    Whoever looks for pairs at the moment is waited for, and later finds no template.
    """
    _one_at_a_time()
    LookAlike.objects.filter(Q(one=employee) | Q(other=employee)).delete()


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])


@transaction.atomic
def confirm_two_people(one: Employee, other: Employee, *, by: User | None) -> LookAlike:
    """Keep that these are two people: where both are near, a kiosk asks for PIN or badge.

    A pair that was confirmed already is returned as it is.
    """
    if one.pk == other.pk:
        raise LookAlikeError("One person is no pair.")
    low, high = sorted((one.pk, other.pk))
    Employee.objects.select_for_update(no_key=True).filter(pk__in=[low, high]).order_by(
        "pk"
    ).first()
    pair, _added = LookAlike.objects.get_or_create(one_id=low, other_id=high)
    if pair.confirmed_at is None:
        pair.confirmed_at, pair.confirmed_by = timezone.now(), by
        pair.save(update_fields=["confirmed_at", "confirmed_by"])
        audit.record(audit.actor_of(by), "confirm_two_people", f"employee:{low}", {"other": high})
    return pair


@transaction.atomic
def end_pair(one: Employee, other: Employee, *, by: User | None) -> bool:
    """Forget the pair: whom it was about is AMBIGUOUS without a step-up. False if there is none."""
    pair = pair_of(one.pk, other.pk)
    if pair is None:
        return False
    throttling.forget([throttling.of_pair(pair.pk)])
    pair.delete()
    audit.record(audit.actor_of(by), "end_pair", f"employee:{one.pk}", {"other": other.pk})
    return True
