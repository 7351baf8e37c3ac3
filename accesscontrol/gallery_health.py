"""Gallery health: whose templates no longer serve, and what HR can do about it.

Made from decisions, HR's corrections of them and the templates themselves, when somebody looks.
Nothing here changes a template: what is found are proposals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accesscontrol import model_versions, quality, thresholds
from accesscontrol.models import Decision, Employee, LookAlike, ModelVersion, Site, Threshold

LOOK_BACK = timedelta(days=30)
"""For refusals and mistakes."""
TREND_OVER = timedelta(days=180)
NEWEST_ACCEPTED = 40
"""Acceptances of a person that a trend is taken from, their newer half against the older one."""
FEWEST_OF_A_HALF = 5
SURE = 3.0
"""Standard errors that a fall must exceed, so that a few bad mornings are none."""
REPEATED = 3
"""Refusals in LOOK_BACK that are a pattern."""
TRIED_AGAIN = timedelta(minutes=2)
SETTLED_IN = timedelta(days=14)
"""Enrolled this long ago, and never seen."""
LIKELY_RATE = "1e-4"
"""At this calibrated false match rate a refused face was probably the nearest person's."""
MOST_COMPARISONS = 2_000_000
MOST_PAIRS = 50


@dataclass(frozen=True, slots=True)
class Proposal:
    """A person who should be enrolled anew, and what speaks for it."""

    employee: Employee
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """Two people of the site whose templates reach its threshold for each other."""

    one: Employee
    other: Employee
    score: float
    kept: LookAlike | None
    """What a kiosk asks the PIN for; None: whoever is near both is refused."""


@dataclass(frozen=True, slots=True)
class Mistaken:
    """Somebody was accepted as another person, as HR says."""

    taken_for: Employee
    was: Employee | None
    """None: HR does not know, or the reader may not see them."""
    count: int


@dataclass(frozen=True, slots=True)
class GalleryHealth:
    """What the page of a site shows."""

    enrolled: int
    decided: int
    """Decisions within LOOK_BACK."""
    proposals: list[Proposal]
    mistaken: list[Mistaken]
    look_alikes: list[LookAlikes]
    compared: tuple[int, int]
    """How many of the newest templates were compared with all, and how many there are."""
    never_seen: list[Employee]


def gallery_health(site: Site, visible: QuerySet[Employee]) -> GalleryHealth:
    """Look at a site's gallery under the active model version; only `visible` people are named."""
    now = timezone.now()
    decided = Decision.objects.filter(site=site, decided_at__gte=now - LOOK_BACK).count()
    mistaken = _mistaken(site, now)
    version = model_versions.active()
    if version is None:
        people = visible.in_bulk([pk for row in mistaken for pk in row[:2] if pk])
        return GalleryHealth(0, decided, [], _named(mistaken, people), [], (0, 0), [])
    row = thresholds.in_force(site.pk, version.pk)
    reasons: dict[int, list[str]] = defaultdict(list)
    for found in (
        _repeat_rejects(site, version, row, now),
        _falling(site, version, row, now) if row else (),
        _poor(site, version),
    ):
        for pk, reason in found:
            reasons[pk].append(reason)
    pairs, compared = _look_alikes(site, version, row)
    unseen = _never_seen(site, version, now)
    kept = {(p.one_id, p.other_id): p for p in LookAlike.objects.all()} if pairs else {}
    named = {*reasons, *unseen}
    named |= {pk for pair in (*pairs, *mistaken) for pk in pair[:2] if pk}
    people = visible.select_related("site").in_bulk(sorted(named))
    proposals = [Proposal(people[pk], tuple(why)) for pk, why in reasons.items() if pk in people]
    return GalleryHealth(
        enrolled=_enrolled(site, version).distinct().count(),
        decided=decided,
        proposals=sorted(proposals, key=lambda p: (-len(p.reasons), p.employee.name)),
        mistaken=_named(mistaken, people),
        look_alikes=[
            LookAlikes(people[one], people[other], score, kept.get((one, other)))
            for one, other, score in pairs
            if one in people and other in people
        ],
        compared=compared,
        never_seen=sorted(
            (people[pk] for pk in unseen if pk in people), key=lambda person: person.name
        ),
    )


def _named(
    rows: Iterable[tuple[int, int | None, int]], people: dict[int, Employee]
) -> list[Mistaken]:
    return [
        Mistaken(people[taken], people.get(was) if was else None, count)
        for taken, was, count in rows
        if taken in people
    ]


def _enrolled(site: Site, version: ModelVersion) -> QuerySet[Employee]:
    people = Employee.objects.admitted_to(site.pk)
    return people.filter(is_active=True, templates__model_version=version)


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


# What HR says of a decision, if anything: the correction that none replaces.
_HOLDING = """
LEFT JOIN accesscontrol_correction AS correction
    ON correction.decision_id = decision.id AND NOT EXISTS (
        SELECT FROM accesscontrol_correction AS later WHERE later.replaces_id = correction.id)
"""

