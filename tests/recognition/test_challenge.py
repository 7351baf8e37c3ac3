"""A challenge: who is asked to move their head, what counts as doing it, and what never does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition import challenge
from recognition.challenge import (
    AHEAD,
    AHEAD_RAISED,
    FURTHEST_LEVEL,
    FURTHEST_LEVEL_RAISED,
    LARGEST_MISFIT,
    LONGEST_GAP_MS,
    LONGEST_RECORD,
    RAISE,
    REACTION_MS,
    SEQUENCES,
    STEP_MS,
    TURN,
    Challenge,
    End,
    Look,
    Movement,
)

LEFT, RIGHT, UP = Movement
POSES = {LEFT: (TURN + 5, 0.0), RIGHT: (-TURN - 5, 0.0), UP: (0.0, RAISE + 5)}
BEGIN = 1_000_000
FRAME_MS = 100
FACE = np.eye(1, 8, dtype=np.float32)[0]
AT_EASE = [Look(BEGIN - 200, 1.0, 0.0), Look(BEGIN - 100, -1.0, 0.0), Look(BEGIN, 0.0, 0.0)]


def asked(*movements: Movement, looks: Sequence[Look] = AT_EASE) -> Challenge:
    """Begun, and its first movement shown with the last face."""
    begun = challenge.begun(movements or (LEFT, RIGHT), looks, 7, FACE)
    assert begun is not None
    return challenge.prompted(begun, looks[-1].at_ms)


class Person:
    """Somebody before the kiosk, a face every 100 ms; the server shows each step when it is due."""

    def __init__(self, going: Challenge) -> None:
        self.going = going
        self.at_ms = going.seen_ms

    def holds(self, yaw: float, frames: int = 2, *, pitch: float = 0, same: bool = True) -> Person:
        for _ in range(frames):
            self.at_ms += FRAME_MS
            seen = Look(self.at_ms, yaw, pitch)
            self.going = challenge.advanced(self.going, seen, same=same)
            if challenge.is_due(self.going):
                self.going = challenge.prompted(self.going, self.at_ms)
        return self

    def waits(self, ms: int = 400) -> Person:
        """Needs a moment to understand."""
        return self.holds(0, ms // FRAME_MS)

    def makes(self, *movements: Movement) -> Person:
        for movement in movements:
            yaw, pitch = POSES[movement]
            self.waits().holds(yaw, pitch=pitch).holds(0)
        return self


class TestWhatIsAsked:
    def test_it_is_never_what_the_kiosk_showed_last(self) -> None:
        for last in SEQUENCES:
            for _ in range(50):
                assert challenge.drawn([str(one) for one in last]) != last

    def test_every_other_sequence_can_come(self) -> None:
        offered: list[tuple[Movement, ...]] = []

        def first(possible: Sequence[tuple[Movement, ...]]) -> tuple[Movement, ...]:
            offered.extend(possible)
            return possible[0]

        challenge.drawn([str(one) for one in SEQUENCES[0]], first)
        assert offered == list(SEQUENCES[1:])

    def test_a_bent_print_would_have_to_be_bent_anew_for_each(self) -> None:
        for sequence in SEQUENCES:
            assert UP in sequence
            assert set(sequence) & {LEFT, RIGHT}
        assert len(set(SEQUENCES)) == len(SEQUENCES) == 18

    @pytest.mark.parametrize("last", [[], ["LEFT"], ["UPSIDE", "DOWN"], ["LEFT"] * 9])
    def test_a_kept_sequence_of_no_sense_is_no_hindrance(self, last: list[str]) -> None:
        assert challenge.drawn(last) in SEQUENCES

    def test_all_sequences_come_about_equally_often(self) -> None:
        counts = Counter(challenge.drawn([]) for _ in range(3600))
        assert set(counts) == set(SEQUENCES)
        assert min(counts.values()) > 100


class TestWhenItBegins:
    def test_it_begins_with_somebody_who_looks_ahead(self) -> None:
        begun = challenge.begun((LEFT, RIGHT), AT_EASE, 7, FACE)
        assert begun is not None
        assert (begun.person, begun.level, begun.waits_for) == (7, (0.0, 0.0), LEFT)
        assert begun.is_open
        assert challenge.is_due(begun)

    def test_looking_ahead_is_where_this_person_looks_at_this_kiosk(self) -> None:
        aside = [Look(BEGIN + at, 12.0 + at / 100, -9.0) for at in (0, 100, 200)]
        begun = challenge.begun((LEFT,), aside, 7, FACE)
        assert begun is not None
        assert begun.level == (13.0, -9.0)

    @pytest.mark.parametrize(
        "looks",
        [
            [],
            AT_EASE[:1],
            [Look(BEGIN, FURTHEST_LEVEL + 1, 0.0)] * 3,
            [Look(BEGIN, 0.0, -FURTHEST_LEVEL_RAISED - 1)] * 3,
            [*AT_EASE, Look(BEGIN + 100, AHEAD + 1, 0.0)],
            [*AT_EASE, Look(BEGIN + 100, 0.0, AHEAD_RAISED + 1)],
        ],
    )
    def test_it_does_not_begin_with_somebody_who_looks_elsewhere(self, looks: list[Look]) -> None:
        assert challenge.begun((LEFT,), looks, 7, FACE) is None

    def test_a_challenge_of_nothing_never_begins(self) -> None:
        assert challenge.begun((), AT_EASE, 7, FACE) is None


class TestDoingIt:
    @pytest.mark.parametrize("movements", list(product(Movement, repeat=2)))
    def test_who_makes_the_movements_in_order_has_fulfilled_it(
        self, movements: tuple[Movement, Movement]
    ) -> None:
        person = Person(asked(*movements)).makes(*movements)
        assert person.going.end is End.FULFILLED
        assert person.going.fulfilled
        assert person.going.done == 2

    def test_the_record_says_when_each_was_shown_made_and_looked_ahead_after(self) -> None:
        person = Person(asked(LEFT, RIGHT)).makes(LEFT, RIGHT)
        first, second = person.going.steps
        assert (first.prompted_ms, first.reached_ms, first.back_ms) == (
            BEGIN, BEGIN + 600, BEGIN + 800,
        )  # fmt: skip
        assert (second.prompted_ms, second.back_ms) == (BEGIN + 800, BEGIN + 1600)
        assert person.going.ended_ms == BEGIN + 1600
        assert len(person.going.record) == len(AT_EASE) + 16

    def test_the_next_is_shown_only_when_the_head_is_back(self) -> None:
        person = Person(asked(LEFT, RIGHT)).waits().holds(TURN + 5)
        assert person.going.waits_for is None
        assert not challenge.is_due(person.going)
        assert person.holds(0).going.waits_for is RIGHT

    def test_it_is_measured_from_where_the_person_looks_ahead(self) -> None:
        aside = [look._replace(yaw=15.0) for look in AT_EASE]
        person = Person(asked(LEFT, looks=aside)).holds(15, 4).holds(TURN + 5)
        assert person.going.waits_for is LEFT, "that was five degrees"
        person.holds(15 + TURN + 1).holds(15)
        assert person.going.fulfilled

    def test_a_slow_kiosk_with_three_frames_a_second_is_enough(self) -> None:
        person = Person(asked(LEFT))
        for yaw in (0, 0, 30, 30, 0, 0):
            person.at_ms += 233
            person.holds(yaw, 1)
        assert person.going.fulfilled

    def test_one_wild_frame_is_forgiven(self) -> None:
        person = Person(asked(LEFT)).waits().holds(-40, 1).makes(LEFT)
        assert person.going.fulfilled

    def test_what_ended_stays_as_it_ended(self) -> None:
        person = Person(asked(LEFT)).makes(LEFT)
        fulfilled = person.going
        assert person.holds(-60, 9).going is fulfilled


class TestNotDoingIt:
    def test_standing_still_expires(self) -> None:
        person = Person(asked(LEFT)).waits(STEP_MS)
        assert person.going.is_open
        assert person.waits(100).going.end is End.EXPIRED

    def test_it_expires_too_where_no_face_says_anything(self) -> None:
        going = asked(LEFT)
        assert challenge.timed(going, BEGIN + STEP_MS).is_open
        assert challenge.timed(going, BEGIN + STEP_MS + 1).end is End.EXPIRED

    def test_a_movement_too_small_is_none(self) -> None:
        person = Person(asked(LEFT)).waits().holds(TURN - 1, 5).holds(0)
        assert person.going.waits_for is LEFT

    @pytest.mark.parametrize(("movement", "other"), list(permutations(Movement, 2)))
    def test_another_movement_ends_it(self, movement: Movement, other: Movement) -> None:
        yaw, pitch = POSES[other]
        person = Person(asked(movement)).waits().holds(yaw, pitch=pitch)
        assert person.going.end is End.WRONG

    def test_a_nod_is_no_movement_that_is_asked(self) -> None:
        person = Person(asked(UP)).waits().holds(0, 5, pitch=-40)
        assert (person.going.waits_for, person.going.held) == (UP, 0)

    def test_a_raised_head_is_not_back(self) -> None:
        person = Person(asked(UP)).waits().holds(0, pitch=RAISE + 5)
        assert person.holds(0, 5, pitch=AHEAD_RAISED + 1).going.done == 0
        assert person.holds(0, pitch=AHEAD_RAISED - 1).going.fulfilled

    def test_of_two_at_once_the_greater_counts(self) -> None:
        both = [Person(asked(one)).waits().holds(TURN + 15, pitch=RAISE + 1) for one in (LEFT, UP)]
        assert both[0].going.waits_for is None
        assert both[1].going.end is End.WRONG

    def test_the_second_must_be_the_second(self) -> None:
        person = Person(asked(LEFT, RIGHT)).makes(LEFT).waits().holds(TURN + 5)
        assert person.going.end is End.WRONG

    def test_a_head_that_turns_to_and_fro_fulfils_nothing(self) -> None:
        for first, begin in product((LEFT, RIGHT), (0, 1, 2, 3)):
            person = Person(asked(first, first))
            for number in range(12):
                person.holds(30 if (number + begin) % 4 < 2 else -30, 2)
            assert person.going.end in (End.WRONG, End.TOO_EARLY)

    def test_staying_turned_is_not_enough(self) -> None:
        person = Person(asked(LEFT)).waits().holds(TURN + 5, 30)
        assert person.going.done == 0
        assert person.holds(TURN + 5, 60).going.end is End.EXPIRED

    def test_who_answers_faster_than_anybody_can_has_not_seen_the_prompt(self) -> None:
        person = Person(asked(LEFT)).holds(TURN + 5)
        assert person.at_ms - BEGIN < REACTION_MS
        assert person.going.end is End.TOO_EARLY

    def test_who_was_already_turning_before_the_second_prompt_has_not_waited_for_it(self) -> None:
        person = Person(asked(LEFT, LEFT)).makes(LEFT).holds(TURN + 5)
        assert person.going.end is End.TOO_EARLY

    def test_a_single_frame_of_it_is_an_error_of_the_points(self) -> None:
        person = Person(asked(LEFT)).waits().holds(TURN + 5, 1).holds(0, 3)
        assert person.going.waits_for is LEFT

    def test_who_comes_back_as_somebody_else_is_not_back(self) -> None:
        person = Person(asked(LEFT)).waits().holds(TURN + 5).holds(0, 10, same=False)
        assert person.going.done == 0
        assert person.holds(0, 60, same=False).going.end is End.EXPIRED

    def test_out_of_sight_for_so_long_it_may_be_anybody(self) -> None:
        person = Person(asked(LEFT)).waits()
        person.at_ms += LONGEST_GAP_MS
        assert person.holds(TURN + 5).going.end is End.LOST

    def test_nothing_counts_before_it_is_shown(self) -> None:
        begun = challenge.begun((LEFT,), AT_EASE, 7, FACE)
        assert begun is not None
        for number in range(1, 5):
            begun = challenge.advanced(begun, Look(BEGIN + 100 * number, 30, 0), same=True)
        assert begun.is_open
        assert begun.waits_for is LEFT

    def test_frames_on_their_way_when_it_was_shown_do_not_count(self) -> None:
        begun = challenge.begun((LEFT,), AT_EASE, 7, FACE)
        assert begun is not None
        going = challenge.prompted(begun, BEGIN + 500)
        for number in range(1, 6):
            going = challenge.advanced(going, Look(BEGIN + 100 * number, 30, 0), same=True)
        assert (going.held, going.end) == (0, None)

    def test_an_old_frame_or_the_same_once_more_changes_nothing(self) -> None:
        person = Person(asked(LEFT)).waits().holds(TURN + 5, 1)
        for at_ms in (person.at_ms, person.at_ms - 1, BEGIN, 0, -5):
            again = challenge.advanced(person.going, Look(at_ms, TURN + 5, 0), same=True)
            assert again is person.going


class TestWhatAFaceSays:
    @pytest.mark.parametrize(
        ("yaw", "pitch", "misfit"),
        [
            (math.nan, 0, 0.05),
            (0, math.nan, 0.05),
            (math.inf, 0, 0.05),
            (30, 0, math.nan),
            (30, 0, math.inf),
            (30, 0, LARGEST_MISFIT + 0.01),
            (30, 0, 1.0),
            (30, 0, -0.1),
        ],
    )
    def test_points_that_are_no_heads_say_nothing(
        self, yaw: float, pitch: float, misfit: float
    ) -> None:
        assert challenge.look(BEGIN, yaw, pitch, misfit) is None

    def test_it_is_kept_as_a_time_and_two_angles(self) -> None:
        assert challenge.look(BEGIN, 12.345, -6.789, 0.05) == Look(BEGIN, 12.3, -6.8)

    def test_the_record_is_bounded_and_spans_the_whole(self) -> None:
        going = asked(LEFT)
        for number in range(1, 50):
            going = challenge.advanced(going, Look(BEGIN + number * 20, 0, 0), same=True)
        for number in range(1, 200):
            at_ms = BEGIN + 1000 + number * 20
            going = challenge.advanced(going, Look(at_ms, 0, 0), same=True)
        assert len(going.record) <= LONGEST_RECORD
        assert going.record[0] == AT_EASE[0]


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 700),
            st.sampled_from([-30, -15, 0, 0, 5, 15, 30]),
            st.sampled_from([-30, 0, 0, 10, 18, 30]),
            st.booleans(),
        ),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from(list(product(Movement, repeat=2))),
)
def test_whatever_is_shown_a_fulfilled_one_was_made_in_order_in_time_and_by_one_person(
    faces: list[tuple[int, float, float, bool]], movements: tuple[Movement, Movement]
) -> None:
    going, at_ms = asked(*movements), BEGIN
    seen: list[tuple[Look, bool]] = []
    for wait_ms, yaw, pitch, same in faces:
        at_ms += wait_ms
        seen.append((Look(at_ms, yaw, pitch), same))
        going = challenge.advanced(going, seen[-1][0], same=same)
        if challenge.is_due(going):
            going = challenge.prompted(going, at_ms)
    if not going.fulfilled:
        return
    before = BEGIN
    for step, movement in zip(going.steps, movements, strict=True):
        assert step.movement is movement
        assert before <= step.prompted_ms
        assert step.prompted_ms + REACTION_MS <= step.reached_ms < step.back_ms
        assert step.back_ms <= step.prompted_ms + STEP_MS
        made = [one for one, _ in seen if step.prompted_ms < one.at_ms <= step.reached_ms]
        assert all(is_of(movement, one) for one in made[-2:])
        back = [pair for pair in seen if step.reached_ms < pair[0].at_ms <= step.back_ms]
        assert all(
            abs(one.yaw) <= AHEAD and abs(one.pitch) <= AHEAD_RAISED and same
            for one, same in back[-2:]
        )
        before = step.back_ms


def is_of(movement: Movement, one: Look) -> bool:
    if movement is UP:
        return one.pitch >= RAISE
    return one.yaw >= TURN if movement is LEFT else one.yaw <= -TURN
