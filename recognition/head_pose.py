"""How a head is turned, from its five points: a rigid head fitted to them, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

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

_HEAD = np.array(HEAD)
_TO_AFFINE = np.linalg.pinv(_HEAD).T

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

    yaw: Array
    pitch: Array
    roll: Array
    misfit: Array
    size: Array
    sound: NDArray[np.bool_]


def head_pose(points: Array) -> HeadPose:
    """Fit `HEAD` to each face's points under scaled orthography.

    The least-squares affine map of the head onto the points, then the scaled rotation nearest to
    it (DeMenthon and Davis, 1995, give the iterated version). Uses all five points, so it holds in
    profile, where the eyes fall into one.

    Args:
        points: (N, 5, 2) image coordinates, ordered as `HEAD`.
    """
    with np.errstate(all="ignore"):  # points that are none come out as not sound
        seen = points - points.mean(1, keepdims=True)
        rows, sound = _orthonormal(seen.swapaxes(1, 2) @ _TO_AFFINE)
        depth = np.cross(rows[:, 0], rows[:, 1])
        shown = (rows @ _HEAD.T).swapaxes(1, 2)
        spread = (seen * seen).sum((1, 2))
        size = (shown * seen).sum((1, 2)) / (shown * shown).sum((1, 2))
        left = ((seen - size[:, None, None] * shown) ** 2).sum((1, 2)) / spread
        values = np.stack(
            [
                np.rad2deg(np.arctan2(depth[:, 0], depth[:, 2])),
                -np.rad2deg(np.arcsin(depth[:, 1].clip(-1, 1))),
                np.rad2deg(np.arctan2(-rows[:, 0, 1], rows[:, 1, 1])),
                size,
                np.sqrt(left),
            ]
        )
    yaw, pitch, roll, size, misfit = np.where(sound, values, _NOTHING)
    return HeadPose(yaw, pitch, roll, misfit, size, sound)


def rigid_fit(points: Array) -> tuple[Array, float]:
    """One face's head as it is placed in its image: point = size * rows @ head + mean point.

    Args:
        points: (5, 2) image coordinates, not all in a line.

    Returns:
        (2, 3) the first two rows of the head's rotation, and pixels of a distance between the eyes.

    Raises:
        ValueError: they lie in a line or are not finite.
    """
    seen = points - points.mean(0)
    with np.errstate(all="ignore"):
        (rows,), (sound,) = _orthonormal((seen.T @ _TO_AFFINE)[None])
    if not sound:
        raise ValueError("the five points are no view of a head")
    shown = _HEAD @ rows.T
    return rows, float((shown * seen).sum() / (shown * shown).sum())


_NOTHING = np.array([0, 0, 0, 0, 1])[:, None]


def _orthonormal(affine: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The two orthonormal rows nearest to each (2, 3) map's, and whether there are any.

    S⁻¹ A with S the root of A Aᵀ, which for two rows has a closed form.
    """
    gram = affine @ affine.swapaxes(1, 2)
    a, b, d = gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]
    root_det = np.sqrt((a * d - b * b).clip(0))
    # The root of a 2x2 matrix G is (G + sqrt(det G) 1) / t, its inverse the adjugate's share.
    t = np.sqrt(a + d + 2 * root_det)
    adjugate = np.stack([d + root_det, -b, -b, a + root_det], 1).reshape(-1, 2, 2)
    inverse = adjugate / (t * root_det)[:, None, None]
    sound = np.isfinite(t) & (root_det > _NARROWEST * (a + d))
    return inverse @ affine, sound
