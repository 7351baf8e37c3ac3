"""How long somebody must be seen: a clear match briefly, a doubtful one longer. No database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accesscontrol.assurance import DOUBTFUL_FRAMES, FEWEST_FRAMES, Assurance
from accesscontrol.decisions import Policy
from accesscontrol.models import Outcome
from tests.accesscontrol.test_decide import POLICY, outcome, scores

RULE = Assurance(clear_lead=0.02, fewest_frames=2, doubtful_frames=8)
NAN = float("nan")


class TestFramesNeeded:
    @pytest.mark.parametrize(
        ("lead", "needed"), [(0.0, 8), (0.005, 6.5), (0.01, 5), (0.02, 2), (0.3, 2)]
    )
    def test_fewer_the_clearer_the_match(self, lead: float, needed: float) -> None:
        assert RULE.frames_needed(lead) == pytest.approx(needed)

    def test_without_a_clear_lead_every_match_is_clear(self) -> None:
        assert Assurance(0.0).frames_needed(0.0) == FEWEST_FRAMES

    @given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.1))
    def test_never_more_for_a_clearer_one_and_never_beyond_the_limits(
        self, one: float, other: float, clear: float
    ) -> None:
        rule = Assurance(clear)
        less, more = sorted([rule.frames_needed(one), rule.frames_needed(other)])
        assert FEWEST_FRAMES <= less <= more <= DOUBTFUL_FRAMES
        assert rule.frames_needed(max(one, other)) == less


class TestIsEnough:
    def test_one_frame_never_is(self) -> None:
        assert not RULE.is_enough(1.0, frames=1, good_frames=9.0)

    def test_bad_light_takes_more_frames(self) -> None:
        assert RULE.is_enough(0.02, frames=2, good_frames=2.0)
        assert not RULE.is_enough(0.02, frames=2, good_frames=1.9)
        assert RULE.is_enough(0.02, frames=3, good_frames=2.1)

    @pytest.mark.parametrize("good", [NAN, -1.0, 0.0])
    def test_evidence_that_is_none_is_not(self, good: float) -> None:
        assert not RULE.is_enough(0.5, frames=9, good_frames=good)

    @pytest.mark.parametrize("lead", [NAN, -1e-9, -0.01, float("-inf")])
    def test_below_the_threshold_nothing_ever_is(self, lead: float) -> None:
        assert not RULE.is_enough(lead, frames=999, good_frames=999.0)


class TestDeciding:
    POLICY: Policy = replace(
        POLICY, fewest_frames=2, doubtful_frames=8, clear_lead=0.02, margin=0.05
    )

    def test_a_clear_match_is_accepted_at_once(self) -> None:
        assert outcome(scores(0.8, 0.3), policy=self.POLICY, frames=2) is Outcome.ACCEPTED

    def test_one_just_at_the_threshold_only_after_a_while(self) -> None:
        doubtful = scores(0.621, 0.1)
        assert outcome(doubtful, policy=self.POLICY, frames=7) is Outcome.LOW_QUALITY
        assert outcome(doubtful, policy=self.POLICY, frames=8) is Outcome.ACCEPTED

    def test_one_with_somebody_else_near_the_margin_only_after_a_while(self) -> None:
        doubtful = scores(0.9, 0.849)
        assert outcome(doubtful, policy=self.POLICY, frames=7) is Outcome.LOW_QUALITY
        assert outcome(doubtful, policy=self.POLICY, frames=8) is Outcome.ACCEPTED

    def test_frames_in_bad_light_count_less(self) -> None:
        few = outcome(scores(0.8), policy=self.POLICY, frames=3, good_frames=1.5)
        more = outcome(scores(0.8), policy=self.POLICY, frames=4, good_frames=2.0)
        assert (few, more) == (Outcome.LOW_QUALITY, Outcome.ACCEPTED)

    def test_no_match_is_no_match_however_briefly_seen(self) -> None:
        assert outcome(scores(0.5), policy=self.POLICY, frames=2) is Outcome.NO_MATCH

    @pytest.mark.parametrize("fault", [NAN, float("inf"), -0.1])
    def test_a_clear_lead_that_makes_no_sense_accepts_nobody(self, fault: float) -> None:
        policy = replace(self.POLICY, clear_lead=fault)
        assert outcome(scores(0.9), policy=policy) is Outcome.ERROR

    @pytest.mark.parametrize("field", ["good_frames", "face_share"])
    def test_evidence_that_is_no_number_is_an_error(self, field: str) -> None:
        spoilt: dict[str, Any] = {field: NAN}
        assert outcome(scores(0.9), policy=self.POLICY, **spoilt) is Outcome.ERROR
