"""How a head is turned, from its five points: a rigid head fitted to them, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A head's eyes, nose tip and corners of the mouth: x to the image's right, y down, z away from
# the camera, in distances between the eyes; their mean is the origin. The average of the
# detector's points over 600 portraits of LFW and 420 frontal and profile ones of CFP, by a bundle
# adjustment under scaled orthography. Five points cannot tell a head held level, so the pitch is
# counted from LFW's median.
HEAD = (
    (-0.5, -0.5305, 0.0142),
    (0.5, -0.5305, 0.0142),
    (0.0, 0.0351, -0.3922),
    (-0.4141, 0.5130, 0.1819),
    (0.4141, 0.5130, 0.1819),
)

_HEAD = torch.tensor(HEAD)
_TO_AFFINE = torch.linalg.pinv(_HEAD).T

# Of the fit's two dimensions: narrower is a line, which no head seen from anywhere gives.
_NARROWEST = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class HeadPose:
    """(N,) each; angles in degrees.

    yaw: the turn about the head's own vertical axis; positive when it looks to the image's right.
    pitch: positive when it looks up.
    roll: positive when it leans clockwise in the image.
    misfit: how far the points lie from any view of a head: the root of the share of their spread
        that the fit leaves, 0..1; of portraits 0.05.
    size: pixels that the eyes would lie apart if the head looked into the camera.
    sound: whether the points are finite and no line; if not, angles and size are 0, misfit 1.
    """

    yaw: Tensor
    pitch: Tensor
    roll: Tensor
    misfit: Tensor
    size: Tensor
    sound: Tensor


def head_pose(points: Tensor) -> HeadPose:
    """Fit `HEAD` to each face's points under scaled orthography.

    The least-squares affine map of the head onto the points, then the scaled rotation nearest to
    it (DeMenthon and Davis, 1995, give the iterated version). Uses all five points, so it holds in
    profile, where the eyes fall into one.

    Args:
        points: (N, 5, 2) float32 image coordinates, ordered as `HEAD`.
    """
    head, to_affine = (constant.to(points) for constant in (_HEAD, _TO_AFFINE))
    seen = points - points.mean(1, keepdim=True)
    affine = seen.transpose(1, 2) @ to_affine  # (N, 2, 3)
    rows, sound = _orthonormal(affine)
    depth = torch.linalg.cross(rows[:, 0], rows[:, 1])
    shown = (rows @ head.T).transpose(1, 2)
    spread = seen.square().sum((1, 2))
    size = (shown * seen).sum((1, 2)) / shown.square().sum((1, 2))
    left = (seen - size[:, None, None] * shown).square().sum((1, 2)) / spread
    values = torch.stack(
        [
            torch.rad2deg(torch.atan2(depth[:, 0], depth[:, 2])),
            -torch.rad2deg(torch.asin(depth[:, 1].clamp(-1, 1))),
            torch.rad2deg(torch.atan2(-rows[:, 0, 1], rows[:, 1, 1])),
            size,
            left.sqrt(),
        ]
    )
    nothing = values.new_tensor([0, 0, 0, 0, 1])[:, None]
    yaw, pitch, roll, size, misfit = torch.where(sound, values, nothing).unbind()
    return HeadPose(yaw, pitch, roll, misfit, size, sound)


def _orthonormal(affine: Tensor) -> tuple[Tensor, Tensor]:
    """The two orthonormal rows nearest to each (2, 3) map's, and whether there are any.

    S⁻¹ A with S the root of A Aᵀ, which for two rows has a closed form.
    """
    gram = affine @ affine.transpose(1, 2)
    a, b, d = gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]
    root_det = (a * d - b * b).clamp(min=0).sqrt()
    # The root of a 2x2 matrix G is (G + sqrt(det G) 1) / t, its inverse the adjugate's share.
    t = (a + d + 2 * root_det).sqrt()
    adjugate = torch.stack([d + root_det, -b, -b, a + root_det], 1).reshape(-1, 2, 2)
    inverse = adjugate / (t * root_det)[:, None, None]
    sound = torch.isfinite(t) & (root_det > _NARROWEST * (a + d))
    return inverse @ affine, sound
