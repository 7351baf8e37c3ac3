"""Aligned faces as if the head had turned: what a site's few photos do not show of its people."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from recognition.align import FACE_SIZE

_RADIUS = 52.0
"""Of the head, in pixels of an aligned face: from ear to ear it is about as wide as the view."""
_MIDDLE = (FACE_SIZE - 1) / 2
_RIM = 1.5  # radians: beyond, a cylinder is seen edge on
LARGEST_YAW = 1.0
"""In radians. Beyond, most of what would be seen was hidden before."""


def turned(faces: Tensor, yaw: Tensor) -> Tensor:
    """The heads turned about their vertical axis, as cylinders with the face painted on.

    The middle of the face stays in the middle, as alignment by its five points keeps it. What was
    hidden is painted with the rim's pixels.

    Args:
        faces: (N, 3, 112, 112) float32, aligned.
        yaw: (N,) radians, at most LARGEST_YAW either way; 0 leaves a face as it is.

    Returns:
        (N, 3, 112, 112) float32.
    """
    across = torch.arange(FACE_SIZE, device=faces.device) - _MIDDLE
    sine = (across + _RADIUS * yaw.sin()[:, None]) / _RADIUS
    angle = sine.clamp(-0.999, 0.999).asin() - yaw[:, None]
    # A point that lies beyond the cylinder's rim stays where it is, seen from the front.
    plain = (yaw == 0)[:, None]
    column = torch.where(plain, across.expand_as(angle), _RADIUS * angle.clamp(-_RIM, _RIM).sin())
    x = (column + _MIDDLE + 0.5) / FACE_SIZE * 2 - 1
    y = (torch.arange(FACE_SIZE, device=faces.device) + 0.5) / FACE_SIZE * 2 - 1
    wide, high = x[:, None, :], y[None, :, None]
    grid = torch.stack([wide.expand(-1, FACE_SIZE, -1), high.expand(len(x), -1, FACE_SIZE)], -1)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def relit(faces: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Contrast times `gain` about the middle grey, plus `offset`; (N,) each, values 0..255."""
    gain, offset = gain[:, None, None, None], offset[:, None, None, None]
    return ((faces - 127.5) * gain + 127.5 + offset).clamp(0, 255)


def views(faces: Tensor, count: int, generator: torch.Generator) -> list[Tensor]:
    """Each face in several views: as it is, mirrored, then turned and lit at random.

    Args:
        faces: (N, 3, 112, 112) uint8.
        count: of views, at least 2.

    Returns:
        count tensors (N, 3, 112, 112) float32, 0..255; every second one is mirrored.
    """
    found = []
    for number in range(count):
        plain = faces.float() if number % 2 == 0 else faces.float().flip(3)
        if number < 2:
            found.append(plain)
            continue
        chance = 2 * torch.rand((3, len(faces)), generator=generator) - 1
        changed = turned(plain, LARGEST_YAW * chance[0])
        found.append(relit(changed, 1 + 0.3 * chance[1], 20 * chance[2]))
    return found
