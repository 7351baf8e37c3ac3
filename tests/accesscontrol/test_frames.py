"""A kiosk's slot: the newest frame wins, nothing piles up, nothing is readable, all may vanish."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from dataclasses import replace
from uuid import UUID

import pytest
import redis

from accesscontrol import frames
from accesscontrol.crypto import SealError
from accesscontrol.frames import (
    FRAME_LIFETIME_MS,
    Frame,
    FrameInlet,
    FrameOutlet,
    now_ms,
    seal_frame,
    unseal_frame,
)
from tests.factories import jpeg_bytes

JPEG = jpeg_bytes()


def frame(kiosk_id: UUID | None = None, sequence: int = 1, *, age_ms: int = 0) -> Frame:
    received = now_ms() - age_ms
    return Frame(kiosk_id or uuid.uuid4(), sequence, received - 30, received, JPEG)


def put(*several: Frame) -> list[bool]:
    """Through the stream's side; for each whether a worker is to be woken."""

    async def send() -> list[bool]:
        inlet = FrameInlet.connect()
        try:
            return [await inlet.put(one) for one in several]
        finally:
            await inlet.close()

    return asyncio.run(send())


def rest(kiosk_id: UUID) -> bool:
    async def send() -> bool:
        inlet = FrameInlet.connect()
        try:
            return await inlet.rest(kiosk_id)
        finally:
            await inlet.close()

    return asyncio.run(send())


