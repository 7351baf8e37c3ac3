"""A decision's candidates and frames: kept for the record, bounded, forgotten on withdrawal."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from accesscontrol import enrolment
from accesscontrol.decisions import Candidate, Recorded, Verdict, record_decision
from accesscontrol.models import CandidateScore, Decision, Employee, Outcome
from tests.constraints import refused
from tests.factories import EmployeeFactory
from tests.presentations import Door, door, evidence

pytestmark = pytest.mark.django_db


@pytest.fixture
def entrance() -> Door:
    return door()


@pytest.fixture
def crowd(entrance: Door) -> list[Employee]:
    people = [EmployeeFactory.create(site=entrance.site, consented=True) for _ in range(6)]
    return [entrance.employee, *people]


def decided(entrance: Door, candidates: list[Candidate], **fields: Any) -> Recorded:
    """A refusal with these people near."""
    verdict = Verdict(Outcome.NO_MATCH, *candidates[:2])
    seen = evidence(**fields)
    return record_decision(entrance.kiosk.pk, seen, verdict, entrance.policy, candidates)


def near(*people: Employee) -> list[Candidate]:
    return [Candidate(person.pk, 0.6 - 0.05 * n) for n, person in enumerate(people)]


def kept(decision: Decision) -> list[tuple[int, int | None, float]]:
    rows = CandidateScore.objects.filter(decision=decision)
    return list(rows.values_list("rank", "employee_id", "score"))


def test_the_best_five_are_kept_best_first(entrance: Door, crowd: list[Employee]) -> None:
    decision = decided(entrance, near(*crowd)[::-1]).decision
    assert [row[:2] for row in kept(decision)] == [
        (rank, person.pk) for rank, person in enumerate(crowd[:5], start=1)
    ]
    assert [row[2] for row in kept(decision)] == pytest.approx([0.6, 0.55, 0.5, 0.45, 0.4])


def test_the_same_presentation_again_keeps_them_once(entrance: Door, crowd: list[Employee]) -> None:
    seen = evidence()
    verdict = Verdict(Outcome.NO_MATCH, *near(*crowd)[:2])
    for _ in range(3):
        record_decision(entrance.kiosk.pk, seen, verdict, entrance.policy, near(*crowd))
    assert CandidateScore.objects.count() == 5


@pytest.mark.parametrize("score", [math.nan, math.inf, 2.0])
def test_a_score_that_is_none_is_not_kept(entrance: Door, score: float) -> None:
    verdict, candidates = Verdict(Outcome.ERROR), [Candidate(entrance.employee.pk, score)]
    record_decision(entrance.kiosk.pk, evidence(), verdict, entrance.policy, candidates)
    assert not CandidateScore.objects.exists()


class TestWithdrawal:
    def test_whoever_withdraws_is_another_person_from_then_on(
        self, entrance: Door, crowd: list[Employee]
    ) -> None:
        decision = decided(entrance, near(*crowd[:3])).decision
        enrolment.withdraw_consent(crowd[0], by=None)
        decision.refresh_from_db()
        assert decision.nearest is None
        assert [row[1] for row in kept(decision)] == [None, crowd[1].pk, crowd[2].pk]
        assert kept(decision)[0][2] == 0.6, "the score still explains the decision"

    def test_an_acceptance_stays_with_its_punch(self, entrance: Door) -> None:
        accepted = entrance.walk_up().decision
        enrolment.withdraw_consent(entrance.employee, by=None)
        accepted.refresh_from_db()
        assert accepted.employee == accepted.nearest == entrance.employee

    def test_who_withdrew_between_search_and_decision_is_not_named(
        self, entrance: Door, crowd: list[Employee]
    ) -> None:
        candidates = near(*crowd[:2])
        enrolment.withdraw_consent(crowd[1], by=None)
        decision = decided(entrance, candidates).decision
        assert [row[1] for row in kept(decision)] == [crowd[0].pk, None]


class TestConstraints:
    @pytest.fixture
    def row(self, entrance: Door, crowd: list[Employee]) -> CandidateScore:
        return decided(entrance, near(*crowd[:2])).decision.candidate_scores.all()[0]

    def test_a_score_is_never_changed(self, row: CandidateScore) -> None:
        with refused("never changed"):
            CandidateScore.objects.filter(pk=row.pk).update(score=0.9)

    def test_nobody_is_put_in_anothers_place(
        self, row: CandidateScore, crowd: list[Employee]
    ) -> None:
        with refused("never changed"):
            CandidateScore.objects.filter(pk=row.pk).update(employee=crowd[4])

    def test_forgetting_changes_nothing_else(self, row: CandidateScore) -> None:
        with refused("never changed"):
            CandidateScore.objects.filter(pk=row.pk).update(employee=None, rank=3)

    def test_a_decision_forgets_who_was_near_and_nothing_else(self, row: CandidateScore) -> None:
        decisions = Decision.objects.filter(pk=row.decision_id)
        with refused("never changed"):
            decisions.update(nearest=None, score=0.9)
        with refused("never changed"):
            decisions.update(outcome=Outcome.ERROR)
        decisions.update(nearest=None)

    @pytest.mark.parametrize(
        ("fields", "constraint"),
        [
            ({"rank": 6}, "candidate_rank"),
            ({"rank": 0}, "candidate_rank"),
            ({"rank": 1}, "one_candidate_a_rank"),
            ({"score": math.nan}, "candidate_score"),
            ({"score": 1.5}, "candidate_score"),
        ],
    )
    def test_what_cannot_be(
        self, row: CandidateScore, fields: dict[str, float], constraint: str
    ) -> None:
        with refused(constraint):
            CandidateScore.objects.create(
                **{"decision_id": row.decision_id, "rank": 3, "score": 0.1, **fields}
            )

    def test_a_person_is_near_once(self, row: CandidateScore) -> None:
        with refused("candidate_once"):
            CandidateScore.objects.create(
                decision_id=row.decision_id, employee=row.employee, rank=3, score=0.1
            )

    def test_they_go_with_their_decision(self, row: CandidateScore) -> None:
        Decision.objects.filter(pk=row.decision_id).delete()
        assert not CandidateScore.objects.exists()


def test_the_frames_are_kept_as_they_were_seen(entrance: Door) -> None:
    trail = [(0, 0.5, 80.0, None), (110, math.nan, 82.5, 0.25)]
    decision = decided(entrance, near(entrance.employee), trail=trail).decision
    decision.refresh_from_db()
    assert decision.evidence["trail"] == [[0, 0.5, 80.0, None], [110, None, 82.5, 0.25]]
    assert len(json.dumps(decision.evidence["trail"])) < 100