# What was before a person's newest template says nothing about how that one serves.
_SINCE_ENROLLED = """
    SELECT template.employee_id, max(template.created_at) AS at
    FROM accesscontrol_template AS template
    JOIN accesscontrol_gallery AS entry ON entry.template_id = template.id
    WHERE entry.site_id = %(site)s AND entry.model_version_id = %(version)s
    GROUP BY template.employee_id
"""

_REJECTED = f"""
WITH enrolled AS ({_SINCE_ENROLLED}), refused AS (
    SELECT coalesce(correction.employee_id, decision.nearest_id) AS person, decision.decided_at,
           correction.employee_id IS NOT NULL AS marked
    FROM accesscontrol_decision AS decision {_HOLDING}
    WHERE decision.site_id = %(site)s AND decision.decided_at >= %(since)s
      AND decision.employee_id IS NULL AND decision.method = 'FACE'
      AND NOT EXISTS (SELECT FROM accesscontrol_decision AS settled
                      WHERE settled.steps_up_id = decision.id AND settled.outcome = 'ACCEPTED')
      AND (correction.employee_id IS NOT NULL
           OR correction.id IS NULL AND decision.model_version_id = %(version)s
              AND decision.outcome IN ('NO_MATCH', 'AMBIGUOUS') AND decision.nearest_id IS NOT NULL
              AND (decision.score >= %(likely)s OR EXISTS (
                  SELECT FROM accesscontrol_decision AS again
                  WHERE again.site_id = decision.site_id
                    AND again.employee_id = decision.nearest_id
                    AND again.decided_at > decision.decided_at
                    AND again.decided_at <= decision.decided_at + %(again)s)))
)
SELECT person, count(*), count(*) FILTER (WHERE marked)
FROM refused JOIN enrolled ON enrolled.employee_id = person AND decided_at > enrolled.at
GROUP BY person
HAVING count(*) >= %(repeated)s OR count(*) FILTER (WHERE marked) > 0
"""  # noqa: S608  constants of this module


def _repeat_rejects(
    site: Site, version: ModelVersion, row: Threshold | None, now: datetime
) -> list[tuple[int, str]]:
    """People who were probably, or as HR says, refused; by refusals of LOOK_BACK."""
    likely = thresholds.for_false_match_rate(version, LIKELY_RATE)
    if likely is None:
        likely = row.value - row.margin if row else 1.0
    found = _rows(
        _REJECTED,
        {
            "site": site.pk,
            "version": version.pk,
            "since": now - LOOK_BACK,
            "likely": likely,
            "again": TRIED_AGAIN,
            "repeated": REPEATED,
        },
    )
    return [(pk, _rejected_text(count, marked)) for pk, count, marked in found]


def _rejected_text(count: int, marked: int) -> str:
    text = ngettext(
        "probably refused once in 30 days", "probably refused %(n)d times in 30 days", count
    ) % {"n": count}
    if not marked:
        return text
    return text + ngettext(
        " (HR says so of %(n)d)", " (HR says so of %(n)d)", marked
    ) % {"n": marked}  # fmt: skip


_FALLING = f"""
WITH enrolled AS ({_SINCE_ENROLLED}), accepted AS (
    SELECT decision.employee_id, decision.score,
           row_number() OVER person AS age,
           least(count(*) OVER (PARTITION BY decision.employee_id), %(most)s) AS n
    FROM accesscontrol_decision AS decision
    JOIN enrolled ON enrolled.employee_id = decision.employee_id
                 AND decision.decided_at > enrolled.at
    {_HOLDING}
    WHERE decision.site_id = %(site)s AND decision.model_version_id = %(version)s
      AND decision.decided_at >= %(since)s AND decision.outcome = 'ACCEPTED'
      AND decision.method = 'FACE'
      AND (correction.id IS NULL OR correction.employee_id = decision.employee_id)
    WINDOW person AS (PARTITION BY decision.employee_id ORDER BY decision.decided_at DESC)
), halves AS (
    SELECT employee_id,
           avg(score) FILTER (WHERE age <= n / 2) AS newer,
           avg(score) FILTER (WHERE age > n / 2) AS older,
           sqrt(var_samp(score) FILTER (WHERE age <= n / 2) / (n / 2)
                + var_samp(score) FILTER (WHERE age > n / 2) / (n - n / 2)) AS error
    FROM accepted WHERE age <= n
    GROUP BY employee_id, n
    HAVING n / 2 >= %(fewest)s
)
SELECT employee_id, older, newer FROM halves
WHERE older - newer > %(sure)s * error AND older - newer >= %(margin)s
"""  # noqa: S608  constants of this module


