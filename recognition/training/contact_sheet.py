"""Shows what is done to faces so that they look as kiosks see them, on a face that is nobody's."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from recognition.align import FACE_SIZE, TEMPLATE
from recognition.packages import write_atomically
from recognition.training.kiosk_look import CHANGES, as_seen_by_a_kiosk
from recognition.types import Pixels

_EACH = 8
_FINE = 4  # drawn so many times larger, then reduced
_SKIN, _SHADE, _HAIR = (214, 168, 140), (186, 134, 110), (62, 42, 32)


def write_contact_sheet(path: Path) -> None:
    """Write the picture as JPEG, always the same."""
    buffer = io.BytesIO()
    contact_sheet().savefig(buffer, format="jpeg", dpi=80, pil_kwargs={"quality": 82})
    write_atomically(path, buffer.getvalue())


def contact_sheet() -> Figure:
    """A row for each change, and one of all together."""
    face = drawn_face()
    rows = {name: change for name, (change, _) in CHANGES.items()}
    rows["all, by chance"] = as_seen_by_a_kiosk
    figure = Figure(figsize=(_EACH + 3, len(rows)), layout="constrained")
    places = figure.subplots(len(rows), _EACH + 1)
    for row, (name, change) in enumerate(rows.items()):
        shown = [face, *(change(face, np.random.default_rng((row, n))) for n in range(_EACH))]
        for axes, pixels in zip(places[row], shown, strict=True):
            axes.imshow(pixels)
            axes.set_xticks([])
            axes.set_yticks([])
        places[row][0].set_ylabel(
            name.replace("_", " "),
            rotation=0,
            horizontalalignment="right",
            verticalalignment="center",
        )
    return figure


def drawn_face() -> Pixels:
    """(112, 112, 3) uint8: eyes, nose and mouth where an aligned face has them."""
    canvas = np.full((FACE_SIZE * _FINE, FACE_SIZE * _FINE, 3), (168, 182, 190), np.uint8)
    left, right, nose, mouth_left, mouth_right = TEMPLATE
    _ellipse(canvas, (55.5, 52), (47, 56), _HAIR)
    _ellipse(canvas, (55.5, 118), (26, 26), _SHADE)
    _ellipse(canvas, (55.5, 63), (40, 51), _SKIN)
    for x, y in (left, right):
        _ellipse(canvas, (x, y - 9), (9, 1.6), _HAIR)
        _ellipse(canvas, (x, y), (7, 4), (240, 238, 234))
        _ellipse(canvas, (x, y), (3.3, 3.6), (70, 52, 40))
    _ellipse(canvas, (nose[0], nose[1] + 1), (6.5, 3.4), _SHADE)
    _ellipse(canvas, (nose[0], nose[1] - 10), (2.2, 11), _SHADE)
    middle = ((mouth_left[0] + mouth_right[0]) / 2, mouth_left[1])
    _ellipse(canvas, middle, ((mouth_right[0] - mouth_left[0]) / 2, 4), (166, 82, 80))
    _ellipse(canvas, (middle[0], middle[1] - 0.5), (12, 0.8), (110, 48, 48))
    side = np.linspace(1.1, 0.8, canvas.shape[1])[None, :, None]  # light from the left
    small = cv2.resize(canvas * side, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(0).normal(0, 2, small.shape)
    pixels: Pixels = np.rint(small + grain).clip(0, 255).astype(np.uint8)
    return pixels


def _ellipse(
    canvas: Pixels,
    middle: tuple[float, float],
    half: tuple[float, float],
    colour: tuple[int, int, int],
) -> None:
    x, y = (round((value + 0.5) * _FINE) for value in middle)
    axes = (max(1, round(half[0] * _FINE)), max(1, round(half[1] * _FINE)))
    cv2.ellipse(canvas, (x, y), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
