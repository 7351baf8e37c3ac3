"""A stream that cannot keep up goes on with the newest frame; what it leaves out is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
import pytest_asyncio

from accesscontrol.frames import FRAME_LIFETIME_MS, Frame, FrameInlet, FrameOutlet, now_ms
from kiosk import inbox, protocol
from kiosk.inbox import MOST_WAITING, Event, Inbox
from kiosk.lag import CLOCK_MOVED_MS, Lag
from kiosk.protocol import FrameMessage
from kiosk.session import MESSAGES_PER_S
from tests.kiosk.device import Device, Stream, picture

RATE = int(MESSAGES_PER_S)


def frame(number: int) -> Event:
    return {"type": "websocket.receive", "bytes": bytes([number])}


def text(words: str) -> Event:
    return {"type": "websocket.receive", "text": words}


GONE: Event = {"type": "websocket.disconnect", "code": 1000}


class Socket:
    """ASGI's `receive`: gives what it was given, then waits for more."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        for event in events:
            self.events.put_nowait(event)

    async def receive(self) -> Event:
        return await self.events.get()


async def taken(*events: Event) -> tuple[Inbox, list[Event]]:
    """All events arrive before the consumer takes the first one; the last one is GONE."""
    box = Inbox(Socket([*events, GONE]).receive)
    await box.read()
    found = [await box.receive()]
    while found[-1] != GONE:
        found.append(await box.receive())
    return box, found[:-1]


class TestInbox:
    async def test_of_frames_that_wait_only_the_newest_is_taken(self) -> None:
        box, found = await taken(*(frame(number) for number in range(5)))
        assert found == [frame(4)]
        assert box.dropped() == inbox.Dropped(overtaken=4, over_rate=0)
        assert box.dropped() == inbox.Dropped(0, 0), "counted once"

    async def test_texts_keep_their_place_between_the_frames(self) -> None:
        _, found = await taken(frame(1), frame(2), text("rest"), frame(3), frame(4))
        assert found == [frame(2), text("rest"), frame(4)]

    async def test_a_frame_is_as_old_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter((1_000, 2_000, 3_000))
        monkeypatch.setattr(inbox, "now_ms", lambda: next(clock))
        box, _ = await taken(frame(1), frame(2))
        assert box.received_ms == 3_000, "of the end of the connection, the last that was taken"
        clock = iter((1_000, 2_000, 3_000))
        box = Inbox(Socket([frame(1), frame(2), GONE]).receive)
        await box.read()
        await box.receive()
        assert box.received_ms == 2_000, "when it came, not when it was taken"

    async def test_what_is_over_the_rate_is_not_taken(self) -> None:
        texts = [text(str(number)) for number in range(RATE + 7)]
        box = Inbox(Socket([*texts, GONE]).receive)
        reading = asyncio.create_task(box.read())
        found = [await box.receive()]
        while found[-1] != GONE:
            found.append(await box.receive())
        await reading
        assert RATE <= len(found) - 1 < len(texts)
        assert box.over_rate == len(texts) + 1 - len(found)
        assert box.dropped().over_rate == box.over_rate

    async def test_what_nobody_takes_is_left_with_its_sender(self) -> None:
        socket = Socket(text(str(number)) for number in range(3 * MOST_WAITING))
        box = Inbox(socket.receive)
        reading = asyncio.create_task(box.read())
        for _ in range(10 * MOST_WAITING):
            await asyncio.sleep(0)
        assert socket.events.qsize() == 2 * MOST_WAITING
        for number in range(3 * MOST_WAITING):
            assert await box.receive() == text(str(number))
        reading.cancel()

    async def test_a_reader_that_breaks_ends_the_connection(self) -> None:
        async def broken() -> Event:
            raise RuntimeError("broken")

        box = Inbox(broken)
        with pytest.raises(RuntimeError):
            await box.read()
        assert (await box.receive())["type"] == "websocket.disconnect"