class TestSlot:
    def test_a_frame_comes_out_as_it_went_in(self, outlet: FrameOutlet) -> None:
        sent = frame(sequence=2**32 - 1)
        put(sent)
        assert outlet.take(10, "w") == [sent]

    def test_it_comes_out_once(self, outlet: FrameOutlet) -> None:
        put(frame())
        assert len(outlet.take(10, "w")) == 1
        assert outlet.take(10, "w") == []

    def test_an_empty_slot_gives_nothing(self, outlet: FrameOutlet) -> None:
        assert outlet.take(10, "w") == []

    def test_the_newest_wins_and_the_others_are_counted(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        put(*(frame(kiosk, number) for number in range(20)))
        assert outlet.waiting() == 1
        assert [taken.sequence for taken in outlet.take(10, "w")] == [19]
        assert outlet.counts(kiosk) == {"received": 20, "replaced": 19, "processed": 1}

    def test_one_frame_of_each_kiosk_comes_out_the_longest_waiting_first(
        self, outlet: FrameOutlet
    ) -> None:
        late, early = frame(), frame(age_ms=500)
        put(late, early, replace(early, sequence=2, received_ms=now_ms()))
        assert [taken.kiosk_id for taken in outlet.take(10, "w")] == [early.kiosk_id, late.kiosk_id]

    def test_no_more_come_out_than_asked_for(self, outlet: FrameOutlet) -> None:
        put(*(frame() for _ in range(5)))
        assert len(outlet.take(3, "w")) == 3
        assert outlet.waiting() == 2

    def test_it_is_gone_after_its_lifetime(self, outlet: FrameOutlet, valkey: redis.Redis) -> None:
        sent = frame()
        put(sent)
        assert 0 < valkey.pttl(f"slot:{sent.kiosk_id}") <= FRAME_LIFETIME_MS
        valkey.delete(f"slot:{sent.kiosk_id}")  # what the expiry does
        assert outlet.take(10, "w") == []
        assert outlet.counts(sent.kiosk_id) == {"received": 1, "expired": 1}

    def test_an_old_frame_is_dropped_and_counted(self, outlet: FrameOutlet) -> None:
        old = frame(age_ms=FRAME_LIFETIME_MS + 1)
        put(old)
        assert outlet.take(10, "w") == []
        assert outlet.counts(old.kiosk_id) == {"received": 1, "expired": 1}

    def test_a_dropped_frame_leaves_the_kiosk_free(self, outlet: FrameOutlet) -> None:
        old = frame(age_ms=FRAME_LIFETIME_MS + 1)
        put(old)
        outlet.take(10, "w")
        put(frame(old.kiosk_id))
        assert len(outlet.take(10, "other")) == 1

    def test_every_frame_is_counted_as_one_thing_even_if_one_comes_between(
        self, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kiosk = uuid.uuid4()
        put(frame(kiosk, 1))
        hold = outlet.hold

        def slowly(kiosk_id: UUID, worker: str) -> bool:
            put(frame(kiosk, 2))  # after the kiosk was taken from the waiting, before its frame
            return hold(kiosk_id, worker)

        monkeypatch.setattr(outlet, "hold", slowly)
        assert [taken.sequence for taken in outlet.take(10, "w")] == [2]
        monkeypatch.undo()
        outlet.release(kiosk, "w")
        assert outlet.take(10, "w") == []
        assert outlet.counts(kiosk) == {"received": 2, "replaced": 1, "processed": 1}


class TestWaking:
    def test_the_first_frame_wakes_a_worker_and_the_next_do_not(self, valkey: redis.Redis) -> None:
        assert put(frame(), frame(), frame()) == [True, False, False]

    def test_once_the_worker_begins_a_new_frame_wakes_again(self, outlet: FrameOutlet) -> None:
        put(frame())
        outlet.begin()
        assert put(frame()) == [True]

    def test_resting_wakes_too(self, outlet: FrameOutlet) -> None:
        assert rest(uuid.uuid4())
        assert not rest(uuid.uuid4())

    def test_a_lost_message_costs_a_second_at_most(self, valkey: redis.Redis) -> None:
        put(frame())
        assert 0 < valkey.pttl(frames.WAKE) <= 1000


class TestHolding:
    def test_two_workers_never_hold_one_kiosk(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        put(frame(kiosk, 1))
        assert len(outlet.take(10, "one")) == 1
        put(frame(kiosk, 2))
        assert outlet.take(10, "two") == []
        assert outlet.waiting() == 1, "the frame waits for the worker that has the kiosk"
        outlet.release(kiosk, "one")
        assert [taken.sequence for taken in outlet.take(10, "two")] == [2]

    def test_a_worker_does_not_hold_the_same_kiosk_twice(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        assert outlet.hold(kiosk, "one")
        assert not outlet.hold(kiosk, "one")

    def test_only_the_holder_can_let_go(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        outlet.hold(kiosk, "one")
        outlet.release(kiosk, "two")
        assert outlet.holds(kiosk, "one")
        assert not outlet.holds(kiosk, "two")

    def test_a_dead_worker_lets_go_by_itself(
        self, outlet: FrameOutlet, valkey: redis.Redis
    ) -> None:
        kiosk = uuid.uuid4()
        outlet.hold(kiosk, "one")
        assert 0 < valkey.pttl(f"slots:busy:{kiosk}") <= frames.BUSY_LIFETIME_MS

    def test_a_kiosk_that_is_held_keeps_others_from_nothing(self, outlet: FrameOutlet) -> None:
        held, free = frame(age_ms=100), frame()
        outlet.hold(held.kiosk_id, "one")
        put(held, free)
        assert outlet.take(10, "two") == [free]


class TestResting:
    def test_a_kiosk_that_rests_is_told_of_once(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        rest(kiosk)
        rest(kiosk)
        assert outlet.take_resting("w") == [kiosk]
        outlet.release(kiosk, "w")
        assert outlet.take_resting("w") == []

    def test_a_new_frame_ends_the_rest(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        rest(kiosk)
        put(frame(kiosk))
        assert outlet.take_resting("w") == []

    def test_it_is_held_by_the_worker_that_takes_it(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        rest(kiosk)
        outlet.take_resting("w")
        assert outlet.holds(kiosk, "w")

    def test_a_kiosk_that_another_worker_holds_stays_resting(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        outlet.hold(kiosk, "other")
        rest(kiosk)
        assert outlet.take_resting("w") == []
        outlet.release(kiosk, "other")
        assert outlet.take_resting("w") == [kiosk]


class TestTracks:
    def test_they_come_back_as_they_were_kept(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        assert outlet.load_tracks(kiosk) is None
        outlet.save_tracks(kiosk, b"state", now_ms())
        assert outlet.load_tracks(kiosk) == b"state"

    def test_a_kiosk_is_left_open_after_its_last_frame(self, outlet: FrameOutlet) -> None:
        kiosk, seen = uuid.uuid4(), now_ms()
        outlet.save_tracks(kiosk, b"state", seen)
        assert outlet.left_open(seen - 1) == []
        assert outlet.left_open(seen) == [kiosk]

    def test_a_kiosk_whose_next_frame_waits_is_not(self, outlet: FrameOutlet) -> None:
        waiting, seen = frame(), now_ms()
        outlet.save_tracks(waiting.kiosk_id, b"state", seen)
        put(waiting)
        assert outlet.left_open(seen) == []

    def test_when_a_frame_was_looked_at_is_known_for_a_while(
        self, outlet: FrameOutlet, valkey: redis.Redis
    ) -> None:
        kiosk = uuid.uuid4()
        assert outlet.looked_ms(kiosk) == 0
        outlet.note_look(kiosk, 1_700_000_000_000)
        assert outlet.looked_ms(kiosk) == 1_700_000_000_000
        assert 0 < valkey.pttl(f"slots:looked:{kiosk}") <= frames.TRACKS_LIFETIME_MS

    def test_without_presentations_nothing_is_left_open(self, outlet: FrameOutlet) -> None:
        kiosk = uuid.uuid4()
        outlet.save_tracks(kiosk, b"state", 1)
        outlet.save_tracks(kiosk, None, 1)
        assert outlet.left_open(now_ms()) == []
        assert outlet.load_tracks(kiosk) is None

    def test_they_vanish_by_themselves(self, outlet: FrameOutlet, valkey: redis.Redis) -> None:
        kiosk = uuid.uuid4()
        outlet.save_tracks(kiosk, b"state", now_ms())
        assert 0 < valkey.pttl(f"tracks:{kiosk}") <= frames.TRACKS_LIFETIME_MS

    def test_those_of_another_kiosk_do_not_open(
        self, outlet: FrameOutlet, valkey: redis.Redis
    ) -> None:
        one, other = uuid.uuid4(), uuid.uuid4()
        outlet.save_tracks(one, b"state", now_ms())
        valkey.copy(f"tracks:{one}", f"tracks:{other}")
        assert outlet.load_tracks(other) is None

    @pytest.mark.parametrize("planted", [b"x", b"[]", secrets.token_bytes(200)])
    def test_foreign_bytes_are_no_tracks(
        self, outlet: FrameOutlet, valkey: redis.Redis, planted: bytes
    ) -> None:
        kiosk = uuid.uuid4()
        valkey.set(f"tracks:{kiosk}", planted)
        assert outlet.load_tracks(kiosk) is None


class TestSealing:
    def test_a_frame_for_another_kiosk_does_not_open(self) -> None:
        sent = frame()
        with pytest.raises(SealError):
            unseal_frame(uuid.uuid4(), seal_frame(sent))

    def test_a_frame_moved_to_another_slot_is_dropped(
        self, outlet: FrameOutlet, valkey: redis.Redis
    ) -> None:
        genuine, victim = frame(), frame()
        put(genuine, victim)
        valkey.copy(f"slot:{genuine.kiosk_id}", f"slot:{victim.kiosk_id}", replace=True)
        assert outlet.take(10, "w") == [genuine]
        assert outlet.counts(victim.kiosk_id) == {"received": 1, "expired": 1}

    @pytest.mark.parametrize("planted", [b"", b"x", JPEG, secrets.token_bytes(5000)])
    def test_foreign_bytes_in_a_slot_are_dropped(
        self, outlet: FrameOutlet, valkey: redis.Redis, planted: bytes
    ) -> None:
        sent = frame()
        put(sent)
        valkey.set(f"slot:{sent.kiosk_id}", planted)
        assert outlet.take(10, "w") == []

    def test_nothing_in_valkey_can_be_read(self, outlet: FrameOutlet, valkey: redis.Redis) -> None:
        sent = frame()
        put(sent)
        outlet.save_tracks(sent.kiosk_id, b"a face's numbers", now_ms())
        content = b"".join(valkey.dump(key) or b"" for key in valkey.scan_iter())
        assert len(content) > len(JPEG)
        assert b"\xff\xd8\xff" not in content
        assert b"JFIF" not in content
        assert b"a face's numbers" not in content


class TestFlushedInTheMiddle:
    def test_of_a_frame(self, outlet: FrameOutlet, valkey: redis.Redis) -> None:
        kiosk = uuid.uuid4()
        put(frame(kiosk))
        valkey.flushdb()
        assert outlet.take(10, "w") == []
        assert put(frame(kiosk, 2)) == [True]
        assert [taken.sequence for taken in outlet.take(10, "w")] == [2]

    def test_of_the_work_on_it(self, outlet: FrameOutlet, valkey: redis.Redis) -> None:
        kiosk = uuid.uuid4()
        put(frame(kiosk))
        outlet.take(10, "w")
        valkey.flushdb()
        assert not outlet.holds(kiosk, "w")
        outlet.release(kiosk, "w")
        outlet.save_tracks(kiosk, b"state", now_ms())
        assert outlet.load_tracks(kiosk) == b"state"

    def test_of_a_rest(self, outlet: FrameOutlet, valkey: redis.Redis) -> None:
        rest(uuid.uuid4())
        valkey.flushdb()
        assert outlet.take_resting("w") == []
        assert outlet.left_open(now_ms()) == []


class TestLead:
    def test_whose_walk_up_was_begun_comes_before_who_waits_longer(
        self, outlet: FrameOutlet
    ) -> None:
        begun, waiting = frame(), frame(age_ms=500)
        outlet.save_tracks(begun.kiosk_id, b"state", now_ms(), lead_ms=1_000)
        put(waiting, begun)
        assert outlet.take(10, "w") == [begun, waiting]

    def test_it_goes_for_a_frame_that_waits_already(self, outlet: FrameOutlet) -> None:
        begun, waiting = frame(), frame(age_ms=500)
        put(waiting, begun)
        outlet.save_tracks(begun.kiosk_id, b"state", now_ms(), lead_ms=1_000)
        assert outlet.take(10, "w") == [begun, waiting]

    def test_who_has_waited_for_longer_than_the_lead_comes_first(self, outlet: FrameOutlet) -> None:
        begun, waiting = frame(), frame(age_ms=1_500)
        outlet.save_tracks(begun.kiosk_id, b"state", now_ms(), lead_ms=1_000)
        put(waiting, begun)
        assert outlet.take(10, "w") == [waiting, begun]

    def test_it_ends_with_the_presentations(self, outlet: FrameOutlet) -> None:
        over, waiting = frame(), frame(age_ms=500)
        outlet.save_tracks(over.kiosk_id, b"state", now_ms(), lead_ms=1_000)
        outlet.save_tracks(over.kiosk_id, None, 0)
        put(waiting, over)
        assert outlet.take(10, "w") == [waiting, over]

    def test_a_kiosk_without_a_frame_does_not_wait(self, outlet: FrameOutlet) -> None:
        outlet.save_tracks(uuid.uuid4(), b"state", now_ms(), lead_ms=1_000)
        assert outlet.waiting() == 0


class TestCounts:
    def test_what_was_dropped_before_the_slot_is_counted_with_the_frame(
        self, outlet: FrameOutlet
    ) -> None:
        sent = frame()

        async def send() -> None:
            inlet = FrameInlet.connect()
            try:
                await inlet.put(sent, overtaken=3, over_rate=5)
                await inlet.turn_away(sent.kiosk_id, overtaken=1, over_rate=2)
            finally:
                await inlet.close()

        asyncio.run(send())
        assert outlet.counts(sent.kiosk_id) == {
            "received": 6, "replaced": 4, "expired": 1, "over_rate": 7,
        }  # fmt: skip

    def test_batches_are_counted_by_their_size(self, outlet: FrameOutlet) -> None:
        for size in (1, 4, 4):
            outlet.count_batch(size)
        assert outlet.batches() == {1: 1, 4: 2}
