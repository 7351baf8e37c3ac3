"""Measures how much a face can say, from its five points and its aligned view."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from recognition.types import Quality

# The centre of the 112x112 view, which hair, background and black borders hardly reach.
_CENTRE = slice(20, 100)

# How far the nose tip stands out, in distances between the eyes: turns the nose's sideways shift
# into an angle. An average of adult heads; the angle is an estimate, not a measurement.
_NOSE_LENGTH = 0.6


def measure(faces: Tensor, points: Tensor) -> list[Quality]:
    """Quality of each face.

    Args:
        faces: (N, 3, 112, 112) float32 RGB, 0..255, aligned.
        points: (N, 5, 2) float32 image coordinates.
    """
    if len(faces) == 0:
        return []
    luma = _luma(faces)
    columns = torch.stack(
        [
            (points[:, 1] - points[:, 0]).norm(dim=1),
            _sharpness(luma),
            luma.mean((1, 2)) / 255,
            luma.std((1, 2)) / 255,
            ((luma < 4) | (luma > 251)).float().mean((1, 2)),
            _yaw(points),
        ],
        1,
    )
    return [_rated(*row) for row in columns.tolist()]


def _luma(faces: Tensor) -> Tensor:
    """(N, 80, 80), 0..255: ITU-R BT.601 luma of the faces' centres."""
    weights = faces.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    return (faces[:, :, _CENTRE, _CENTRE] * weights).sum(1)


def _sharpness(luma: Tensor) -> Tensor:
    """(N,): variance of the Laplacian (Pech-Pacheco et al., 2000)."""
    kernel = luma.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return functional.conv2d(luma[:, None], kernel).var((1, 2, 3))


def _yaw(points: Tensor) -> Tensor:
    """(N,) degrees: how far the nose tip lies beside the face's middle line."""
    left_eye, right_eye, nose, left_mouth, right_mouth = points.unbind(1)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across = right_eye - left_eye
    width = across.norm(dim=1).clamp(min=1e-6)
    # The middle line runs from between the eyes to the mouth; the nose's height along it first.
    down = mouth - eyes
    along = ((nose - eyes) * down).sum(1) / down.square().sum(1).clamp(min=1e-6)
    beside = ((nose - eyes - along[:, None] * down) * across).sum(1) / width
    # A turned head also brings the eyes together: atan2 counts the shift against what is left.
    return torch.rad2deg(torch.atan2(beside, _NOSE_LENGTH * width))


def _rated(
    eye_distance: float,
    sharpness: float,
    brightness: float,
    contrast: float,
    clipped: float,
    yaw: float,
) -> Quality:
    """Each part serves fully (1) within its good range and falls to 0 outside it."""
    parts = (
        _ramp(eye_distance, 8, 28),
        _ramp(math.log10(max(sharpness, 1e-3)), 0.3, 1.8),
        min(_ramp(brightness, 0.05, 0.25), _ramp(-brightness, -0.97, -0.8)),
        _ramp(contrast, 0.02, 0.1),
        _ramp(-clipped, -0.6, -0.2),
        _ramp(-abs(yaw), -60, -20),
    )
    return Quality(
        eye_distance=eye_distance,
        sharpness=sharpness,
        brightness=brightness,
        contrast=contrast,
        clipped=clipped,
        yaw=yaw,
        score=math.prod(parts),
    )


def _ramp(value: float, nothing: float, full: float) -> float:
    """0 up to `nothing`, 1 from `full` on, straight in between."""
    return min(1.0, max(0.0, (value - nothing) / (full - nothing)))