class TestLag:
    def late(self, *frames: tuple[int, int]) -> list[bool]:
        """For frames of these times of capture and receipt."""
        lag = Lag()
        return [lag.is_late(captured, received) for captured, received in frames]

    @pytest.mark.parametrize("clock", [0, 10**12, -(10**6), 2**63])
    def test_a_clock_may_be_wrong_by_anything(self, clock: int) -> None:
        frames = [(clock + 10**7 + at, 10**7 + at + at % 300) for at in range(0, 10_000, 100)]
        assert not any(self.late(*frames))

    def test_what_lay_in_a_buffer_is_late(self) -> None:
        stuck = FRAME_LIFETIME_MS + 1
        assert self.late((0, 5), (100, 105), (200, 205 + stuck), (2_500, 2_505)) == [
            False, False, True, False,
        ]  # fmt: skip

    def test_a_frames_lifetime_is_allowed(self) -> None:
        assert self.late((0, 5), (100, 105 + FRAME_LIFETIME_MS)) == [False, False]

    def test_a_clock_that_was_set_back_or_stands_still_says_nothing(self) -> None:
        frames = [(50_000, 50_000), (10_000, 50_100), (10_100, 50_200), (10_100, 59_000)]
        assert not any(self.late(*frames))

    def test_a_clock_that_was_set_while_the_kiosk_rested_is_believed_after_a_while(self) -> None:
        frames = [(0, 0)] + [(60_000 + at, 70_000 + at) for at in range(0, 10_000, 100)]
        found = self.late(*frames)
        assert found.count(True) == CLOCK_MOVED_MS // 100
        assert not any(found[found.count(True) + 1 :])


@pytest_asyncio.fixture
async def stream(device: Device) -> AsyncIterator[Stream]:
    opened = Stream(device.kiosk.pk)
    await opened.open(device)
    yield opened
    await opened.leave()


class Gate:
    """Holds the first frame back before its slot, as a server does that is busy."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()
        put = FrameInlet.put

        async def slowly(inlet: FrameInlet, frame: Frame, **lost: int) -> bool:
            self.reached.set()
            await self.opened.wait()
            return await put(inlet, frame, **lost)

        monkeypatch.setattr(FrameInlet, "put", slowly)


async def test_frames_that_came_while_the_server_was_busy_are_overtaken_by_the_newest(
    stream: Stream, device: Device, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    await stream.frame()
    await gate.reached.wait()
    for _ in range(9):
        last = await stream.frame()
    gate.opened.set()
    assert await stream.still_works()
    (frame,) = outlet.take(10, "worker")
    assert frame.sequence == last
    counts = outlet.counts(device.kiosk.pk)
    assert counts == {"received": 10, "replaced": 9, "processed": 1}


async def test_a_rest_comes_after_the_frames_before_it(
    stream: Stream, device: Device, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    await stream.frame()
    await gate.reached.wait()
    await stream.frame()
    await stream.say({"type": "rest"})
    gate.opened.set()
    assert await stream.still_works()
    assert outlet.take_resting("worker") == [device.kiosk.pk], "no later frame ended the rest"


async def test_a_frame_that_was_on_its_way_for_too_long_reaches_no_worker_and_is_counted(
    stream: Stream, device: Device, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = now_ms()

    async def arrive(sequence: int, *, captured_ms: int, received_ms: int) -> list[int]:
        """The frames that a worker finds when this one has come."""
        monkeypatch.setattr(inbox, "now_ms", lambda: clock + received_ms)
        message = FrameMessage(sequence, captured_ms, picture())
        await stream.binary(protocol.pack_frame(message))
        assert await stream.still_works()
        frames = outlet.take(10, "worker")
        outlet.release(device.kiosk.pk, "worker")
        return [frame.sequence for frame in frames]

    assert await arrive(1, captured_ms=1_000_000, received_ms=0) == [1]
    assert await arrive(2, captured_ms=1_000_100, received_ms=2_101) == []
    assert await arrive(3, captured_ms=1_002_100, received_ms=2_102) == [3]
    counts = outlet.counts(device.kiosk.pk)
    assert counts == {"received": 3, "processed": 2, "expired": 1}


async def test_what_was_over_the_rate_is_counted_for_it(
    stream: Stream, device: Device, outlet: FrameOutlet
) -> None:
    for _ in range(4 * RATE):
        await stream.frame()
    await stream.leave()
    counts = outlet.counts(device.kiosk.pk)
    assert counts["over_rate"] > 0
    assert counts["received"] + counts["over_rate"] <= 4 * RATE
