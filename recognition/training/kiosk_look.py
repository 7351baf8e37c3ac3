"""Makes portraits look as kiosks see faces: blurred, dark, against the light, small, covered.

Each change is a pure function of an aligned face, (112, 112, 3) uint8 RGB, and a generator, and
returns a new picture of the same kind. Where eyes, nose and mouth lie is known: `align.TEMPLATE`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recognition.align import FACE_SIZE
from recognition.types import Pixels

Change = Callable[[Pixels, np.random.Generator], Pixels]
Floats = NDArray[np.floating[Any]]

_CLOTH = ((235, 238, 240), (160, 190, 215), (40, 42, 48), (200, 175, 190), (90, 120, 95))
_SKIN = ((236, 205, 182), (205, 160, 130), (160, 115, 88), (110, 76, 58), (72, 50, 40))


def mirror(face: Pixels, random: np.random.Generator) -> Pixels:
    """The other way round; the generator is not asked."""
    return np.ascontiguousarray(face[:, ::-1])


def out_of_focus(face: Pixels, random: np.random.Generator) -> Pixels:
    """A Gaussian blur of 0.6 to 2.2 pixels."""
    return _pixels(cv2.GaussianBlur(face, (0, 0), random.uniform(0.6, 2.2)))


def moved(face: Pixels, random: np.random.Generator) -> Pixels:
    """Smeared along a straight line of 3 to 11 pixels, as by a step within the exposure."""
    half, angle = random.uniform(1.5, 5.5), random.uniform(0, math.pi)
    size = 2 * math.ceil(half) + 1
    away = np.array([math.cos(angle), math.sin(angle)]) * half
    middle = (size - 1) / 2
    kernel = np.zeros((size, size), np.float32)
    start, end = (tuple(np.rint(middle + sign * away).astype(int).tolist()) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return _pixels(cv2.filter2D(face, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


def compressed(face: Pixels, random: np.random.Generator) -> Pixels:
    """Through JPEG at a quality of 12 to 60."""
    quality = int(random.integers(12, 61))
    _, data = cv2.imencode(".jpg", face[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(_pixels(decoded)[:, :, ::-1])


def too_dark(face: Pixels, random: np.random.Generator) -> Pixels:
    """A tenth to a half of the light, and the noise of a sensor that amplifies what is left."""
    light = face.astype(np.float32) * random.uniform(0.12, 0.5)
    noise = random.standard_normal(face.shape, np.float32) * random.uniform(2, 9)
    return _bytes(light + noise)


def against_the_light(face: Pixels, random: np.random.Generator) -> Pixels:
    """The face dark before a bright window, whose light washes over its edge."""
    x, y = _grid()
    rim = np.hypot((x - 55.5) / random.uniform(40, 50), (y - 58) / random.uniform(52, 64))
    behind = 1 / (1 + np.exp(-12 * (rim - 1)))[:, :, None]
    dark = face.astype(np.float32) * random.uniform(0.25, 0.6)
    glare = 255 * np.exp(-np.square((rim - 1.15) / 0.25))[:, :, None] * random.uniform(0, 0.3)
    return _bytes(dark * (1 - behind) + random.uniform(215, 255) * behind + glare)


def small(face: Pixels, random: np.random.Generator) -> Pixels:
    """Scaled to 20 to 64 pixels and up again: a face far away."""
    side = int(random.integers(20, 65))
    less = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return _pixels(cv2.resize(less, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_LINEAR))


def masked(face: Pixels, random: np.random.Generator) -> Pixels:
    """A piece of cloth over nose, mouth and chin."""
    top, sag = random.uniform(62, 74), random.uniform(-3, 5)
    outline = np.array(
        [
            (6, top + 6),
            (30, top + sag),
            (55.5, top - 4 + sag),
            (81, top + sag),
            (105, top + 6),
            (98, 104),
            (74, 118),
            (37, 118),
            (13, 104),
        ]
    ) + random.uniform(-2, 2, (9, 2))
    return _covered(face, [outline], _colour(_CLOTH, random), random)


def behind_a_hand(face: Pixels, random: np.random.Generator) -> Pixels:
    """Three or four fingers from an edge of the picture across a part of the face."""
    direction = random.uniform(0, 2 * math.pi)
    along = np.array([math.cos(direction), math.sin(direction)])
    across = np.array([-along[1], along[0]])
    reach, width = random.uniform(2, 34), random.uniform(9, 14)
    shift = random.uniform(-24, 24)
    fingers = []
    for number in range(int(random.integers(3, 5))):
        side = across * (shift + (number - 1.5) * (width + 1))
        tip = 55.5 + side - along * (reach + random.uniform(-6, 6))
        root = 55.5 + side - along * 120
        fingers.append(_finger(root, tip, width))
    return _covered(face, fingers, _colour(_SKIN, random), random)


CHANGES: Mapping[str, tuple[Change, float]] = {
    "mirror": (mirror, 0.5),
    "masked": (masked, 0.06),
    "behind_a_hand": (behind_a_hand, 0.06),
    "against_the_light": (against_the_light, 0.1),
    "too_dark": (too_dark, 0.1),
    "small": (small, 0.15),
    "out_of_focus": (out_of_focus, 0.15),
    "moved": (moved, 0.15),
    "compressed": (compressed, 0.3),
}
"""Every change by name and how often it is made, in the order in which a camera would: what is
before the lens first, JPEG last."""


def as_seen_by_a_kiosk(face: Pixels, random: np.random.Generator) -> Pixels:
    """Each of CHANGES, or not, by chance. Mostly one or two are made; a third of faces have none
    but the mirror's."""
    for change, chance in CHANGES.values():
        if random.random() < chance:
            face = change(face, random)
    return face


