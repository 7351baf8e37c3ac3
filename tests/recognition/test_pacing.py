"""How many frames at once, and whose first."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest

from recognition.pacing import BEGUN_FRAMES, FIRST, LEAD_MS, MOST, SOON_MS, Pace, lead_ms
from recognition.tracking import Presentation


def pace(frame_ms: float) -> Pace:
    known = Pace()
    for _ in range(50):
        known.worked(known.frames, frame_ms * known.frames)
    return known


class TestFramesAtOnce:
    def test_a_few_while_nothing_is_known(self) -> None:
        assert Pace().frames == FIRST

    @pytest.mark.parametrize(("frame_ms", "frames"), [(20, 4), (6, 16), (1, MOST), (400, 1)])
    def test_as_many_as_are_done_soon(self, frame_ms: float, frames: int) -> None:
        assert pace(frame_ms).frames == frames
        assert frames == 1 or frames * frame_ms <= SOON_MS

    @pytest.mark.parametrize("frame_ms", [0.0, 1e-9, 1e9])
    def test_absurd_times_leave_between_one_and_most(self, frame_ms: float) -> None:
        assert 1 <= pace(frame_ms).frames <= MOST

    def test_one_slow_batch_does_not_change_all(self) -> None:
        known = pace(20)
        known.worked(4, 200)
        assert known.frames == 4

    def test_it_follows_what_frames_take_now(self) -> None:
        known = pace(5)
        for _ in range(20):
            known.worked(known.frames, 40 * known.frames)
        assert known.frames == 2


NOTHING = np.zeros(4, np.float32)
SEEN = Presentation(
    uuid4(), NOTHING, NOTHING, NOTHING, 1,
    best_quality=0.5, widest=60.0, first_captured_ms=0, captured_ms=0,
    first_received_ms=0, received_ms=0, sequence=1,
)  # fmt: skip


class TestWhoseFirst:
    def test_a_walk_up_that_was_begun_is_finished(self) -> None:
        assert lead_ms([SEEN]) == LEAD_MS

    def test_who_has_been_looked_at_often_waits_as_everybody(self) -> None:
        assert lead_ms([replace(SEEN, frames=BEGUN_FRAMES)]) == 0

    def test_who_has_their_decision_waits_as_everybody(self) -> None:
        assert lead_ms([replace(SEEN, settled="ACCEPTED")]) == 0

    def test_one_of_several_is_enough(self) -> None:
        assert lead_ms([replace(SEEN, settled="ACCEPTED"), SEEN]) == LEAD_MS

    def test_an_empty_place_does_not_lead(self) -> None:
        assert lead_ms([]) == 0
