"""Faces by group on one HTML page, to be looked at: the report of `cluster`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from recognition.evaluate.page import Page, Picture, Shown, render
from recognition.images import PHOTO_LIMITS, ImageError, decode
from recognition.packages import write_atomically
from recognition.types import Floats, Pixels

PAGE = "report.html"
MOST_SHOWN = 48
"""Faces of a group: the page holds every picture."""
_SIDE = 160  # pixels of a thumbnail
_AROUND = 1.5  # its side against the longer one of the face's box
_BEYOND = (238, 241, 244)  # the page's colour of an empty place


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """A face of a file: its box (4,) in pixels of the upright image, and its likeness."""

    path: Path
    box: Floats
    score: float


def write_contact_sheet(
    folder: Path,
    title: str,
    figures: Mapping[str, object],
    groups: Sequence[tuple[str, Sequence[SeenFace]]],
) -> Path:
    """Write `report.html` into a folder, which is made if missing: groups by heading.

    The page holds pictures of the people that it shows: it is as private as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = [
        (_heading(heading, faces), [_shown(face) for face in faces[:MOST_SHOWN]])
        for heading, faces in groups
    ]
    path = folder / PAGE
    write_atomically(path, render(Page(title, figures, {}, shown)).encode())
    return path


def _heading(heading: str, faces: Sequence[SeenFace]) -> str:
    more = len(faces) - MOST_SHOWN
    return f"{heading}, the first {MOST_SHOWN}" if more > 0 else heading


def _shown(face: SeenFace) -> Shown:
    try:
        image = decode(face.path.read_bytes(), PHOTO_LIMITS)
    except (ImageError, OSError):
        return Shown(face.score, face.path, None)  # the page leaves its place empty
    across, down = image.scale
    box = (face.box / np.array([across, down, across, down])).astype(np.float32)
    name = f"{face.path.parent.name}/{face.path.name}"
    return Shown(face.score, Picture(name, _thumbnail(image.pixels, box)), None)


def _thumbnail(pixels: Pixels, box: Floats) -> Pixels:
    """The face with what is around it, (S, S, 3); light grey beyond the picture."""
    x1, y1, x2, y2 = (float(side) for side in box)
    scale = _SIDE / (_AROUND * max(x2 - x1, y2 - y1, 1.0))
    middle = _SIDE / 2 - 0.5
    move = np.array(
        [
            [scale, 0, middle - scale * (x1 + x2) / 2],
            [0, scale, middle - scale * (y1 + y2) / 2],
        ]
    )
    # Shrinking skips pixels unless the picture is smoothed before.
    smooth = cv2.blur(pixels, (round(1 / scale),) * 2) if scale < 0.5 else pixels
    found = cv2.warpAffine(smooth, move, (_SIDE, _SIDE), borderValue=_BEYOND)
    return np.asarray(found, np.uint8)
