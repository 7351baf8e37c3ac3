"""Look-alikes: who resembles an employee, and the pairs that HR says are two people."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from accesscontrol import audit, model_versions, throttling
from accesscontrol.models import Employee, LookAlike, User

MOST = 10

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
    """Kept as two people; None: nobody has said so yet."""


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


def pair_of(one_id: int, other_id: int) -> LookAlike | None:
    """The pair of these two, whichever comes first."""
    low, high = sorted((one_id, other_id))
    return LookAlike.objects.filter(one=low, other=high).first()


def _partner(pair: LookAlike, employee_id: int) -> int:
    return pair.other_id if pair.one_id == employee_id else pair.one_id


@transaction.atomic
def confirm_two_people(one: Employee, other: Employee, *, by: User | None) -> LookAlike:
    """Keep that these are two people: where both are near, a kiosk asks for PIN or badge.

    The pair that there is already is returned as it is.
    """
    if one.pk == other.pk:
        raise LookAlikeError("One person is no pair.")
    low, high = sorted((one.pk, other.pk))
    Employee.objects.select_for_update(no_key=True).filter(pk__in=[low, high]).order_by(
        "pk"
    ).first()
    pair, added = LookAlike.objects.get_or_create(
        one_id=low, other_id=high, defaults={"confirmed_by": by}
    )
    if added:
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