def _falling(
    site: Site, version: ModelVersion, row: Threshold, now: datetime
) -> list[tuple[int, str]]:
    """People whose accepted scores fall: their faces grow away from their templates."""
    found = _rows(
        _FALLING,
        {
            "site": site.pk,
            "version": version.pk,
            "since": now - TREND_OVER,
            "most": NEWEST_ACCEPTED,
            "fewest": FEWEST_OF_A_HALF,
            "sure": SURE,
            "margin": row.margin,
        },
    )
    text = _("likeness fell from %(older).2f to %(newer).2f; the threshold is %(asked).2f")
    return [
        (pk, text % {"older": older, "newer": newer, "asked": row.value})
        for pk, older, newer in found
    ]


_POOR = """
SELECT DISTINCT ON (template.employee_id) template.employee_id, photo.quality->>'shortfall',
       bool_and(coalesce(photo.quality->>'shortfall', '') <> '')
           OVER (PARTITION BY template.employee_id)
FROM accesscontrol_template AS template
JOIN accesscontrol_gallery AS entry ON entry.template_id = template.id
JOIN accesscontrol_enrolmentphoto AS photo ON photo.id = template.photo_id
WHERE entry.site_id = %(site)s AND entry.model_version_id = %(version)s
ORDER BY template.employee_id, (photo.quality->>'score')::float8 DESC NULLS LAST
"""


def _poor(site: Site, version: ModelVersion) -> list[tuple[int, str]]:
    """People whose best photo lacks something."""
    found = []
    for pk, word, all_lack in _rows(_POOR, {"site": site.pk, "version": version.pk}):
        shortfall = quality.known(word)
        if all_lack and shortfall:
            text = _("even the best photo is poor: %(why)s") % {"why": shortfall.label}
            found.append((pk, text))
    return found


_MISTAKEN = f"""
SELECT decision.employee_id, correction.employee_id, count(*)
FROM accesscontrol_decision AS decision {_HOLDING}
WHERE decision.site_id = %(site)s AND decision.decided_at >= %(since)s
  AND decision.employee_id IS NOT NULL AND correction.id IS NOT NULL
  AND correction.employee_id IS DISTINCT FROM decision.employee_id
GROUP BY 1, 2 ORDER BY 3 DESC, 1
"""  # noqa: S608  constants of this module


def _mistaken(site: Site, now: datetime) -> list[tuple[int, int | None, int]]:
    found = _rows(_MISTAKEN, {"site": site.pk, "since": now - LOOK_BACK})
    return [(taken, was, count) for taken, was, count in found]


_LOOK_ALIKES = """
WITH gallery AS MATERIALIZED (
    SELECT template_id AS id, employee_id, rotation_id, embedding
    FROM accesscontrol_gallery
    WHERE site_id = %(site)s AND model_version_id = %(version)s
), newest AS MATERIALIZED (SELECT * FROM gallery ORDER BY id DESC LIMIT %(checked)s)
SELECT least(one.employee_id, other.employee_id), greatest(one.employee_id, other.employee_id),
       max(-(one.embedding <#> other.embedding)) AS score
FROM newest AS one
JOIN gallery AS other ON other.id < one.id AND other.employee_id <> one.employee_id
                     AND other.rotation_id = one.rotation_id
WHERE -(one.embedding <#> other.embedding) >= %(threshold)s
GROUP BY 1, 2 ORDER BY 3 DESC LIMIT %(most)s
"""


def _look_alikes(
    site: Site, version: ModelVersion, row: Threshold | None
) -> tuple[list[tuple[int, int, float]], tuple[int, int]]:
    """Pairs at or above the threshold, the nearest first; and how much was compared.

    Each template with each is a square: where that is more than MOST_COMPARISONS the newest
    templates only are compared with all.
    """
    total = _enrolled(site, version).count()
    if row is None or total < 2:
        return [], (0, total)
    checked = total if total * total <= MOST_COMPARISONS * 2 else MOST_COMPARISONS // total
    found = _rows(
        _LOOK_ALIKES,
        {
            "site": site.pk,
            "version": version.pk,
            "checked": max(checked, 1),
            "threshold": row.value,
            "most": MOST_PAIRS,
        },
    )
    return [(one, other, float(score)) for one, other, score in found], (max(checked, 1), total)


_NEVER_SEEN = f"""
SELECT enrolled.employee_id FROM ({_SINCE_ENROLLED}) AS enrolled
WHERE enrolled.at < %(settled)s
  AND NOT EXISTS (SELECT FROM accesscontrol_decision AS decision
                  WHERE decision.employee_id = enrolled.employee_id)
  AND NOT EXISTS (SELECT FROM accesscontrol_punch AS punch
                  WHERE punch.employee_id = enrolled.employee_id)
"""  # noqa: S608  constants of this module


def _never_seen(site: Site, version: ModelVersion, now: datetime) -> list[int]:
    parameters = {"site": site.pk, "version": version.pk, "settled": now - SETTLED_IN}
    return [pk for (pk,) in _rows(_NEVER_SEEN, parameters)]
