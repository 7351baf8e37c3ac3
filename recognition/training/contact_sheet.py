"""Shows what is done to faces while a network is trained, on a face that is nobody's."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure

from recognition.align import FACE_SIZE, TEMPLATE
from recognition.packages import write_atomically
from recognition.training.kiosk_look import CHANGES, as_seen_by_a_kiosk
from recognition.training.turned_heads import aligned_again
from recognition.types import Pixels

_EACH = 8
_YAWS = (-85, -60, -40, -20, 0, 20, 40, 60, 85)
_FINE = 4  # drawn so many times larger, then reduced
_SKIN, _SHADE, _HAIR = (214, 168, 140), (186, 134, 110), (62, 42, 32)


def write_contact_sheet(path: Path, *, turned: bool = False) -> None:
    """Write the picture as JPEG, always the same: the kiosk's look, or heads turned."""
    figure = turned_sheet() if turned else contact_sheet()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", dpi=80, pil_kwargs={"quality": 82})
    write_atomically(path, buffer.getvalue())


def turned_sheet() -> Figure:
    """The head turned to either side, aligned as the engine aligns faces."""
    face = torch.from_numpy(drawn_face()).permute(2, 0, 1)
    figure = Figure(figsize=(len(_YAWS) * 1.3, 1.7), layout="constrained")
    for axes, degrees in zip(figure.subplots(1, len(_YAWS)), _YAWS, strict=True):
        seen = aligned_again(face, np.deg2rad(degrees), np.random.default_rng(0))
        axes.imshow(seen.round().byte().permute(1, 2, 0).numpy())
        axes.set_title(f"{degrees}°", fontsize=9)
        axes.set_axis_off()
    return figure


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
