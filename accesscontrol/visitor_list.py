"""What a manager sees of a site's unknown visitors: values, made from stored rows.

Never a vector and never a picture: there is none. Employees whom the reader may not see are not
named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db.models import QuerySet
from django.utils import timezone

from accesscontrol import likeness, model_versions, thresholds, visits
from accesscontrol.models import Employee, ModelVersion, Site, Visit, Visitor, VisitorPolicy

MOST_SHOWN = 200
"""Visitors on the page, those with most visits."""


@dataclass(frozen=True, slots=True)
class Likeliest:
    """An enrolled person whom a visitor resembles more than strangers do."""

    employee: Employee | None
    """None where the reader may not see them."""
    score: float
    meaning: str


@dataclass(frozen=True, slots=True)
class VisitorLine:
    """One unknown person. Times are UTC."""

    visitor: Visitor
    visits: int
    refusals: int
    first: datetime
    last: datetime
    forgotten: datetime
    """When the newest vector goes, if they do not come again."""
    kiosks: tuple[str, ...]
    hours: tuple[int, ...]
    """(24,) visits by the hour on the site's clock."""
    likeliest: Likeliest | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A visit without its vector."""

    COLUMNS: ClassVar = (
        "seen_at", "last_seen_at", "refusals", "expires_at", "decision__kiosk__name",
    )  # fmt: skip

    seen_at: datetime
    last_seen_at: datetime
    refusals: int
    expires_at: datetime
    kiosk: str


@dataclass(frozen=True, slots=True)
class Visitors:
    """A site's page."""

    policy: VisitorPolicy
    lines: list[VisitorLine]
    more: int
    """Visitors that are not shown."""
    once: int
    """Visits of people who came once, or were not grouped yet."""
    full: bool
    """The oldest visits made way for new ones."""


def visitors_of(policy: VisitorPolicy, visible: QuerySet[Employee]) -> Visitors:
    """Everybody unknown who came again at the policy's site, most visits first."""
    version = model_versions.active()
    rows = Visit.objects.filter(
        policy=policy, model_version=version, expires_at__gt=timezone.now()
    ).order_by("seen_at", "pk")
    by_visitor: dict[int, list[_Seen]] = defaultdict(list)
    once = 0
    for visitor, *seen_there in rows.values_list("visitor", *_Seen.COLUMNS):
        if visitor is None:
            once += 1
        else:
            by_visitor[visitor].append(_Seen(*seen_there))
    people = Visitor.objects.in_bulk(list(by_visitor))
    seen = visible.in_bulk([p.nearest_id for p in people.values() if p.nearest_id is not None])
    lines = [
        _line(people[pk], found, policy.site, _likeliest(people[pk], version, seen))
        for pk, found in by_visitor.items()
        if pk in people
    ]
    lines.sort(key=lambda line: (-line.visits, -line.last.timestamp()))
    return Visitors(
        policy,
        lines[:MOST_SHOWN],
        max(0, len(lines) - MOST_SHOWN),
        once,
        Visit.objects.filter(policy=policy).count() >= visits.MOST_VISITS,
    )


def _line(
    visitor: Visitor, rows: Sequence[_Seen], site: Site, likeliest: Likeliest | None
) -> VisitorLine:
    arrivals = _arrivals(rows)
    hours = [0] * 24
    for at in arrivals:
        hours[at.astimezone(site.zone).hour] += 1
    return VisitorLine(
        visitor,
        visits=len(arrivals),
        refusals=sum(row.refusals for row in rows),
        first=arrivals[0],
        last=max(row.last_seen_at for row in rows),
        forgotten=max(row.expires_at for row in rows),
        kiosks=tuple(sorted({row.kiosk for row in rows})),
        hours=tuple(hours),
        likeliest=likeliest,
    )


def _arrivals(rows: Sequence[_Seen]) -> list[datetime]:
    """When each visit began; rows no farther apart than SAME_VISIT are one, as two doors see it."""
    arrivals: list[datetime] = []
    until: datetime | None = None
    for row in rows:
        if until is None or row.seen_at - until > visits.SAME_VISIT:
            arrivals.append(row.seen_at)
        until = row.last_seen_at if until is None else max(until, row.last_seen_at)
    return arrivals


def _likeliest(
    visitor: Visitor, version: ModelVersion | None, seen: dict[int, Employee]
) -> Likeliest | None:
    """Whoever is as near as strangers hardly ever are: perhaps it is them, badly enrolled."""
    score = visitor.nearest_score
    if version is None or score is None or visitor.nearest_id is None:
        return None
    near = thresholds.for_false_match_rate(version, visits.LIKELY_RATE)
    if near is None or score < near:
        return None
    return Likeliest(seen.get(visitor.nearest_id), score, likeness.meaning(version, score))
