"""Presentations between two frames: they come back as they were, or begin anew."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition import challenge
from recognition.carried import dump, load
from recognition.challenge import Challenge, Look, Movement
from recognition.tracking import Moment, Presentation, follow
from tests.recognition.test_tracking import ANNA, BERT, HAND, LIKENESS, face, walk

BASIS = "model 1 key 1"
LOOKS = (Look(1_000_000, 1.5, -2.0), Look(1_000_100, 0.0, 3.0))


def going_on() -> Challenge:
    """A challenge whose first movement was made."""
    begun = challenge.begun((Movement.LEFT, Movement.UP), LOOKS, 7, ANNA)
    assert begun is not None
    going = challenge.prompted(begun, 1_000_150)
    for number in (5, 6, 7):
        going = challenge.advanced(going, Look(1_000_000 + 100 * number, 30, 0), same=True)
    return going


class TestCarried:
    def test_it_comes_back_as_it_was(self) -> None:
        steps = walk([face(ANNA), face(BERT, x=300)], [face(HAND), face(BERT, x=310)])
        before = [replace(steps[-1].present[0], settled="ACCEPTED"), steps[-1].present[1]]
        after = load(dump(before, BASIS), BASIS)
        for one, other in zip(before, after, strict=True):
            for name in Presentation.__slots__:
                assert np.array_equal(getattr(one, name), getattr(other, name)), name
            assert other.total.dtype == other.box.dtype == np.float32

    def test_nobody_is_nobody(self) -> None:
        assert load(dump([], BASIS), BASIS) == []

    def test_following_goes_on_from_there(self) -> None:
        present = load(dump(walk([face(ANNA)], [face(ANNA)])[-1].present, BASIS), BASIS)
        (after,) = follow(present, [face(ANNA)], Moment(3, 1_000_300, 1_000_300), LIKENESS).present
        assert (after.id, after.frames) == (present[0].id, 3)

    @pytest.mark.parametrize("other", ["", "model 2 key 1", "model 1 key 2"])
    def test_of_another_model_or_key_nothing_is_taken_over(self, other: str) -> None:
        assert load(dump(walk([face(ANNA)])[-1].present, BASIS), other) == []

    @settings(max_examples=200)
    @given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
    def test_bytes_of_no_sense_are_refused(self, noise: bytes) -> None:
        if noise.strip() in (b"[]", b"{}", b'""'):
            return
        with pytest.raises(ValueError):  # noqa: PT011  any kind of it, nothing else
            load(noise, BASIS)

    FAULTS: tuple[tuple[str, object], ...] = (
        ("id", "no uuid"),
        ("id", 5),
        ("total", "not base64!"),
        ("total", "AAA="),
        ("total", None),
        ("total", "AADAfw=="),
        ("box", [1, 2, 3]),
        ("box", [1, 2, 3, "x"]),
        ("box", [1, 2, 3, float("nan")]),
        ("box", [1, 2, 3, 10**400]),
        ("box", None),
        ("frames", "many"),
        ("frames", None),
        ("frames", 1.5),
        ("best_quality", "good"),
        ("best_quality", float("nan")),
        ("received_ms", None),
        ("received_ms", "now"),
        ("settled", 5),
        ("shortfall", None),
        ("shortfall", 5),
        ("velocity", [1]),
        ("velocity", [0, float("inf")]),
        ("last", "AADAfw=="),
        ("last", "AAAAAA=="),
        ("good_frames", float("nan")),
        ("good_frames", -1),
        ("share", "wide"),
        ("hidden_ms", 0.5),
        ("trail", None),
        ("trail", [[0, 0.5, 80]]),
        ("trail", [[0, 0.5, 80, "x"]]),
        ("trail", [[0.5, 0.5, 80, None]]),
        ("trail", [[0, float("nan"), 80, None]]),
        ("trail", [[0, 0.5, 80, None]] * 65),
        ("looks", None),
        ("looks", [[0, 1.0]]),
        ("looks", [[0.5, 1.0, 2.0]]),
        ("looks", [[0, float("nan"), 2.0]]),
        ("looks", [[0, 10**400, 2.0]]),
        ("looks", [[0, 1.0, 2.0]] * 97),
        ("challenge", 5),
        ("challenge", {}),
        ("challenge", []),
    )

    @pytest.mark.parametrize(("name", "value"), FAULTS)
    def test_a_field_of_the_wrong_form_is_refused(self, name: str, value: object) -> None:
        raw = json.loads(dump(walk([face(ANNA)])[-1].present, BASIS))
        raw["presentations"][0][name] = value
        with pytest.raises(ValueError):  # noqa: PT011
            load(json.dumps(raw).encode(), BASIS)

    def test_a_challenge_comes_back_as_it_was(self) -> None:
        before = replace(walk([face(ANNA)])[-1].present[0], challenge=going_on(), looks=LOOKS)
        (after,) = load(dump([before], BASIS), BASIS)
        assert after.looks == LOOKS
        assert after.challenge is not None
        for name in Challenge.__slots__:
            one, other = (getattr(kept, name) for kept in (going_on(), after.challenge))
            assert np.array_equal(one, other) if name == "anchor" else one == other, name

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("person", "7"),
            ("person", None),
            ("steps", []),
            ("steps", [["LEFT", 0, 0]]),
            ("steps", [["BACKWARDS", 0, 0, 0]]),
            ("steps", [["LEFT", 0, 0.5, 0]]),
            ("level", [1.0]),
            ("level", [1.0, float("nan")]),
            ("level", [True, 1.0]),
            ("anchor", "AADAfw=="),
            ("anchor", "AAAAAA=="),
            ("anchor", None),
            ("seen_ms", None),
            ("held", "two"),
            ("astray", 1.5),
            ("end", "PASSED"),
            ("end", 1),
            ("end", "FULFILLED"),
            ("record", [[0, 1, None]]),
            ("more", 1),
        ],
    )
    def test_a_challenge_of_another_form_is_refused(self, name: str, value: object) -> None:
        before = replace(walk([face(ANNA)])[-1].present[0], challenge=going_on())
        raw = json.loads(dump([before], BASIS))
        raw["presentations"][0]["challenge"][name] = value
        with pytest.raises(ValueError):  # noqa: PT011
            load(json.dumps(raw).encode(), BASIS)

    @pytest.mark.parametrize("change", ["more", "less"])
    def test_fields_too_many_or_too_few_are_refused(self, change: str) -> None:
        raw = json.loads(dump(walk([face(ANNA)])[-1].present, BASIS))
        if change == "more":
            raw["presentations"][0]["extra"] = 1
        else:
            del raw["presentations"][0]["frames"]
        with pytest.raises(ValueError):  # noqa: PT011
            load(json.dumps(raw).encode(), BASIS)

    def test_deep_nesting_is_refused(self) -> None:
        with pytest.raises(ValueError):  # noqa: PT011
            load(b"[" * 100_000, BASIS)
