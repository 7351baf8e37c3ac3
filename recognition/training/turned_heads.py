"""Photos as if the head had turned: what a few photos do not show of people.

The face is laid on a head of usual shape, which is turned about its vertical axis and seen again
(after Hassner et al., 2015, arXiv:1411.7964, and Masi et al., 2016, arXiv:1603.07057, who show that
one shape for everybody will do). Lengths are in distances between the eyes, axes those of
`head_pose.HEAD`: x to the image's right, y down, z away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recognition.align import TEMPLATE, align
from recognition.head_pose import HEAD, rigid_fit
from recognition.sampling import ImageSet
from recognition.types import Pixels

Array = NDArray[np.float64]

LEAST_YAW, LARGEST_YAW = 0.35, 1.6
"""In radians; the largest is a little beyond a profile."""

_REACH = 1.9  # of the view, from the middle of the face each way
_SCALE = 64  # pixels of the view
_SIDE = int(2 * _REACH * _SCALE)
_FINER = 3  # points of the head for each of those pixels, across
_GAP = 10  # pixels between two points of the surface that are closed
_POINTS_OFF = 0.05
"""How far a detector places its points beside the head's, standard deviation."""

# Half axes and middle of the head: 15 cm wide, 19 deep, with 6.3 between the eyes, and as high as
# to make forehead and chin of a profile as upright as they are.
_WIDE, _HIGH, _DEEP = 1.22, 1.72, 1.54
_MIDDLE_Y, _MIDDLE_Z = -0.3, 1.39
_BOXY = 3.2


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """pixels: (H, W, 3) uint8. points: (5, 2) the face's, as a detector would place them."""

    pixels: Pixels
    points: Array


def surface(x: Array, y: Array) -> Array:
    """How far away (z) the head is; beside it, where the head is as wide as it gets."""
    left = 1 - (x / _WIDE) ** 2 - np.abs((y - _MIDDLE_Y) / _HIGH) ** _BOXY
    z: Array = _MIDDLE_Z - _DEEP * np.sqrt(left.clip(0))
    down = ((y + 0.55) / 0.6).clip(0, 1)  # the ridge of the nose, from between the eyes
    under = ((y - 0.06) / 0.14).clip(0, 1)
    nose = np.where(y > -0.55, (0.06 + 0.27 * down**1.2) * (1 - under), 0)
    z -= nose * np.exp(-((x / (0.1 + 0.06 * down)) ** 2))
    z += 0.1 * _hump((np.abs(x) - 0.5) / 0.2, (y + 0.5) / 0.13)  # the eyes lie deep
    z -= 0.1 * _hump(x / 0.32, (y - 0.5) / 0.2)  # lips
    z += 0.1 * _hump(x / 0.35, (y - 0.27) / 0.09)  # above them
    z += 0.12 * _hump(x / 0.35, (y - 0.78) / 0.1)  # below them
    z -= 0.12 * _hump(x / 0.35, (y - 1.05) / 0.2)  # chin
    z += 0.12 * ((np.abs(x) - 0.35) / 0.6).clip(0, 1) * ((y - 0.2) / 0.6).clip(0, 1)  # cheeks
    return z


def _hump(across: Array, down: Array) -> Array:
    return np.exp(-(across**2 + down**2))


@cache
def _head() -> Array:
    """(rows, columns, 3): the head's surface as it is seen from the front."""
    across = np.linspace(-_REACH, _REACH, _SIDE * _FINER)
    down = (np.arange(_SIDE) + 0.5) / _SCALE - _REACH
    x, y = np.meshgrid(across, down)
    return np.stack([x, y, surface(x, y)], -1)


