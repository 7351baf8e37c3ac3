"""What `decide` makes of pictures of faces, and where that stands among the other reasons."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accesscontrol.decisions import Candidate, PadRule, decide
from accesscontrol.models import Outcome
from tests.accesscontrol.test_decide import EVIDENCE, NOW, POLICY, scores

NAN, INF = float("nan"), float("inf")
RULE = PadRule(model="net 1", threshold=0.8, fewest_frames=3)
ASKS = replace(POLICY, pad=RULE)


def outcome(
    candidates: list[Candidate] | None = None, *, rule: PadRule | None = RULE, **evidence: Any
) -> Outcome:
    shown = replace(EVIDENCE, **{"pad_score": 0.1, "pad_frames": EVIDENCE.frames, **evidence})
    found = scores(0.8, 0.3) if candidates is None else candidates
    return decide(shown, found, replace(POLICY, pad=rule), NOW).outcome


def test_a_living_face_is_accepted() -> None:
    assert outcome() is Outcome.ACCEPTED


@pytest.mark.parametrize("score", [0.8, 0.81, 1.0])
def test_at_or_above_the_threshold_it_is_an_attack(score: float) -> None:
    assert outcome(pad_score=score) is Outcome.PAD_FAILED


def test_just_below_the_threshold_it_is_a_face() -> None:
    assert outcome(pad_score=math.nextafter(0.8, 0)) is Outcome.ACCEPTED


@pytest.mark.parametrize("score", [None, NAN, INF, -INF, -0.01])
def test_a_score_that_cannot_be_is_a_refusal(score: float | None) -> None:
    assert outcome(pad_score=score) is Outcome.PAD_FAILED


@pytest.mark.parametrize("threshold", [None, NAN, INF, -INF, 0.0, 1.0, -0.5, 2.0])
def test_without_a_sound_threshold_nobody_is_accepted(threshold: float | None) -> None:
    assert outcome(rule=replace(RULE, threshold=threshold)) is Outcome.PAD_FAILED


@pytest.mark.parametrize(
    ("frames", "scored", "expected"),
    [
        (3, 3, Outcome.ACCEPTED),
        (9, 9, Outcome.ACCEPTED),
        (3, 2, Outcome.PAD_FAILED),
        (5, 4, Outcome.PAD_FAILED),
        (5, 0, Outcome.PAD_FAILED),
    ],
)
def test_every_face_that_speaks_for_an_identity_must_be_scored(
    frames: int, scored: int, expected: Outcome
) -> None:
    assert outcome(frames=frames, pad_frames=scored) is expected


def test_a_rule_that_asks_for_no_frames_is_no_rule() -> None:
    assert outcome(rule=replace(RULE, fewest_frames=0)) is Outcome.PAD_FAILED


def test_a_site_that_does_not_ask_is_as_before() -> None:
    assert outcome(rule=None, pad_score=None, pad_frames=0) is Outcome.ACCEPTED
    assert outcome(rule=None, pad_score=1.0) is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("expected", "candidates", "evidence"),
    [
        # What one can mend, or where the score says little, comes first ...
        (Outcome.TOO_FAR, scores(0.8), {"face_width": 10.0}),
        (Outcome.LOW_QUALITY, scores(0.8), {"frames": 2}),
        (Outcome.EMPTY_GALLERY, [], {}),
        # ... but a picture is not told whether it looks like somebody.
        (Outcome.PAD_FAILED, scores(0.1), {}),
        (Outcome.PAD_FAILED, scores(0.8, 0.79), {}),
        (Outcome.PAD_FAILED, scores(0.99), {}),
    ],
)
def test_an_attack_among_other_reasons(
    expected: Outcome, candidates: list[Candidate], evidence: dict[str, Any]
) -> None:
    assert outcome(candidates, pad_score=1.0, **evidence) is expected


@given(
    score=st.none() | st.floats(),
    threshold=st.none() | st.floats(),
    frames=st.integers(0, 10),
    scored=st.integers(-2, 12),
)
def test_an_acceptance_always_has_a_living_score_of_every_frame(
    score: float | None, threshold: float | None, frames: int, scored: int
) -> None:
    rule = replace(RULE, threshold=threshold)
    if outcome(rule=rule, pad_score=score, frames=frames, pad_frames=scored) is Outcome.ACCEPTED:
        assert score is not None
        assert threshold is not None
        assert 0 <= score < threshold < 1
        assert scored >= max(frames, RULE.fewest_frames)
