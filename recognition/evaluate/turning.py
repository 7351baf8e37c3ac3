"""A still picture of a face as a surface turned before a camera: a print, flat or bent, or a head.

Warping in software shows what geometry alone gives away. It knows nothing of paper, light or
screens, so attack scores of such pictures say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from recognition.head_pose import head_pose
from recognition.types import Floats, Pixels

Array = NDArray[np.float64]
EYE_DISTANCE_CM = 6.3
_EYES, _SIDE = 60.0, 360  # pixels
_ITERATIONS = 25
_FURTHEST = 0.9  # of the surface behind the face, in eye distances: hair and background


@dataclass(frozen=True, slots=True)
class Surface:
    """What the picture is on.

    depth: of points x, y, from the mean of the face's five points, away from the camera; all in
        distances between the eyes.
    axis: how far behind that mean the axis lies about which it is turned.
    """

    name: str
    depth: Callable[[Array, Array], Array]
    axis: float = 0.0


def as_at_a_kiosk(pixels: Pixels, points: Floats) -> tuple[Pixels, Floats]:
    """The picture scaled and cut so that the eyes of a head that looks ahead lie 60 pixels apart.

    With its points.
    """
    scale = _EYES / float(head_pose(points[None].astype(np.float64)).size[0])
    offset = _SIDE / 2 - scale * points.mean(0)
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    cut = cv2.warpAffine(
        pixels, matrix, (_SIDE, _SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    return cut.astype(np.uint8), (scale * points + offset).astype(np.float32)


def _flat(x: Array, _y: Array) -> Array:
    return np.zeros_like(x)


def bent(radius: float, *, upright: bool = True) -> Surface:
    """A print bent about an upright axis, as around a head or a bottle of this radius, or a level
    one."""

    def depth(x: Array, y: Array) -> Array:
        inside = np.minimum(np.abs(x if upright else y), 0.95 * radius)
        result: Array = radius - np.sqrt(radius**2 - inside**2)
        return result

    axis = "" if upright else ", axis level"
    return Surface(f"print bent to a radius of {radius * EYE_DISTANCE_CM:.0f} cm{axis}", depth)


def _head(x: Array, y: Array) -> Array:
    """A face's relief through the points of `head_pose.HEAD`: a barrel with a nose."""
    barrel = -0.014 + 0.2 * y + 0.55 * x**2
    nose = 0.385 * np.exp(-(x**2) / 0.0512 - (y - 0.035) ** 2 / 0.157)
    result: Array = np.clip(barrel, -1, _FURTHEST) - nose
    return result


FLAT = Surface("flat print", _flat)
HEAD = Surface("head, simulated", _head, axis=1.0)
SURFACES = (FLAT, bent(2.0), bent(1.2), bent(0.8), bent(0.8, upright=False), HEAD)


def turned(
    pixels: Pixels, points: Floats, surface: Surface, *, yaw: float, pitch: float, distance: float
) -> Pixels:
    """The picture as the camera sees it with the surface turned by so many degrees.

    Args:
        pixels: a face that looks ahead.
        points: (5, 2) its points.
        yaw, pitch: as in `head_pose`: positive to the image's right, and up.
        distance: from the camera in distances between the eyes.
    """
    pose = head_pose(points[None].astype(np.float64))
    scale, roll = float(pose.size[0]), np.deg2rad(float(pose.roll[0]))
    centre = points.mean(0)
    height, width = pixels.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    seen_x, seen_y = _upright(columns - centre[0], rows - centre[1], roll, 1 / scale)
    x, y = seen_x.copy(), seen_y.copy()
    for _ in range(_ITERATIONS):  # where on the surface is what is seen here?
        shown_x, shown_y = projected(x, y, surface, np.deg2rad(yaw), np.deg2rad(pitch), distance)
        x += seen_x - shown_x
        y += seen_y - shown_y
    from_x, from_y = _upright(x, y, -roll, scale)
    result: Pixels = cv2.remap(
        pixels,
        (from_x + centre[0]).astype(np.float32),
        (from_y + centre[1]).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.uint8)
    return result


def _upright(x: Array, y: Array, roll: float, scale: float) -> tuple[Array, Array]:
    cos, sin = np.cos(roll) * scale, np.sin(roll) * scale
    return x * cos + y * sin, y * cos - x * sin


def projected(
    x: Array, y: Array, surface: Surface, yaw: float, pitch: float, distance: float
) -> tuple[Array, Array]:
    """Where the camera sees the surface's points, on the plane through the face's mean.

    All in distances between the eyes; angles in radians, as in `turned`.
    """
    depth = surface.depth(x, y) - surface.axis
    across = x * np.cos(yaw) - depth * np.sin(yaw)
    depth = x * np.sin(yaw) + depth * np.cos(yaw)
    down = y * np.cos(pitch) + depth * np.sin(pitch)
    depth = depth * np.cos(pitch) - y * np.sin(pitch)
    nearness = distance / np.maximum(distance + depth + surface.axis, 0.2 * distance)
    return across * nearness, down * nearness
