"""More frames than can be looked at: how many at once, whose first, and who is still there."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest

from recognition.pacing import (
    BEGUN_FRAMES,
    FEWEST,
    LEAD_MS,
    MOST,
    MOST_LED,
    SOON_MS,
    Leads,
    Pace,
    still_there,
)
from recognition.placing import Likeness
from recognition.tracking import Moment, Presentation, Sighting, Tracks, Vector, follow


def pace(frame_ms: float) -> Pace:
    known = Pace()
    for _ in range(50):
        known.worked(known.frames, frame_ms * known.frames)
    return known


class TestFramesAtOnce:
    def test_a_few_while_nothing_is_known(self) -> None:
        assert Pace().frames == FEWEST

    @pytest.mark.parametrize(("frame_ms", "frames"), [(20, 4), (6, 16), (1, MOST)])
    def test_as_many_as_are_done_soon(self, frame_ms: float, frames: int) -> None:
        assert pace(frame_ms).frames == frames
        assert frames * frame_ms <= SOON_MS

    def test_a_slow_machine_does_not_go_below_what_is_worth_a_batch(self) -> None:
        assert pace(400).frames == FEWEST

    @pytest.mark.parametrize("frame_ms", [0.0, 1e-9, 1e9])
    def test_absurd_times_leave_between_fewest_and_most(self, frame_ms: float) -> None:
        assert FEWEST <= pace(frame_ms).frames <= MOST

    def test_one_slow_batch_does_not_change_all(self) -> None:
        known = pace(20)
        known.worked(4, 200)
        assert known.frames == 4

    def test_it_follows_what_frames_take_now(self) -> None:
        known = pace(5)
        for _ in range(20):
            known.worked(known.frames, 15 * known.frames)
        assert known.frames == 8


ANNA, BERT = np.eye(4, dtype=np.float32)[:2]
BOX = np.array([100, 100, 160, 170], np.float32)
NOW = 1_000_000
SEEN = Presentation(
    uuid4(), BOX, ANNA, ANNA, 1,
    best_quality=0.5, widest=60.0, first_captured_ms=NOW, captured_ms=NOW,
    first_received_ms=NOW, received_ms=NOW, sequence=1,
)  # fmt: skip


class TestWhoseFirst:
    def test_a_walk_up_that_was_begun_is_finished(self) -> None:
        assert Leads().lead_ms(uuid4(), [SEEN]) == LEAD_MS

    def test_who_has_been_looked_at_often_waits_as_everybody(self) -> None:
        assert Leads().lead_ms(uuid4(), [replace(SEEN, frames=BEGUN_FRAMES)]) == 0

    def test_who_has_their_decision_waits_as_everybody(self) -> None:
        assert Leads().lead_ms(uuid4(), [replace(SEEN, settled="ACCEPTED")]) == 0

    def test_one_of_several_is_enough(self) -> None:
        assert Leads().lead_ms(uuid4(), [replace(SEEN, settled="ACCEPTED"), SEEN]) == LEAD_MS

    def test_an_empty_place_does_not_lead(self) -> None:
        assert Leads().lead_ms(uuid4(), []) == 0

    def test_a_kiosk_that_shows_ever_new_faces_waits_its_turn(self) -> None:
        leads, kiosk = Leads(), uuid4()
        found = [leads.lead_ms(kiosk, [SEEN]) for _ in range(3 * (MOST_LED + 1))]
        assert found == ([LEAD_MS] * MOST_LED + [0]) * 3
        assert leads.lead_ms(uuid4(), [SEEN]) == LEAD_MS, "each kiosk for itself"


class TestNobodyLooked:
    """A person seen at NOW, and a frame three seconds later."""

    LIKENESS = Likeness(alike=0.6, same=0.6)
    LATER = Moment(9, NOW + 3_000, NOW + 3_000)

    def follow(self, embedding: Vector | None, *, looked_ms: int, later: Moment = LATER) -> Tracks:
        box = BOX + 30
        sightings = [] if embedding is None else [Sighting(box, embedding, 0.8)]
        present = still_there([SEEN], sightings, looked_ms, later, self.LIKENESS)
        return follow(present, sightings, later, self.LIKENESS)

    def test_whoever_is_still_there_is_in_the_same_walk_up(self) -> None:
        (presentation,) = self.follow(ANNA, looked_ms=NOW).present
        assert (presentation.id, presentation.frames) == (SEEN.id, 2)

    def test_whoever_was_looked_for_and_missed_meanwhile_is_somebody_new(self) -> None:
        tracks = self.follow(ANNA, looked_ms=NOW + 500)
        assert [p.id for p in tracks.gone] == [SEEN.id]
        assert tracks.present[0].id != SEEN.id

    def test_somebody_else_in_their_place_is_a_walk_up_of_their_own(self) -> None:
        tracks = self.follow(BERT, looked_ms=NOW)
        assert [p.id for p in tracks.gone] == [SEEN.id]
        assert tracks.present[0].frames == 1
        assert tracks.present[0].probe @ BERT == pytest.approx(1)

    def test_whoever_is_not_to_be_seen_is_gone(self) -> None:
        assert [p.id for p in self.follow(None, looked_ms=NOW).gone] == [SEEN.id]

    def test_after_five_seconds_it_is_a_new_walk_up_in_any_case(self) -> None:
        late = Moment(9, NOW + 5_001, NOW + 5_001)
        assert [p.id for p in self.follow(ANNA, looked_ms=NOW, later=late).gone] == [SEEN.id]

    def test_without_knowing_when_somebody_looked_time_alone_tells(self) -> None:
        assert [p.id for p in self.follow(ANNA, looked_ms=0).gone] == [SEEN.id]
