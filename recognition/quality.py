"""Measures how much a face can say, from its five points, its aligned view and its embedding.

The constants were fitted on half of the people of LFW, CFP and the kiosk clips, and on LFW faces
shrunk, blurred, darkened, bleached and covered by drawing; docs/model-card.md has the figures of
the other half.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from recognition.head_pose import HeadPose, head_pose
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

    eye_distance: Tensor
    pose: HeadPose
    log_sharpness: Tensor
    brightness: Tensor
    contrast: Tensor
    log_contrast: Tensor
    clipped: Tensor
    evenness: Tensor
    certainty: Tensor | None


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
    measured = _measure(faces, points, lengths)
    components = _components(measured)
    logit = _score(measured)
    sound = measured.pose.sound & torch.isfinite(logit)
    score, components = torch.where(sound, logit.sigmoid(), 0), torch.where(sound, components, 0)
    lowest, which = components.min(0)
    columns = torch.stack(
        [
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
            torch.where(lowest < _SEEN, which, len(_NAMED)).float(),
            *components,
        ],
        1,
    )
    rows = columns.nan_to_num(0, 0, 0).tolist()
    return [_quality(row, certain=lengths is not None) for row in rows]


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


def _measure(faces: Tensor, points: Tensor, lengths: Tensor | None) -> _Measured:
    luma = _luma(faces)
    centre = luma[:, _CENTRE, _CENTRE]
    contrast = centre.std((1, 2)) / 255
    return _Measured(
        eye_distance=(points[:, 1] - points[:, 0]).norm(dim=1),
        pose=head_pose(points),
        log_sharpness=_log_sharpness(centre),
        brightness=centre.mean((1, 2)) / 255,
        contrast=contrast,
        log_contrast=(contrast + 0.005).log10(),
        clipped=((centre < 4) | (centre > 251)).float().mean((1, 2)),
        evenness=_evenness(luma),
        certainty=None if lengths is None else lengths / _MEDIAN_LENGTH,
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


def _components(measured: _Measured) -> Tensor:
    """(7, N), in the order of `_NAMED`: the share of the genuine score that each leaves."""
    pose = measured.pose
    contrast = _ramp(measured.log_contrast, -2.1, -1.2)
    dark = measured.brightness < _DARK
    turned = torch.minimum(_ramp(-pose.yaw.abs(), -100, -20), _ramp(-pose.pitch.abs(), -65, -22))
    return torch.stack(
        [
            _ramp(pose.size.log2(), 1.4, 4.0),
            _ramp(measured.log_sharpness, -2.0, -0.9),
            torch.where(dark, contrast, 1),
            _ramp(-measured.brightness, -1.02, -0.8),
            torch.where(dark, 1, contrast),
            torch.minimum(turned, _ramp(-pose.misfit, -0.45, -0.15)),
            _ramp(measured.evenness, -1.2, 0.2),
        ]
    )


def _score(measured: _Measured) -> Tensor:
    """(N,): the logit of the cosine to be expected, by a logistic regression.

    The embedder's length tells of turned heads and glare already, so they have no weight beside
    it. It also falls with the contrast, faster than the genuine score: that is given back.
    """
    pose = measured.pose
    light = (measured.log_contrast + 1.4).clamp(max=0)
    small = (pose.size / 17.4).log2().clamp(max=0)
    blurred = (measured.log_sharpness + 0.9).clamp(max=0)
    covered = measured.evenness.clamp(max=0)
    if measured.certainty is not None:
        grey = (measured.log_contrast + 1.0).clamp(max=0)
        known = 1.02 + 2.93 * measured.certainty.log() - 1.23 * grey
        return known + 3.52 * light + 0.15 * small + 0.90 * blurred + 0.42 * covered
    turned = (pose.yaw.abs() / 60 - 0.25).clamp(min=0)
    raised = (pose.pitch.abs() / 60 - 0.33).clamp(min=0)
    glare = (measured.brightness - 0.78).clamp(min=0)
    odd = (pose.misfit - 0.12).clamp(min=0)
    lost = 0.93 * turned + 1.89 * raised + 4.60 * glare + 7.40 * odd
    return 0.89 + 5.06 * light + 0.35 * small + 1.91 * blurred + 0.71 * covered - lost


def _ramp(value: Tensor, nothing: float, full: float) -> Tensor:
    """0 up to `nothing`, 1 from `full` on, straight in between."""
    return ((value - nothing) / (full - nothing)).clamp(0, 1)
