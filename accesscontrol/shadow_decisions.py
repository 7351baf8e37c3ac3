"""What the new model of a change would have decided, written down beside what was decided.

For the record only: nothing here is read by a decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Avg, Count

from accesscontrol import embedding_anew
from accesscontrol.decisions import Candidate
from accesscontrol.models import Decision, ModelChange, Outcome, ShadowDecision, Threshold

ENOUGH = 2_000
"""Walk-ups of a change on which the new model is tried; more would tell little more."""
BY_LIKENESS = (Outcome.ACCEPTED, Outcome.NO_MATCH, Outcome.AMBIGUOUS)
"""Outcomes in which the model had the last word; what it says of others means nothing."""

Agreement = ShadowDecision.Agreement


@dataclass(frozen=True, slots=True)
class Shadow:
    """What the new model saw of one presentation: its nearest people, from how many faces."""

    candidates: Sequence[Candidate]
    frames: int
    cost_ms: float
    """Of embedding all its faces by the new model, and of the search."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How the two models agree so far."""

    counts: dict[Agreement, int]
    cost_ms: float | None

    @property
    def compared(self) -> int:
        return sum(self.counts.values())

    @property
    def accepted(self) -> int:
        """Walk-ups that the model in use accepted."""
        kinds = (Agreement.SAME, Agreement.OTHER, Agreement.ONLY_OLD)
        return sum(self.counts[kind] for kind in kinds)

    @property
    def agreeing(self) -> int:
        return self.counts[Agreement.SAME] + self.counts[Agreement.NEITHER]

    @property
    def falsely_rejected(self) -> float | None:
        """Of the acceptances, the share that the new model would refuse; None without any."""
        return self.counts[Agreement.ONLY_OLD] / self.accepted if self.accepted else None


def would_accept(candidates: Sequence[Candidate], row: Threshold) -> int | None:
    """Whom the threshold lets in, by likeness alone; None for nobody."""
    ranked = sorted(candidates, key=lambda candidate: candidate.score, reverse=True)
    if not ranked or not ranked[0].score >= row.value:
        return None
    if len(ranked) > 1 and ranked[0].score - ranked[1].score < row.margin:
        return None
    return ranked[0].employee_id


def record(
    change: ModelChange, decision: Decision, row: Threshold, shadow: Shadow
) -> ShadowDecision | None:
    """Write down what the new model would have made of a decision; None if that means nothing.

    Args:
        row: in force for the new model at the decision's site.
    """
    if decision.outcome not in BY_LIKENESS or row.model_version_id != change.new_id:
        return None
    scores = sorted((candidate.score for candidate in shadow.candidates), reverse=True)
    return ShadowDecision.objects.create(
        change=change,
        decision=decision,
        site_id=decision.site_id,
        model_version_id=row.model_version_id,
        threshold_row=row,
        agreement=_agreement(decision, would_accept(shadow.candidates, row)),
        threshold=row.value,
        score=scores[0] if scores else None,
        second_score=scores[1] if len(scores) > 1 else None,
        frames=shadow.frames,
        cost_ms=shadow.cost_ms,
    )


def _agreement(decision: Decision, person: int | None) -> Agreement:
    if decision.outcome == Outcome.ACCEPTED:
        if person is None:
            return Agreement.ONLY_OLD
        return Agreement.SAME if person == decision.employee_id else Agreement.OTHER
    return Agreement.NEITHER if person is None else Agreement.ONLY_NEW


def is_wanted(change: ModelChange) -> bool:
    """Whether walk-ups tell something: all photos are through, and not enough are compared yet."""
    if change.stage != ModelChange.Stage.PREPARING or not change.shadow_percent:
        return False
    if ShadowDecision.objects.filter(change=change).count() >= ENOUGH:
        return False
    return not embedding_anew.progress(change.new).waiting


def summary(change: ModelChange) -> Summary:
    """How the two models agree, over all sites."""
    rows = ShadowDecision.objects.filter(change=change)
    counted = dict(rows.order_by().values_list("agreement").annotate(number=Count("pk")))
    cost = rows.aggregate(mean=Avg("cost_ms"))["mean"]
    return Summary({kind: counted.get(kind.value, 0) for kind in Agreement}, cost)
