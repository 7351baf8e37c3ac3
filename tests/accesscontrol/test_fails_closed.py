"""A thousand faults between the search and the record: not one punch (REQUIREMENTS D4)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accesscontrol.decisions import Candidate, Evidence, Policy, decide, record_decision
from accesscontrol.models import Decision, Outcome, Punch
from tests.presentations import Door, door, evidence

pytestmark = pytest.mark.django_db

NOT_NUMBERS = (float("nan"), float("inf"), float("-inf"))


@dataclass(frozen=True, slots=True)
class Case:
    """What would be accepted, were it not for one fault."""

    evidence: Evidence
    candidates: list[Candidate] | None
    policy: Policy | None


Fault = Callable[[Case, random.Random], Case]


def in_evidence(field: str, *values: object) -> Fault:
    def fault(case: Case, dice: random.Random) -> Case:
        changes: dict[str, Any] = {field: dice.choice(values)}
        return replace(case, evidence=replace(case.evidence, **changes))

    return fault


def in_policy(field: str, *values: object) -> Fault:
    def fault(case: Case, dice: random.Random) -> Case:
        assert case.policy is not None
        changes: dict[str, Any] = {field: dice.choice(values)}
        return replace(case, policy=replace(case.policy, **changes))

    return fault


def in_scores(*values: float) -> Fault:
    def fault(case: Case, dice: random.Random) -> Case:
        found = list(case.candidates or [])
        place = dice.randrange(len(found))
        found[place] = Candidate(found[place].employee_id, dice.choice(values))
        return replace(case, candidates=found)

    return fault


def _first(case: Case) -> int:
    assert case.candidates
    return case.candidates[0].employee_id


def too_late(case: Case, dice: random.Random) -> Case:
    seconds = dice.choice([-1, 1]) * dice.uniform(11, 10**7)
    received = case.evidence.received_at - timedelta(seconds=seconds)
    return replace(case, evidence=replace(case.evidence, received_at=received))


FAULTS: dict[str, Fault] = {
    "the search failed": lambda case, _: replace(case, candidates=None),
    "the gallery is empty": lambda case, _: replace(case, candidates=[]),
    "no threshold": lambda case, _: replace(case, policy=None),
    "an impossible score": in_scores(*NOT_NUMBERS, 2.0, -2.0, 1.5),
    "too far from everybody": lambda case, dice: replace(
        case, candidates=[Candidate(_first(case), dice.uniform(-1, 0.6199))]
    ),
    "a look-alike": lambda case, dice: replace(
        case, candidates=[*(case.candidates or []), Candidate(0, 0.83 - dice.uniform(0, 0.0499))]
    ),
    "stale or from the future": too_late,
    "a quality that is none": in_evidence("quality", *NOT_NUMBERS),
    "a width that is none": in_evidence("face_width", *NOT_NUMBERS, 0.0, -5.0, 39.0),
    "too few frames": in_evidence("frames", 0, 1, 2),
    "a threshold that is none": in_policy("threshold", *NOT_NUMBERS, 0.0, 1.0, -1.0),
    "a margin that is none": in_policy("margin", *NOT_NUMBERS, -0.1),
    "a least width that is none": in_policy("smallest_face", *NOT_NUMBERS),
    "a least quality that is none": in_policy("lowest_quality", *NOT_NUMBERS),
    "no frames asked for": in_policy("fewest_frames", 0, -1),
}


def sound(entrance: Door) -> Case:
    return Case(
        evidence(),
        [Candidate(entrance.employee.pk, 0.83), Candidate(entrance.employee.pk, 0.2)],
        entrance.policy,
    )


def record(entrance: Door, case: Case) -> Outcome:
    verdict = decide(case.evidence, case.candidates, case.policy, timezone.now())
    decision = record_decision(entrance.kiosk.pk, case.evidence, verdict, case.policy).decision
    return Outcome(decision.outcome)


def test_without_a_fault_the_person_is_accepted() -> None:
    entrance = door()
    assert record(entrance, sound(entrance)) is Outcome.ACCEPTED


def test_a_thousand_faults_make_no_punch() -> None:
    entrance = door()
    dice = random.Random(4)
    names = sorted(FAULTS)
    for number in range(1_000):
        name = names[number % len(names)]
        case = FAULTS[name](sound(entrance), dice)
        assert record(entrance, case) is not Outcome.ACCEPTED, name
    assert Decision.objects.count() == 1_000, "every refusal is on record"
    assert not Punch.objects.exists()
