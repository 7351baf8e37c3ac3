"""Grouping a site's visits by person: what is grouped, and how visitors go on over it.

A worker does the grouping (`recognition.visitors`). What it found is put down under the policy's
lock against what the database holds then, so a visit that went meanwhile stays gone, two workers
at once come to the same, and one that dies halfway leaves what was there before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Exists, Max, OuterRef
from django.utils import timezone

from accesscontrol import keyring, surveys, visits
from accesscontrol.models import Consent, Employee, ModelVersion, Visit, Visitor, VisitorPolicy

COMING_AGAIN = 2
"""Visits that make a visitor; somebody who came once is only counted."""


@dataclass(frozen=True, slots=True)
class Group:
    """Visits of one person, and the employee whose template lies nearest to their middle."""

    visits: tuple[int, ...]
    nearest: tuple[int, float] | None = None
    """None where nobody is enrolled."""


def stamp_of(policy: VisitorPolicy, version: ModelVersion) -> str:
    """Short text that changes with the visits, the gallery, and the number of people asked for."""
    found = Visit.objects.filter(policy=policy).aggregate(n=Count("pk"), last=Max("pk"))
    known = (version.pk, policy.people, found["n"], found["last"])
    text = f"{known} {_rotation()} {surveys.stamp_of(policy.site_id, version.pk)}"
    return hashlib.sha256(text.encode()).hexdigest()


def visits_to_group(policy: VisitorPolicy, version: ModelVersion) -> list[Visit]:
    """Those that can be compared with each other and have not expired, the first one first."""
    return list(
        Visit.objects.filter(
            policy=policy,
            model_version=version,
            rotation_id=_rotation(),
            expires_at__gt=timezone.now(),
        )
        .only("pk", "embedding")
        .order_by("seen_at", "pk")[: visits.MOST_VISITS]
    )


@transaction.atomic
def put_down(
    policy: VisitorPolicy,
    version: ModelVersion,
    groups: Sequence[Group],
    *,
    known: Sequence[int],
    stamp: str,
) -> None:
    """Make visitors of the groups; delete the `known` visits, of people who are enrolled by now.

    A visitor goes on in the group that has most of its visits. Where several come together the
    one with most visits there goes on; where one falls apart its other visits are a new visitor.
    """
    allowed = _with_consent([group.nearest[0] for group in groups if group.nearest])
    if not visits.lock([policy.pk]):
        return  # switched off meanwhile
    Visit.objects.filter(policy=policy, pk__in=known).delete()
    present = Visit.objects.filter(policy=policy, model_version=version)
    before = dict(present.values_list("pk", "visitor"))
    left = [
        Group(tuple(visit for visit in group.visits if visit in before), group.nearest)
        for group in groups
    ]
    left = [group for group in left if group.visits]
    owners = _owners(policy, version, left, before)
    _give_visits(left, owners, before)
    _say_who_is_near(left, owners, allowed)
    Visitor.objects.filter(policy=policy, visits__isnull=True).delete()
    VisitorPolicy.objects.filter(pk=policy.pk).update(stamp=stamp)


def continued(
    groups: Sequence[Sequence[int]], before: Mapping[int, int | None]
) -> list[int | None]:
    """For each group of visits the visitor that goes on in it, None for none.

    `before` says whose each visit was. A visitor goes on in one group at most, a group continues
    one visitor at most; most visits in common go first, then the older visitor.
    """
    common = [
        (-count, visitor, place)
        for place, group in enumerate(groups)
        for visitor, count in Counter(before.get(visit) for visit in group).items()
        if visitor is not None
    ]
    found: list[int | None] = [None] * len(groups)
    taken: set[int] = set()
    for _, visitor, place in sorted(common):
        if found[place] is None and visitor not in taken:
            found[place] = visitor
            taken.add(visitor)
    return found


def _owners(
    policy: VisitorPolicy,
    version: ModelVersion,
    groups: Sequence[Group],
    before: Mapping[int, int | None],
) -> list[int | None]:
    """For each group the visitor that it is of: one that goes on, a new one, or none."""
    owners = continued([group.visits for group in groups], before)
    new = [
        place
        for place, group in enumerate(groups)
        if owners[place] is None and len(group.visits) >= COMING_AGAIN
    ]
    made = Visitor.objects.bulk_create(Visitor(policy=policy, model_version=version) for _ in new)
    for place, visitor in zip(new, made, strict=True):
        owners[place] = visitor.pk
    return owners


def _give_visits(
    groups: Sequence[Group], owners: Sequence[int | None], before: Mapping[int, int | None]
) -> None:
    changed = [
        (visit, owner)
        for group, owner in zip(groups, owners, strict=True)
        for visit in group.visits
        if before[visit] != owner
    ]
    if changed:
        found, whose = zip(*changed, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE accesscontrol_visit SET visitor_id = given.owner"
                " FROM unnest(%s::bigint[], %s::bigint[]) AS given(visit, owner)"
                " WHERE id = given.visit",
                [list(found), list(whose)],
            )


def _with_consent(people: Sequence[int]) -> set[int]:
    """Those who have not withdrawn consent since the comparison, locked until the commit.

    Before the policy, as whoever accepts a photo or withdraws a consent locks.
    """
    live = Consent.objects.filter(employee=OuterRef("pk"), withdrawn_at__isnull=True)
    rows = Employee.objects.select_for_update(no_key=True).filter(Exists(live), pk__in=set(people))
    return {person.pk for person in rows.order_by("pk").only("pk")}


def _say_who_is_near(
    groups: Sequence[Group], owners: Sequence[int | None], allowed: set[int]
) -> None:
    rows = []
    for group, owner in zip(groups, owners, strict=True):
        if owner is None:
            continue
        person, score = group.nearest or (0, 0.0)
        near = person in allowed
        rows.append(
            Visitor(
                pk=owner,
                nearest_id=person if near else None,
                nearest_score=score if near else None,
            )
        )
    Visitor.objects.bulk_update(rows, ["nearest", "nearest_score"], batch_size=500)


def _rotation() -> str:
    return keyring.load(settings.KEYRING_PATH).templates.current
