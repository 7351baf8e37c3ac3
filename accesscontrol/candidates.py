"""The candidates of a decision, kept for the record until they withdraw their consent."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from accesscontrol import look_alikes
from accesscontrol.models import CandidateScore, Decision, Employee
from accesscontrol.models.candidate import MOST_CANDIDATES

# Whoever withdrew consent since the search is kept as another person from the start.
_KEEP = """
INSERT INTO accesscontrol_candidatescore (decision_id, rank, employee_id, score)
SELECT %s, candidate.rank, consent.employee_id, candidate.score
FROM unnest(%s::bigint[], %s::float8[]) WITH ORDINALITY AS candidate(employee_id, score, rank)
LEFT JOIN accesscontrol_consent AS consent
    ON consent.employee_id = candidate.employee_id AND consent.withdrawn_at IS NULL
"""


def keep_candidates(decision: Decision, candidates: Sequence[tuple[int, float]]) -> None:
    """Write down the best MOST_CANDIDATES of these employees and scores, best first."""
    best = sorted(candidates, key=lambda candidate: candidate[1], reverse=True)[:MOST_CANDIDATES]
    if not best:
        return
    people, scores = zip(*best, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [decision.pk, list(people), list(scores)])


def forget_candidate(employee: Employee) -> None:
    """Take a person out of what was compared: the scores stay, as those of another person.

    Decisions that accepted them still say so: they are the attendance record. Whom they look like
    is known from their face alone, and is forgotten.
    """
    look_alikes.forget(employee)
    CandidateScore.objects.filter(employee=employee).update(employee=None)
    Decision.objects.filter(nearest=employee, employee__isnull=True).update(nearest=None)
