"""What `decide` makes of a challenge, and what the database makes of an acceptance without one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from accesscontrol.challenges import Challenged, ChallengeRule
from accesscontrol.decisions import (
    Candidate,
    PadRule,
    Recorded,
    Verdict,
    decide,
    kiosk_message,
    record_decision,
)
from accesscontrol.models import Decision, Outcome, PadPolicy, Punch
from tests.accesscontrol.test_decide import EVIDENCE, NOW, POLICY, scores
from tests.presentations import Door, door, evidence

RULE = ChallengeRule(movements=2)
BEST = scores(0.8, 0.3)[0].employee_id
DONE = Challenged(person=BEST, done=2, fulfilled=True)
RECORD: dict[str, object] = {
    "end": "FULFILLED",
    "movements": [
        {"movement": "LEFT", "prompted_ms": 400, "reached_ms": 1300, "back_ms": 1800},
        {"movement": "RIGHT", "prompted_ms": 1850, "reached_ms": 2900, "back_ms": 3400},
    ],
    "level": [1.0, -2.0],
    "poses": [[400, 1.0, -2.0], [1300, 30.0, 0.0], [3400, 0.0, 0.0]],
}


def outcome(
    shown: Challenged | None,
    candidates: list[Candidate] | None = None,
    *,
    rule: ChallengeRule | None = RULE,
    **evidence: Any,
) -> Outcome:
    seen = replace(EVIDENCE, challenge=shown, **evidence)
    found = scores(0.8, 0.3) if candidates is None else candidates
    return decide(seen, found, replace(POLICY, challenge=rule), NOW).outcome


def test_who_did_what_was_asked_is_accepted() -> None:
    assert outcome(DONE) is Outcome.ACCEPTED


def test_who_was_not_asked_is_not() -> None:
    assert outcome(None) is Outcome.CHALLENGE


@pytest.mark.parametrize(
    "shown",
    [
        replace(DONE, fulfilled=False),
        replace(DONE, done=1),
        replace(DONE, done=0),
        replace(DONE, person=BEST + 1),
        replace(DONE, fulfilled=1),  # type: ignore[arg-type]
        replace(DONE, fulfilled="yes"),  # type: ignore[arg-type]
    ],
)
def test_in_part_by_somebody_else_or_as_no_clear_yes_it_is_not_done(shown: Challenged) -> None:
    assert outcome(shown) is Outcome.CHALLENGE


@pytest.mark.parametrize("movements", [0, -1])
def test_a_rule_that_asks_for_nothing_is_no_rule(movements: int) -> None:
    assert outcome(DONE, rule=ChallengeRule(movements)) is Outcome.CHALLENGE


def test_a_site_that_does_not_ask_is_as_before() -> None:
    assert outcome(None, rule=None) is Outcome.ACCEPTED
    assert outcome(replace(DONE, fulfilled=False), rule=None) is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("expected", "candidates", "evidence"),
    [
        (Outcome.TOO_FAR, scores(0.8), {"face_width": 10.0}),
        (Outcome.LOW_QUALITY, scores(0.8), {"frames": 2}),
        (Outcome.EMPTY_GALLERY, [], {}),
        (Outcome.NO_MATCH, scores(0.1), {}),
        (Outcome.AMBIGUOUS, scores(0.8, 0.79), {}),
    ],
)
def test_asked_is_only_who_would_be_accepted(
    expected: Outcome, candidates: list[Candidate], evidence: dict[str, Any]
) -> None:
    assert outcome(None, candidates, **evidence) is expected
    assert outcome(DONE, candidates, **evidence) is expected


def test_attack_scores_go_on_counting_whatever_was_done() -> None:
    rule = PadRule(model="net 1", threshold=0.8, fewest_frames=3)
    seen = replace(EVIDENCE, challenge=DONE, pad_score=0.9, pad_frames=EVIDENCE.frames)
    policy = replace(POLICY, challenge=RULE, pad=rule)
    assert decide(seen, scores(0.8, 0.3), policy, NOW).outcome is Outcome.PAD_FAILED


@given(
    fulfilled=st.booleans(),
    done=st.integers(-3, 5),
    person=st.integers(0, 5),
    movements=st.integers(-2, 5),
)
def test_an_acceptance_always_has_its_challenge(
    fulfilled: bool, done: int, person: int, movements: int
) -> None:
    shown = Challenged(person, done, fulfilled)
    if outcome(shown, rule=ChallengeRule(movements)) is Outcome.ACCEPTED:
        assert fulfilled
        assert done >= movements >= 1
        assert person == BEST


@pytest.fixture
def strict(db: None) -> Door:
    opened = door(pad_policy=PadPolicy.STRICT)
    return replace(opened, policy=replace(opened.policy, challenge=RULE))


def recorded(strict: Door, verdict: Verdict, shown: Challenged | None) -> Recorded:
    return record_decision(strict.kiosk.pk, evidence(challenge=shown), verdict, strict.policy)


@pytest.mark.django_db
class TestTheRecord:
    def test_it_says_what_was_asked_when_and_how_the_head_was_held(self, strict: Door) -> None:
        shown = Challenged(strict.employee.pk, 2, fulfilled=True, record=RECORD)
        decision = recorded(strict, strict.accepted, shown).decision
        decision.refresh_from_db()
        assert decision.evidence["challenge"] == {"fulfilled": True, **RECORD}
        assert decision.evidence["policy"]["challenge"] == {"movements": 2}
        assert Punch.objects.count() == 1

    def test_a_refusal_is_no_punch_and_names_another_way_in(self, strict: Door) -> None:
        verdict = Verdict(Outcome.CHALLENGE, strict.accepted.best, strict.accepted.second)
        made = recorded(strict, verdict, None)
        told = kiosk_message(made, 1)
        assert (told["outcome"], told["employee"]) == ("CHALLENGE", None)
        assert "PIN or badge" in str(told["reason"])
        assert not Punch.objects.exists()

    @pytest.mark.parametrize("fulfilled", [None, False])
    def test_the_database_refuses_an_acceptance_without_it(
        self, strict: Door, fulfilled: bool | None
    ) -> None:
        shown = None
        if fulfilled is not None:
            shown = Challenged(strict.employee.pk, 2, fulfilled, record=RECORD)
        problem = "decision_accepted_after_its_challenge"
        with pytest.raises(IntegrityError, match=problem), transaction.atomic():
            recorded(strict, strict.accepted, shown)
        assert not Decision.objects.exists()
