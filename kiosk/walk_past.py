"""A walk-past made from a portrait: the frames that a kiosk camera would take of that person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 480
FRAMES = 25
NEAR, FAR = 1.0, 0.6
"""Height of the portrait in frame heights, when nearest and at both ends of the walk."""


def write_walk_past(portrait: Path, folder: Path) -> Path:
    """Write FRAMES JPEG files of 640x480 into `folder` and return it.

    The person comes up from the left, stands before the camera in the middle and leaves to the
    right. Raises ValueError if the portrait is no readable image.
    """
    picture = cv2.imread(str(portrait), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{portrait} is no readable image")
    folder.mkdir(parents=True, exist_ok=True)
    for number, progress in enumerate(np.linspace(0, 1, FRAMES)):
        frame = _frame(np.asarray(picture, np.uint8), float(progress))
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), frame, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return folder


def _frame(portrait: Picture, progress: float) -> Picture:
    """One frame (480, 640, 3), BGR, at `progress` (0..1) of the walk."""
    nearness = float(np.sin(np.pi * progress))
    height = int(HEIGHT * (FAR + (NEAR - FAR) * nearness))
    scale = height / portrait.shape[0]
    width = max(1, round(portrait.shape[1] * scale))
    person = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
    frame = room()
    # The middle of the portrait walks over the middle three fifths of the picture.
    left = round(WIDTH * (0.2 + 0.6 * progress)) - width // 2
    begin, end = max(0, left), min(WIDTH, left + width)
    frame[HEIGHT - height :, begin:end] = person[:, begin - left : end - left]
    return frame


def room() -> Picture:
    """A plain wall, lighter at the top."""
    shade = np.linspace(170, 110, HEIGHT)[:, None, None] * np.array([1.0, 0.98, 0.94])
    return np.broadcast_to(shade, (HEIGHT, WIDTH, 3)).astype(np.uint8).copy()
