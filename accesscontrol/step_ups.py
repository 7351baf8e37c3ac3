"""The step-up of look-alikes: who cannot be told from one other person is asked for a PIN or badge.

The presentation is decided, and refused as AMBIGUOUS, with an offer in its evidence. What answers
the offer is a decision of its own that points at the refusal; at most one of them accepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from accesscontrol.decisions import (
    Candidate,
    Evidence,
    Policy,
    Recorded,
    Verdict,
    decide,
)
from accesscontrol.look_alikes import pair_of
from accesscontrol.models import Badge, Decision, Employee, LookAlike, Outcome, Pin

OFFERED = timedelta(seconds=20)
"""For how long an answer is waited for, from the decision on."""
MOST_TRIES = 3
ASKED = "Please enter your PIN."

SETTLED = "STEP_UP"
"""What a worker notes of a presentation that was asked: it is not tried anew while they stay."""


def pair_to_ask(
    evidence: Evidence,
    verdict: Verdict,
    candidates: Sequence[Candidate],
    policy: Policy | None,
) -> LookAlike | None:
    """The pair that a step-up may settle, or None for whom a refusal stays one.

    Only where nothing but the pair's other person stands between the best one and an acceptance,
    nobody else is within the margin, and one of the two has something to answer with.
    """
    best, second = verdict.best, verdict.second
    if verdict.outcome is not Outcome.AMBIGUOUS or policy is None or best is None or second is None:
        return None
    alone = decide(evidence, [best], policy, evidence.received_at)
    if alone.outcome not in (Outcome.ACCEPTED, Outcome.CHALLENGE):
        return None  # at a strict site the PIN stands for the movement, too
    within = [c for c in candidates if best.score - c.score < policy.margin]
    if {c.employee_id for c in within} != {best.employee_id, second.employee_id}:
        return None
    pair = pair_of(best.employee_id, second.employee_id)
    return pair if pair and _can_answer(pair) else None


def _can_answer(pair: LookAlike) -> bool:
    people = [pair.one_id, pair.other_id]
    pins = Pin.objects.filter(employee__in=people, ended_at__isnull=True)
    badges = Badge.objects.filter(employee__in=people, revoked_at__isnull=True)
    return pins.exists() or badges.exists()


def with_offer(evidence: Evidence, pair: LookAlike) -> Evidence:
    """The evidence, with the offer for the record."""
    return replace(evidence, trace={**evidence.trace, "step_up": {"pair": pair.pk}})


def asks(message: dict[str, object], recorded: Recorded) -> dict[str, object]:
    """A decision's message to the kiosk, which asks for the PIN if the decision offers that."""
    if not offered_pair(recorded.decision):
        return message
    return {**message, "reason": ASKED, "ask_pin_ms": OFFERED // timedelta(milliseconds=1)}


def offered_pair(decision: Decision) -> int | None:
    """The number of the pair for which a decision offers a step-up, or None."""
    step_up = decision.evidence.get("step_up")
    pair = step_up.get("pair") if isinstance(step_up, dict) else None
    asked = decision.outcome == Outcome.AMBIGUOUS and isinstance(pair, int)
    return pair if asked else None


def settled_as(decision: Decision) -> str:
    """What a worker notes of a presentation that was decided: its outcome, or SETTLED."""
    return SETTLED if offered_pair(decision) else str(decision.outcome)


@dataclass(frozen=True, slots=True)
class Offer:
    """A refusal that offered a step-up, and whether it can still be answered."""

    refusal: Decision
    pair: LookAlike | None
    """None: the pair was ended, or a consent withdrawn, meanwhile."""
    is_open: bool

    @property
    def people(self) -> list[Employee]:
        return [self.pair.one, self.pair.other] if self.pair and self.is_open else []


def find_offer(kiosk_id: UUID, presentation: UUID, now: datetime) -> Offer | None:
    """The offer that this presentation at this kiosk got; None if it got none."""
    refusal = Decision.objects.filter(kiosk=kiosk_id, presentation=presentation).first()
    number = offered_pair(refusal) if refusal else None
    if refusal is None or number is None:
        return None
    pair = LookAlike.objects.select_related("one", "other").filter(pk=number).first()
    answers = Decision.objects.filter(steps_up=refusal)
    used = answers.filter(Q(outcome=Outcome.ACCEPTED)).exists() or answers.count() >= MOST_TRIES
    in_time = refusal.decided_at <= now <= refusal.decided_at + OFFERED
    return Offer(refusal, pair, is_open=in_time and not used and pair is not None)