def turn_head(pixels: Pixels, points: Array, yaw: float, draw: np.random.Generator) -> Turned:
    """A photo's face, seen alone, upright and with its head turned.

    What the photo does not show of the head stays black.

    Args:
        pixels: (H, W, 3) uint8.
        points: (5, 2) of the face, in the photo; not all in a line.
        yaw: where the head shall look, in radians; positive to the image's right.
        draw: of how the points are placed.
    """
    rows, size = rigid_fit(points)
    head = _head()
    at = (size * head @ rows.T + points.mean(0)).astype(np.float32)
    colours = cv2.remap(pixels, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    inside = (at >= 0).all(-1) & (at <= np.array(pixels.shape[1::-1]) - 1).all(-1)
    seen = head @ _about_vertical(yaw).T
    found = _nearest(seen, inside)
    view = np.where(found[..., None] >= 0, colours.reshape(-1, 3)[found.clip(0)], 0)
    five = (np.array(HEAD) @ _about_vertical(yaw).T)[:, :2] + draw.normal(0, _POINTS_OFF, (5, 2))
    return Turned(view.astype(np.uint8), (five + _REACH) * _SCALE - 0.5)


def _about_vertical(yaw: float) -> Array:
    return np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])


def _nearest(seen: Array, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(rows, columns) of the view: which point of the surface is seen there, -1 for none."""
    column = np.floor((seen[..., 0] + _REACH) * _SCALE).astype(np.int64)
    fronts = np.diff(seen[..., 0], axis=1, append=np.inf) > 0
    shown = np.flatnonzero(inside & fronts & (column >= 0) & (column < _SIDE))
    row = shown // seen.shape[1]
    farthest_first = np.argsort(-seen[..., 2].ravel()[shown], kind="stable")
    view = np.full((_SIDE, _SIDE), -1)
    # Of points in one place the last one is kept, which is the nearest.
    view[row[farthest_first], column.ravel()[shown[farthest_first]]] = shown[farthest_first]
    places = np.arange(_SIDE)
    last = np.maximum.accumulate(np.where(view >= 0, places, -_SIDE), axis=1)
    after = np.minimum.accumulate(np.where(view >= 0, places, 2 * _SIDE)[:, ::-1], axis=1)[:, ::-1]
    closed = (after - last) <= _GAP
    return np.where(closed, np.take_along_axis(view, last.clip(0), 1), view)


def drawn_yaw(points: Array, draw: np.random.Generator) -> float:
    """A yaw to turn a head to, on the side that it looks to already; mostly far."""
    rows, _ = rigid_fit(points)
    looks_right = rows[0] @ np.array([0, 0, -1.0])
    side = np.sign(looks_right) if abs(looks_right) > 0.2 else draw.choice([-1, 1])
    return float(side * np.sqrt(draw.uniform(LEAST_YAW**2, LARGEST_YAW**2)))


def relit(faces: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Contrast times `gain` about the middle grey, plus `offset`; (N,) each, values 0..255."""
    gain, offset = gain[:, None, None, None], offset[:, None, None, None]
    return ((faces - 127.5) * gain + 127.5 + offset).clamp(0, 255)


def views(faces: Tensor, count: int, draw: np.random.Generator) -> list[Tensor]:
    """Each face in several views: as it is, mirrored, then turned and lit at random.

    Args:
        faces: (N, 3, 112, 112) uint8, aligned.
        count: of views, at least 2.

    Returns:
        count tensors (N, 3, 112, 112) float32, 0..255; every second one is mirrored.
    """
    found = []
    for number in range(count):
        plain = faces.float() if number % 2 == 0 else faces.float().flip(3)
        if number < 2 or len(faces) == 0:
            found.append(plain)
            continue
        five = np.array(TEMPLATE)
        turned = torch.stack([aligned_again(face, drawn_yaw(five, draw), draw) for face in plain])
        chance = torch.from_numpy(draw.uniform(-1, 1, (2, len(faces)))).float()
        found.append(relit(turned, 1 + 0.3 * chance[0], 20 * chance[1]))
    return found


def aligned_again(face: Tensor, yaw: float, draw: np.random.Generator) -> Tensor:
    """An aligned face (3, 112, 112), its head turned, and aligned by its new points; float32."""
    pixels = np.ascontiguousarray(face.permute(1, 2, 0).byte().numpy())
    turned = turn_head(pixels, np.array(TEMPLATE), yaw, draw)
    images = ImageSet([turned.pixels], torch.device("cpu"))
    points = torch.from_numpy(turned.points[None]).float()
    view: Tensor = align(images, torch.zeros(1, dtype=torch.int64), points)[0]
    return view
