"""What is no proper frame gets a clear answer, reaches no worker and does no harm."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accesscontrol.frames import FrameOutlet
from kiosk import protocol
from kiosk.protocol import Close, FrameMessage, ProtocolError
from tests.kiosk.device import Device, Stream, picture


def png_of_size(width: int, height: int) -> bytes:
    """The head of a PNG that says it is this big; its data would be a bomb."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + head


@pytest_asyncio.fixture
async def stream(device: Device) -> AsyncIterator[Stream]:
    stream = Stream(device.kiosk.pk)
    await stream.open(device)
    yield stream
    await stream.leave()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_a_frame_reaches_the_workers_as_it_was_sent(
    stream: Stream, device: Device, outlet: FrameOutlet, kind: str
) -> None:
    image = picture(kind)
    sent = await stream.frame(image)
    assert await stream.still_works()
    (frame,) = outlet.take(10, "worker")
    assert (frame.kiosk_id, frame.sequence, frame.image) == (device.kiosk.pk, sent, image)
    assert 0 <= frame.received_ms - frame.captured_ms < 60_000


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (b"", "EMPTY"),
        (b"garbage" * 100, "UNKNOWN_TYPE"),
        (picture()[:20], "CORRUPT"),
        (b"\x89PNG\r\n\x1a\n", "CORRUPT"),
        (png_of_size(10_000, 10_000), "TOO_MANY_PIXELS"),
        (png_of_size(0, 10), "CORRUPT"),
        (picture() + bytes(512 * 1024), "TOO_LARGE"),
    ],
    ids=["empty", "garbage", "cut JPEG", "cut PNG", "bomb", "no width", "too large"],
)
async def test_a_bad_image_is_answered_with_its_number_and_the_stream_goes_on(
    stream: Stream, outlet: FrameOutlet, image: bytes, code: str
) -> None:
    number = await stream.frame(image)
    answer = await stream.message()
    assert (answer["type"], answer["code"], answer["seq"]) == ("error", code, number)
    assert answer["message"]
    assert outlet.take(10, "worker") == []
    await stream.frame()
    assert await stream.still_works()
    assert len(outlet.take(10, "worker")) == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "EMPTY"), (b"\x01", "BAD_FRAME"), (b"\x02" + bytes(99), "BAD_FRAME")],
    ids=["0 bytes", "cut head", "wrong version"],
)
async def test_a_binary_message_that_is_no_frame_is_answered(
    stream: Stream, data: bytes, code: str
) -> None:
    await stream.binary(data)
    assert await stream.error() == code
    assert await stream.still_works()


@pytest.mark.parametrize(
    "text",
    ["", "hello", '{"type": "proof", "signature": ""}', '{"type": 5}', "[]", "x" * 2000],
    ids=lambda text: text[:24],
)
async def test_text_where_frames_are_expected_is_answered(stream: Stream, text: str) -> None:
    await stream.text(text)
    assert await stream.error() == "UNEXPECTED_TEXT"
    assert await stream.still_works()


async def test_text_bytes_on_the_binary_channel_are_no_frame(stream: Stream) -> None:
    await stream.binary(b'{"type": "rest"}')
    assert await stream.error() == "BAD_FRAME"
    assert await stream.still_works()


async def test_twenty_bad_frames_in_a_row_end_the_stream(stream: Stream) -> None:
    for _ in range(20):
        await stream.frame(b"garbage")
        assert await stream.error() == "UNKNOWN_TYPE"
    assert await stream.close_code() == Close.TOO_MANY_ERRORS


async def test_a_good_frame_in_between_forgives_the_bad_ones(stream: Stream) -> None:
    for bad in (12, 12):  # more than 20, and with all else fewer than the rate of 30 messages
        for _ in range(bad):
            await stream.frame(b"garbage")
            assert await stream.error() == "UNKNOWN_TYPE"
        await stream.frame()
        assert await stream.still_works(), "the next bad one would overtake it"


async def test_a_repeated_or_older_frame_is_ignored(stream: Stream, outlet: FrameOutlet) -> None:
    await stream.frame(sequence=10)
    assert await stream.still_works()
    assert len(outlet.take(10, "worker")) == 1
    for sequence in (10, 9, 0):
        await stream.frame(sequence=sequence)
    assert await stream.still_works()
    assert outlet.waiting() == 0


async def test_frames_over_the_rate_are_dropped(
    stream: Stream, device: Device, outlet: FrameOutlet
) -> None:
    for _ in range(300):
        await stream.frame()
    await stream.leave()
    assert 20 <= outlet.counts(device.kiosk.pk)["received"] < 150


async def test_only_the_newest_frame_waits(
    stream: Stream, device: Device, outlet: FrameOutlet
) -> None:
    for _ in range(5):
        last = await stream.frame()
    assert await stream.still_works()
    assert [frame.sequence for frame in outlet.take(10, "worker")] == [last]
    assert outlet.counts(device.kiosk.pk)["replaced"] == 4


async def test_a_frame_wakes_a_worker_once_with_a_message_that_holds_no_picture(
    stream: Stream, outlet: FrameOutlet, valkey: redis.Redis
) -> None:
    await stream.frame()
    await stream.frame()
    assert await stream.still_works()
    (message,) = valkey.lrange("recognition", 0, -1)
    assert len(message) < 2000
    outlet.begin()
    await stream.frame()
    assert await stream.still_works()
    assert valkey.llen("recognition") == 2


async def test_a_kiosk_that_rests_is_known_to_the_workers(
    stream: Stream, device: Device, outlet: FrameOutlet, valkey: redis.Redis
) -> None:
    await stream.say({"type": "rest"})
    assert await stream.still_works()
    assert outlet.take_resting("worker") == [device.kiosk.pk]
    assert valkey.llen("recognition") == 1


@hypothesis_settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert protocol.pack_frame(protocol.parse_frame(data)) == data


@given(sequence=st.integers(0, 2**32 - 1), captured_ms=st.integers(0, 2**64 - 1), image=st.binary())
def test_a_packed_frame_parses_to_itself(sequence: int, captured_ms: int, image: bytes) -> None:
    frame = FrameMessage(sequence, captured_ms, image)
    assert protocol.parse_frame(protocol.pack_frame(frame)) == frame


@given(text=st.text() | st.recursive(st.none() | st.text(), st.lists).map(str))
def test_any_text_is_a_message_or_a_protocol_error(text: str) -> None:
    with contextlib.suppress(ProtocolError):
        assert isinstance(protocol.parse_text(text)["type"], str)
