"""Pictures from streams, and their way into the server's limits."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from accesscontrol.image_header import probe
from kiosk.flight import Flight
from kiosk.sources import Pace, SourceError, encode, pictures


def pace() -> Pace:
    return Pace(fps=10, hold_s=1, stop=threading.Event())


def test_a_stream_is_read_picture_by_picture_until_it_ends(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48)
    )
    for level in (0, 100, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    seen = [picture.mean() for picture in pictures(f"file://{tmp_path}/clip.avi", pace())]
    assert seen == pytest.approx([0, 100, 200], abs=5)


@pytest.mark.parametrize("source", ["rtsp://127.0.0.1:1/door", "98"])
def test_a_stream_or_camera_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(SourceError, match=source):
        list(pictures(source, pace()))


def test_a_source_ends_when_it_is_told_to(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    endless = Pace(fps=10, hold_s=1e6, stop=threading.Event())
    playing = pictures(str(tmp_path / "a.png"), endless)
    next(playing)
    endless.stop.set()
    assert list(playing) == []


@pytest.mark.parametrize("size", [(3000, 4000), (8000, 200), (100, 20_000), (1, 1)])
def test_whatever_comes_is_sent_within_the_servers_limits(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (*size[::-1], 3), np.uint8)
    limits = {"max_bytes": 512 * 1024, "max_pixels": 1_000_000}
    jpeg = encode(noise, **limits)
    header = probe(jpeg, **limits)
    assert header.format == "JPEG"
    assert header.width <= 1280


def test_an_answer_covers_the_frames_before_it() -> None:
    flight = Flight()
    flight.depart(1, "a", now=0.0)
    second = flight.depart(2, "a", now=0.1)
    assert flight.room_in(0.2) == pytest.approx(0.8)
    flight.answered(second)
    assert flight.room_in(0.2) == 0
    assert flight.empty(0.2)


def test_a_frame_without_an_answer_is_given_up_after_a_second() -> None:
    flight = Flight()
    flight.depart(1, "a", now=0.0)
    flight.depart(2, "a", now=0.5)
    assert flight.room_in(1.01) == 0
    assert not flight.empty(1.01)
    assert flight.empty(1.51)


def test_old_frames_are_forgotten() -> None:
    flight = Flight()
    for number in range(1500):
        flight.depart(number, "a", now=0.0)
    assert flight.sent(1) == (None, None)
    assert flight.sent(1500) == (1499, "a")