def as_it_is_or_mirrored(face: Pixels, random: np.random.Generator) -> Pixels:
    """The least that can be done, and the cheapest."""
    return mirror(face, random) if random.random() < CHANGES["mirror"][1] else face


def _grid() -> tuple[Floats, Floats]:
    """x (1, 112) and y (112, 1)."""
    steps = np.arange(FACE_SIZE, dtype=np.float32)
    return steps[None, :], steps[:, None]


def _finger(root: Floats, tip: Floats, width: float) -> Floats:
    """Outline of a bar with a round end."""
    along = (tip - root) / np.linalg.norm(tip - root)
    across = np.array([-along[1], along[0]])
    turn = np.linspace(math.pi / 2, -math.pi / 2, 9)[:, None]
    cap = tip + width / 2 * (np.cos(turn) * along + np.sin(turn) * across)
    return np.concatenate([[root + across * width / 2], cap, [root - across * width / 2]])


def _covered(
    face: Pixels, outlines: list[Floats], colour: Floats, random: np.random.Generator
) -> Pixels:
    """Areas in one colour, darker towards their edges, softly bounded."""
    area = np.zeros(face.shape[:2], np.uint8)
    for outline in outlines:
        lone = np.zeros_like(area)
        cv2.fillPoly(lone, [np.rint(outline * 8).astype(np.int32)], 255, cv2.LINE_AA, shift=3)
        area = np.maximum(area, cv2.erode(lone, np.ones((2, 2), np.uint8)))
    opaque = cv2.GaussianBlur(area, (0, 0), 0.8).astype(np.float32)[:, :, None] / 255
    depth = cv2.GaussianBlur(area, (0, 0), 5).astype(np.float32)[:, :, None] / 255
    light = face.mean() / 140  # as bright as the picture that it is put into
    shade = colour * light * (0.65 + 0.35 * depth)
    shade += random.standard_normal((*face.shape[:2], 1), np.float32) * 3
    return _bytes(face * (1 - opaque) + shade * opaque)


def _colour(colours: tuple[tuple[int, int, int], ...], random: np.random.Generator) -> Floats:
    chosen = np.array(colours[random.integers(len(colours))], np.float32)
    return chosen * np.float32(random.uniform(0.85, 1.1))


def _bytes(values: Floats) -> Pixels:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _pixels(image: object) -> Pixels:
    """What OpenCV gives for bytes, as what it is."""
    return np.asarray(image, dtype=np.uint8)
