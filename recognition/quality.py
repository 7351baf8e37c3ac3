"""Measures how much a face can say, from its five points, its aligned view and its embedding.

The constants were fitted on half of the people of LFW, CFP and the kiosk clips, and on LFW faces
shrunk, blurred, darkened, bleached and covered by drawing; docs/model-card.md has the figures of
the other half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recognition.head_pose import Array, HeadPose, head_pose
from recognition.types import Quality, Shortfall

SUFFICIENT = 0.55
"""A score from which on nothing needs to be said of a face; 98 in 100 of LFW lie above."""

_SEEN = 0.9
"""A component that leaves less than this of the genuine score is worth naming."""

_MEDIAN_LENGTH = 140.0
"""Of MobileFaceNet's vector, of LFW's portraits: the sum of the face's and its mirror image's."""

# The centre of the 112x112 view, which hair, background and black borders hardly reach.
_CENTRE = slice(20, 100)

# Below this mean luma a lack of contrast is a lack of light.
_DARK = 0.3

# Detail of a part against the whole face's, in natural logarithms: of LFW's portraits the lowest
# in a hundred, and the median.
_EYES, _MOUTH, _SIDES = (-0.011, 0.289), (-0.239, 0.152), (-0.735, -0.145)


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """(N,) each; see `Quality`. sharpness and contrast as decimal logarithms, too."""

    eye_distance: Array
    pose: HeadPose
    log_sharpness: Array
    brightness: Array
    contrast: Array
    log_contrast: Array
    clipped: Array
    evenness: Array
    certainty: Array | None


def measure(faces: Tensor, points: Tensor, lengths: Tensor | None = None) -> list[Quality]:
    """Quality of each face.

    A face without finite points and pixels, or with points in a line, has the score 0.

    Args:
        faces: (N, 3, 112, 112) float32 RGB, 0..255, aligned.
        points: (N, 5, 2) float32 image coordinates.
        lengths: (N,) of MobileFaceNet's vectors before they are brought to length 1: with them
            the score is far better (Meng et al., 2021; Kim et al., 2022, use the same signal).
            None for other embedders.
    """
    if len(faces) == 0:
        return []
    known = None if lengths is None else _array(lengths)
    with np.errstate(all="ignore"):  # what is no number scores nothing
        measured = _measure(_array(_of_pixels(faces)), _array(points), known)
        rows = np.nan_to_num(_rows(measured), nan=0, posinf=0, neginf=0).tolist()
    return [_quality(row, certain=lengths is not None) for row in rows]


def _array(tensor: Tensor) -> Array:
    return tensor.cpu().double().numpy()


def _rows(measured: _Measured) -> Array:
    """(N, 21), in the order in which `_quality` reads them."""
    components = _components(measured)
    logit = _score(measured)
    sound = measured.pose.sound & np.isfinite(logit)
    score = np.where(sound, 1 / (1 + np.exp(-logit)), 0)
    components = np.where(sound, components, 0)
    columns = [
        measured.eye_distance,
        measured.pose.size,
        10**measured.log_sharpness,
        measured.brightness,
        measured.contrast,
        measured.clipped,
        measured.pose.yaw,
        measured.pose.pitch,
        measured.pose.roll,
        measured.pose.misfit,
        measured.evenness,
        score if measured.certainty is None else measured.certainty,
        score,
        np.where(components.min(0) < _SEEN, components.argmin(0), len(_NAMED)),
        *components,
    ]
    return np.stack(columns, 1)


def _quality(row: list[float], *, certain: bool) -> Quality:
    score, lack = row[12:14]
    return Quality(
        eye_distance=row[0],
        size=row[1],
        sharpness=row[2],
        brightness=row[3],
        contrast=row[4],
        clipped=row[5],
        yaw=row[6],
        pitch=row[7],
        roll=row[8],
        misfit=row[9],
        evenness=row[10],
        certainty=row[11] if certain else None,
        components=dict(zip(_NAMED, row[14:], strict=True)),
        score=score,
        shortfall=None if score >= SUFFICIENT else [*_NAMED, Shortfall.UNCLEAR][int(lack)],
    )


def _measure(of_pixels: Array, points: Array, lengths: Array | None) -> _Measured:
    log_sharpness, brightness, contrast, clipped, evenness = of_pixels
    return _Measured(
        eye_distance=np.hypot(*(points[:, 1] - points[:, 0]).T),
        pose=head_pose(points),
        log_sharpness=log_sharpness,
        brightness=brightness,
        contrast=contrast,
        log_contrast=np.log10(contrast + 0.005),
        clipped=clipped,
        evenness=evenness,
        certainty=None if lengths is None else lengths / _MEDIAN_LENGTH,
    )


def _of_pixels(faces: Tensor) -> Tensor:
    """(5, N): what the pixels tell, in the order in which `_measure` reads it."""
    luma = _luma(faces)
    centre = luma[:, _CENTRE, _CENTRE]
    return torch.stack(
        [
            _log_sharpness(centre),
            centre.mean((1, 2)) / 255,
            centre.std((1, 2)) / 255,
            ((centre < 4) | (centre > 251)).float().mean((1, 2)),
            _evenness(luma),
        ]
    )


def _luma(faces: Tensor) -> Tensor:
    """(N, 112, 112), 0..255: ITU-R BT.601 luma."""
    weights = faces.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    return (faces * weights).sum(1)


def _log_sharpness(centre: Tensor) -> Tensor:
    """(N,): fine against coarse detail, bands of a Laplacian pyramid (Burt and Adelson, 1983).

    Noise of about half a grey level is allowed for, so that a flat face is not taken for sharp.
    """
    level = functional.avg_pool2d(centre[:, None], 2)
    bands = []
    for _ in range(3):
        below = functional.avg_pool2d(level, 2)
        bands.append(level - functional.interpolate(below, scale_factor=2, mode="bilinear"))
        level = below
    fine, _, coarse = (band.var((1, 2, 3)) for band in bands)
    return ((fine + 0.3) / (coarse + 3)).log10()


def _evenness(luma: Tensor) -> Tensor:
    """(N,): the detail of the part that has least of it, for a face; see `Quality`."""
    down = luma[:, 30:104, 20:92]
    detail = (down - luma[:, 28:102, 20:92]).abs() + (down - luma[:, 30:104, 18:90]).abs()

    def amount(rows: slice, columns: slice) -> Tensor:  # of the view, from row 30 and column 20
        return (detail[:, rows, columns].mean((1, 2)) + 1).log()

    whole = amount(slice(None), slice(None))
    eyes = amount(slice(12, 30), slice(4, 68)) - whole
    mouth = amount(slice(42, 70), slice(14, 58)) - whole
    sides = -(amount(slice(10, 70), slice(36)) - amount(slice(10, 70), slice(36, None))).abs()
    parts = zip((eyes, mouth, sides), (_EYES, _MOUTH, _SIDES), strict=True)
    return torch.stack([(part - low) / (middle - low) for part, (low, middle) in parts]).amin(0)


_NAMED = tuple(name for name in Shortfall if name is not Shortfall.UNCLEAR)


def _components(measured: _Measured) -> Array:
    """(7, N), in the order of `_NAMED`: the share of the genuine score that each leaves."""
    pose = measured.pose
    contrast = _ramp(measured.log_contrast, -2.1, -1.2)
    dark = measured.brightness < _DARK
    turned = np.minimum(_ramp(-np.abs(pose.yaw), -100, -20), _ramp(-np.abs(pose.pitch), -65, -22))
    return np.stack(
        [
            _ramp(np.log2(pose.size), 1.4, 4.0),
            _ramp(measured.log_sharpness, -2.0, -0.9),
            np.where(dark, contrast, 1),
            _ramp(-measured.brightness, -1.02, -0.8),
            np.where(dark, 1, contrast),
            np.minimum(turned, _ramp(-pose.misfit, -0.45, -0.15)),
            _ramp(measured.evenness, -1.2, 0.2),
        ]
    )


def _score(measured: _Measured) -> Array:
    """(N,): the logit of the cosine to be expected, by a logistic regression.

    The embedder's length tells of turned heads and glare already, so they have no weight beside
    it. It also falls with the contrast, faster than the genuine score: that is given back.
    """
    pose = measured.pose
    light = np.minimum(measured.log_contrast + 1.4, 0)
    small = np.minimum(np.log2(pose.size / 17.4), 0)
    blurred = np.minimum(measured.log_sharpness + 0.9, 0)
    covered = np.minimum(measured.evenness, 0)
    if measured.certainty is not None:
        grey = np.minimum(measured.log_contrast + 1.0, 0)
        known: Array = 1.02 + 2.93 * np.log(measured.certainty) - 1.23 * grey
        return known + 3.52 * light + 0.15 * small + 0.90 * blurred + 0.42 * covered
    turned = np.maximum(np.abs(pose.yaw) / 60 - 0.25, 0)
    raised = np.maximum(np.abs(pose.pitch) / 60 - 0.33, 0)
    glare = np.maximum(measured.brightness - 0.78, 0)
    odd = np.maximum(pose.misfit - 0.12, 0)
    lost: Array = 0.93 * turned + 1.89 * raised + 4.60 * glare + 7.40 * odd
    return 0.89 + 5.06 * light + 0.35 * small + 1.91 * blurred + 0.71 * covered - lost


def _ramp(value: Array, nothing: float, full: float) -> Array:
    """0 up to `nothing`, 1 from `full` on, straight in between."""
    return ((value - nothing) / (full - nothing)).clip(0, 1)
