"""Attack scores gather over a presentation like its faces, and never leave it for another."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from recognition.carried import dump, load
from recognition.tracking import (
    GONE_AFTER_MS,
    Moment,
    Presentation,
    Sighting,
    all_settled,
    follow,
    restart,
)
from tests.recognition.test_carried import BASIS
from tests.recognition.test_tracking import ANNA, BERT, LIKENESS, face


def seen(*pads: float | None, qualities: list[float] | None = None) -> Presentation:
    """One person's presentation after frames with these attack scores."""
    present: list[Presentation] = []
    for number, pad in enumerate(pads):
        quality = qualities[number] if qualities else 0.8
        sighting = replace(face(ANNA, quality=quality), pad=pad)
        present = follow(
            present, [sighting], Moment(number, number * 100, number * 100), LIKENESS
        ).present
    return present[0]


def test_the_score_is_the_mean_of_the_frames() -> None:
    found = seen(0.0, 0.3, 0.9)
    assert found.pad == pytest.approx(0.4)
    assert found.pad_frames == found.frames == 3


def test_a_frame_counts_as_much_for_the_attack_as_for_the_face() -> None:
    assert seen(0.0, 1.0, qualities=[0.9, 0.1]).pad == pytest.approx(0.1)


@pytest.mark.parametrize("pad", [None, math.nan, math.inf])
def test_a_frame_without_a_score_counts_as_a_face_but_not_as_scored(pad: float | None) -> None:
    found = seen(0.2, pad, 0.4)
    assert (found.frames, found.pad_frames) == (3, 2)
    assert found.pad == pytest.approx(0.3)


def test_without_any_score_there_is_none() -> None:
    assert math.isnan(seen(None, None).pad)


def test_a_covered_face_adds_no_score() -> None:
    before = seen(0.1)
    hand = Sighting(before.box, BERT, 0.8, 1.0)
    after = follow([before], [hand], Moment(9, 100, 100), LIKENESS).present[0]
    assert (after.pad, after.pad_frames) == (before.pad, before.pad_frames)


def test_another_attempt_begins_without_old_scores() -> None:
    again = restart(seen(0.9, 0.9), Moment(5, 500, 500))
    assert again.pad_frames == 0
    assert math.isnan(again.pad)


def test_scores_are_wanted_until_everybody_who_is_there_is_decided() -> None:
    waiting, now = seen(0.1, 0.2), 100
    decided = replace(waiting, settled="ACCEPTED")
    assert not all_settled([], now)
    assert not all_settled([waiting], now)
    assert not all_settled([decided, waiting], now)
    assert all_settled([decided], now)
    assert all_settled([decided], now + GONE_AFTER_MS)
    assert not all_settled([decided], now + GONE_AFTER_MS + 1), "whoever comes now is another"
    assert not all_settled([restart(decided, Moment(9, now, now))], now)


def test_scores_are_carried_to_the_next_worker() -> None:
    before = seen(0.1, 0.2)
    (after,) = load(dump([before], BASIS), BASIS)
    assert after.pad == pytest.approx(before.pad)
    assert after.pad_frames == before.pad_frames


@pytest.mark.parametrize(
    "wrong",
    [
        {"pad_total": math.nan},
        {"pad_total": -1.0},
        {"pad_total": "0"},
        {"pad_total": None},
        {"pad_weight": math.inf},
        {"pad_weight": -0.5},
        {"pad_frames": 1.0},
        {"pad_frames": True},
        {"pad_frames": -1},
        {"pad_frames": 99},
    ],
    ids=str,
)
def test_scores_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    (raw,) = json.loads(dump([seen(0.1, 0.2)], BASIS))["presentations"]
    with pytest.raises(ValueError, match=r"."):
        load(json.dumps({"basis": BASIS, "presentations": [{**raw, **wrong}]}).encode(), BASIS)


@pytest.mark.parametrize("name", ["pad_total", "pad_weight", "pad_frames"])
def test_presentations_without_scores_are_refused(name: str) -> None:
    (raw,) = json.loads(dump([seen(0.1)], BASIS))["presentations"]
    del raw[name]
    with pytest.raises(ValueError, match=r"."):
        load(json.dumps({"basis": BASIS, "presentations": [raw]}).encode(), BASIS)
