"""The trail of a presentation: what it showed frame by frame, bounded and without biometrics."""

from __future__ import annotations

import json
import math

import numpy as np

from recognition.carried import dump
from recognition.placing import Likeness
from recognition.tracking import Moment, Presentation, Sighting, follow, restart
from recognition.trail import LONGEST_TRAIL, Glimpse, extended, glimpse

LIKENESS = Likeness(0.35, 0.53)
FACE = np.eye(1, 192, dtype=np.float32)[0]


def face(quality: float = 0.7, pad: float | None = None) -> Sighting:
    return Sighting(np.array([10, 10, 90, 110], dtype=np.float32), FACE, quality, pad)


def walked(*faces: Sighting) -> Presentation:
    present: list[Presentation] = []
    for number, sighting in enumerate(faces):
        at = 1_000_000 + 100 * number
        present = follow(present, [sighting], Moment(number, at - 20, at), LIKENESS).present
    return present[0]


def test_each_face_leaves_when_how_good_how_wide_and_its_attack_score() -> None:
    seen = walked(face(0.71234, pad=0.1), face(0.5, pad=0.0), face(0.6))
    assert seen.trail == (
        Glimpse(0, 0.712, 80.0, 0.1),
        Glimpse(100, 0.5, 80.0, 0.0),
        Glimpse(200, 0.6, 80.0, None),
    )


def test_a_face_that_was_no_evidence_leaves_nothing() -> None:
    hand = Sighting(face().box, -FACE, 0.7)
    assert len(walked(face(), hand, face()).trail) == 2


def test_it_is_bounded_and_still_spans_the_whole_presentation() -> None:
    seen = walked(*[face()] * 500)
    assert len(seen.trail) <= LONGEST_TRAIL
    assert seen.trail[0].after_ms == 0
    assert seen.trail[-1].after_ms > 48_000
    times = [entry.after_ms for entry in seen.trail]
    assert times == sorted(set(times))


def test_thinning_keeps_every_second_one() -> None:
    trail: tuple[Glimpse, ...] = ()
    for number in range(LONGEST_TRAIL + 1):
        trail = extended(trail, glimpse(number, 0.5, 80, None))
    assert [entry.after_ms for entry in trail] == list(range(0, LONGEST_TRAIL + 1, 2))


def test_an_attack_score_that_is_no_number_is_none() -> None:
    assert glimpse(0, 0.5, 80, math.nan).pad is None


def test_who_is_tried_anew_begins_a_trail_anew() -> None:
    assert restart(walked(face()), Moment(5, 2_000_000, 2_000_000)).trail == ()


def test_it_holds_a_few_numbers_and_nothing_of_the_face() -> None:
    state = dump([walked(face(pad=0.2), face(pad=0.3))], "basis")
    (raw,) = json.loads(state)["presentations"]
    assert raw["trail"] == [[0, 0.7, 80.0, 0.2], [100, 0.7, 80.0, 0.3]]
