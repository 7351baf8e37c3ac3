"""Where the Python client's pictures come from: video, image, folder, RTSP stream, camera."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
MAX_WIDTH = 1280
USUAL_FPS = 25.0
QUALITIES = (90, 75, 60, 45)


class SourceError(Exception):
    """The source cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things last. `stop` ends a source early."""

    fps: float
    """Pictures of a folder or of a held image a second."""
    hold_s: float
    """How long a single image is shown."""
    stop: threading.Event


def pictures(source: str, pace: Pace) -> Iterator[Picture]:
    """Yield the source's pictures, each at the moment when it is to be shown.

    A video plays at its own speed: what the consumer of this iterator is too slow for is left
    out. Raises SourceError.
    """
    if source.isdigit():
        yield from _live(cv2.VideoCapture(int(source)), f"camera {source}", pace)
    elif "://" in source:
        yield from _live(cv2.VideoCapture(source, cv2.CAP_FFMPEG), source, pace)
    elif not Path(source).exists():
        raise SourceError(f"{source} does not exist.")
    elif Path(source).is_dir():
        yield from _folder(Path(source), pace)
    elif Path(source).suffix.lower() in IMAGE_SUFFIXES:
        yield from _paced([_image(Path(source))] * max(1, round(pace.hold_s * pace.fps)), pace)
    else:
        yield from _video(source, pace)


def encode(picture: Picture, max_bytes: int, max_pixels: int) -> bytes:
    """JPEG of the picture, scaled down to 1280 wide and to the server's limits."""
    height, width = picture.shape[:2]
    scale = min(1.0, MAX_WIDTH / width, math.sqrt(max_pixels / (width * height)))
    if scale < 1:
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        picture = _as_picture(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
    jpeg = b""
    for quality in QUALITIES:
        _, buffer = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        jpeg = buffer.tobytes()
        if len(jpeg) <= max_bytes:
            break
    return jpeg


def _paced(images: list[Picture], pace: Pace) -> Iterator[Picture]:
    start = time.monotonic()
    for number, image in enumerate(images, start=1):
        yield image
        if pace.stop.wait(max(0.0, start + number / pace.fps - time.monotonic())):
            return


def _folder(folder: Path, pace: Pace) -> Iterator[Picture]:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    start, shown = time.monotonic(), 0
    for path in paths:
        try:
            image = _image(path)
        except SourceError:
            continue
        yield image
        shown += 1
        if pace.stop.wait(max(0.0, start + shown / pace.fps - time.monotonic())):
            return
    if not shown:
        raise SourceError(f"{folder} holds no image that can be read.")


def _image(path: Path) -> Picture:
    # Not cv2.imread, which fails on names that are not ASCII on some systems.
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if _filled(path) else None
    if image is None:
        raise SourceError(f"{path} is no image that can be read.")
    return _as_picture(image)


def _filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _video(path: str, pace: Pace) -> Iterator[Picture]:
    capture = cv2.VideoCapture(path)
    try:
        if not capture.isOpened() or not capture.grab():
            raise SourceError(f"{path} is no video or image that can be read.")
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 1 <= fps <= 240 else USUAL_FPS
        start, number = time.monotonic(), 0
        while True:
            late = time.monotonic() - (start + number / fps)
            if late < 1 / fps:
                if pace.stop.wait(max(0.0, -late)):
                    return
                decoded, picture = capture.retrieve()
                if decoded:
                    yield _as_picture(picture)
            if not capture.grab():
                return
            number += 1
    finally:
        capture.release()


def _live(capture: cv2.VideoCapture, name: str, pace: Pace) -> Iterator[Picture]:
    try:
        seen = False
        while not pace.stop.is_set():
            read, picture = capture.read()
            if not read:
                break
            seen = True
            yield _as_picture(picture)
        if not seen and not pace.stop.is_set():
            raise SourceError(f"{name} gives no picture. Is it connected, and used by no other?")
    finally:
        capture.release()


def _as_picture(image: object) -> Picture:
    return np.asarray(image, np.uint8)
