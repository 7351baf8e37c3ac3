"""What `decide` makes of every presentation: a table, then properties. No database."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accesscontrol.advice import BY_OUTCOME
from accesscontrol.decisions import (
    LONGEST_AGE_TO_ACCEPT_S,
    Candidate,
    Evidence,
    Policy,
    decide,
)
from accesscontrol.models import Outcome

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
NAN, INF = float("nan"), float("inf")

POLICY = Policy(
    threshold_id=1,
    model_version_id=1,
    threshold=0.62,
    margin=0.05,
    fewest_frames=3,
    smallest_face=40.0,
    lowest_quality=0.2,
)
EVIDENCE = Evidence(
    presentation=uuid.UUID(int=1),
    frames=5,
    face_width=80.0,
    quality=0.7,
    first_captured_at=NOW - timedelta(seconds=1),
    captured_at=NOW - timedelta(seconds=0.3),
    received_at=NOW - timedelta(seconds=0.2),
)


def scores(*values: float) -> list[Candidate]:
    return [Candidate(number, value) for number, value in enumerate(values, 1)]


def outcome(
    candidates: list[Candidate] | None = None,
    *,
    policy: Policy | None = POLICY,
    failed_search: bool = False,
    **evidence: Any,
) -> Outcome:
    found = None if failed_search else candidates if candidates is not None else scores(0.8, 0.3)
    return decide(replace(EVIDENCE, **evidence), found, policy, NOW).outcome


class TestAccepting:
    def test_a_clear_match_is_accepted(self) -> None:
        assert outcome(scores(0.8, 0.3)) is Outcome.ACCEPTED

    def test_the_only_employee_of_a_site_is_accepted(self) -> None:
        assert outcome(scores(0.8)) is Outcome.ACCEPTED

    def test_the_best_is_found_in_any_order(self) -> None:
        verdict = decide(EVIDENCE, scores(0.1, 0.8, 0.3), POLICY, NOW)
        assert verdict.accepted
        assert (verdict.best, verdict.second) == (Candidate(2, 0.8), Candidate(3, 0.3))

    def test_a_score_at_the_threshold_is_accepted(self) -> None:
        assert outcome(scores(POLICY.threshold)) is Outcome.ACCEPTED

    def test_a_score_just_below_the_threshold_is_not(self) -> None:
        assert outcome(scores(math.nextafter(POLICY.threshold, 0))) is Outcome.NO_MATCH

    def test_a_gap_of_just_the_margin_is_accepted(self) -> None:
        exact = replace(POLICY, margin=0.125)
        assert outcome(scores(0.875, 0.75), policy=exact) is Outcome.ACCEPTED
        assert outcome(scores(0.875, math.nextafter(0.75, 1)), policy=exact) is Outcome.AMBIGUOUS

    def test_without_a_margin_equals_are_told_apart_by_nothing(self) -> None:
        assert outcome(scores(0.8, 0.8), policy=replace(POLICY, margin=0.0)) is Outcome.ACCEPTED

    @pytest.mark.parametrize(
        "at_the_limit",
        [
            {"frames": 3},
            {"face_width": 40.0},
            {"quality": 0.2},
            {"received_at": NOW},
            {"received_at": NOW - timedelta(seconds=2)},
        ],
        ids=str,
    )
    def test_evidence_at_a_limit_is_enough(self, at_the_limit: dict[str, Any]) -> None:
        assert outcome(**at_the_limit) is Outcome.ACCEPTED

    def test_rounding_of_the_gallery_may_lift_a_score_over_one(self) -> None:
        assert outcome(scores(1.0004)) is Outcome.ACCEPTED


class TestRefusing:
    @pytest.mark.parametrize(
        ("expected", "candidates", "evidence"),
        [
            (Outcome.NO_MATCH, scores(0.61, 0.1), {}),
            (Outcome.NO_MATCH, scores(-0.2), {}),
            (Outcome.AMBIGUOUS, scores(0.80, 0.76), {}),
            (Outcome.AMBIGUOUS, scores(0.80, 0.80), {}),
            (Outcome.EMPTY_GALLERY, [], {}),
            (Outcome.TOO_FAR, scores(0.8), {"face_width": 39.9}),
            (Outcome.LOW_QUALITY, scores(0.8), {"quality": 0.19}),
            (Outcome.LOW_QUALITY, scores(0.8), {"frames": 2}),
            (Outcome.LOW_QUALITY, scores(0.8), {"frames": 0}),
            (Outcome.EXPIRED, scores(0.8), {"received_at": NOW - timedelta(seconds=2.001)}),
            (Outcome.EXPIRED, scores(0.2), {"received_at": NOW - timedelta(seconds=10.001)}),
            (Outcome.NO_MATCH, scores(0.2), {"received_at": NOW - timedelta(seconds=9.999)}),
            (Outcome.EXPIRED, scores(0.8), {"received_at": NOW + timedelta(milliseconds=1)}),
            (Outcome.EXPIRED, scores(0.8), {"received_at": NOW + timedelta(days=9000)}),
        ],
    )
    def test_each_reason(
        self, expected: Outcome, candidates: list[Candidate], evidence: dict[str, Any]
    ) -> None:
        assert outcome(candidates, **evidence) is expected

    def test_a_search_that_failed_is_an_error(self) -> None:
        assert outcome(failed_search=True) is Outcome.ERROR

    @pytest.mark.parametrize("score", [NAN, INF, -INF, 1.5, -1.5, 1.02])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_score_that_cannot_be_is_an_error(self, score: float, place: int) -> None:
        values = [0.8, 0.3, 0.1]
        values[place] = score
        assert outcome(scores(*values)) is Outcome.ERROR

    def test_without_a_threshold_nobody_is_accepted(self) -> None:
        assert outcome(scores(0.99), policy=None) is Outcome.NOT_CALIBRATED

    @pytest.mark.parametrize(
        "fault",
        [
            {"threshold": NAN},
            {"threshold": 0.0},
            {"threshold": -0.5},
            {"threshold": 1.0},
            {"threshold": INF},
            {"margin": NAN},
            {"margin": -0.01},
            {"margin": INF},
            {"fewest_frames": 0},
            {"smallest_face": NAN},
            {"smallest_face": INF},
            {"lowest_quality": NAN},
            {"lowest_quality": -INF},
        ],
        ids=str,
    )
    def test_a_policy_that_makes_no_sense_accepts_nobody(self, fault: dict[str, Any]) -> None:
        assert outcome(scores(0.99), policy=replace(POLICY, **fault)) is Outcome.ERROR

    @pytest.mark.parametrize(
        "fault",
        [
            {"face_width": NAN},
            {"face_width": INF},
            {"quality": NAN},
            {"quality": INF},
            {"quality": -INF},
        ],
        ids=str,
    )
    def test_evidence_that_is_no_number_is_an_error(self, fault: dict[str, Any]) -> None:
        assert outcome(scores(0.99), **fault) is Outcome.ERROR

    def test_a_person_twice_among_the_candidates_is_ambiguous_rather_than_certain(self) -> None:
        assert outcome([Candidate(1, 0.8), Candidate(1, 0.79)]) is Outcome.AMBIGUOUS


class TestPrecedence:
    """Of several reasons the one that stands first here is given."""

    REASONS: tuple[tuple[Outcome, dict[str, Any]], ...] = (
        (Outcome.ERROR, {"failed_search": True}),
        (Outcome.NOT_CALIBRATED, {"policy": None}),
        (Outcome.ERROR, {"quality": NAN}),
        (Outcome.EXPIRED, {"received_at": NOW - timedelta(minutes=1)}),
        (Outcome.EMPTY_GALLERY, {"candidates": []}),
        (Outcome.TOO_FAR, {"face_width": 3.0}),
        (Outcome.LOW_QUALITY, {"frames": 1}),
        (Outcome.NO_MATCH, {"candidates": scores(0.2, 0.19)}),
    )

    @pytest.mark.parametrize("first", range(len(REASONS)))
    def test_the_earlier_reason_wins(self, first: int) -> None:
        expected = self.REASONS[first][0]
        merged: dict[str, Any] = {}
        for _, fault in reversed(self.REASONS[first:]):
            merged |= fault
        assert outcome(merged.pop("candidates", None), **merged) is expected

    def test_too_low_comes_before_too_near(self) -> None:
        assert outcome(scores(0.5, 0.5)) is Outcome.NO_MATCH


class TestRecordOfCandidates:
    @pytest.mark.parametrize("evidence", [{"face_width": 1.0}, {"frames": 1}, {"quality": 0.0}])
    def test_a_refusal_still_names_the_nearest_for_the_record(
        self, evidence: dict[str, Any]
    ) -> None:
        verdict = decide(replace(EVIDENCE, **evidence), scores(0.8, 0.3), POLICY, NOW)
        assert not verdict.accepted
        assert (verdict.best, verdict.second) == (Candidate(1, 0.8), Candidate(2, 0.3))

    def test_an_impossible_score_is_not_recorded(self) -> None:
        verdict = decide(EVIDENCE, scores(NAN, 0.3), POLICY, NOW)
        assert (verdict.best, verdict.second) == (None, None)

    def test_every_refusal_has_advice_a_person_can_act_on(self) -> None:
        assert set(BY_OUTCOME) == set(Outcome) - {Outcome.ACCEPTED}
        assert all(advice.endswith(".") for advice in BY_OUTCOME.values())


any_number = st.floats() | st.floats(-1.01, 1.01) | st.sampled_from([0.62, 0.67, 1.0])
any_time = st.floats(-30, 30).map(lambda seconds: NOW - timedelta(seconds=seconds))
any_policy = st.none() | st.builds(
    Policy,
    threshold_id=st.just(1),
    model_version_id=st.just(1),
    threshold=any_number,
    margin=any_number,
    fewest_frames=st.integers(-1, 5),
    smallest_face=any_number | st.floats(0, 400),
    lowest_quality=any_number,
)
any_evidence = st.builds(
    Evidence,
    presentation=st.uuids(),
    frames=st.integers(-1, 9),
    face_width=any_number | st.floats(0, 400),
    quality=any_number,
    first_captured_at=st.just(NOW),
    captured_at=st.just(NOW),
    received_at=any_time,
)
any_candidates = st.none() | st.lists(
    st.builds(Candidate, st.integers(1, 9), any_number), max_size=6
)
likely_policy = st.builds(
    Policy,
    threshold_id=st.just(1),
    model_version_id=st.just(1),
    threshold=st.floats(0.01, 0.99),
    margin=st.floats(0, 0.2),
    fewest_frames=st.integers(1, 3),
    smallest_face=st.floats(20, 60),
    lowest_quality=st.floats(0, 0.3),
)
likely_evidence = st.builds(
    Evidence,
    presentation=st.uuids(),
    frames=st.integers(2, 9),
    face_width=st.floats(40, 400),
    quality=st.floats(0.2, 1),
    first_captured_at=st.just(NOW),
    captured_at=st.just(NOW),
    received_at=st.floats(-1, 11).map(lambda seconds: NOW - timedelta(seconds=seconds)),
)


@settings(max_examples=600, deadline=None)
@given(
    evidence=any_evidence | likely_evidence,
    candidates=any_candidates,
    policy=any_policy | likely_policy,
)
def test_acceptance_always_rests_on_sound_numbers(
    evidence: Evidence, candidates: list[Candidate] | None, policy: Policy | None
) -> None:
    verdict = decide(evidence, candidates, policy, NOW)
    if not verdict.accepted:
        return
    assert policy is not None
    assert candidates
    assert verdict.best is not None
    ranked = sorted((candidate.score for candidate in candidates), reverse=True)
    assert all(math.isfinite(score) for score in ranked)
    assert verdict.best.score == ranked[0] >= policy.threshold > 0
    assert len(ranked) == 1 or ranked[0] - ranked[1] >= policy.margin >= 0
    assert evidence.face_width >= policy.smallest_face
    assert evidence.quality >= policy.lowest_quality
    assert evidence.frames >= policy.fewest_frames >= 1
    assert 0 <= (NOW - evidence.received_at).total_seconds() <= LONGEST_AGE_TO_ACCEPT_S
