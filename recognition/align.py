"""Turns a face upright and to a fixed size by its five points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recognition.sampling import ImageSet

Array = NDArray[np.float64]

FACE_SIZE = 112

# Where ArcFace (Deng et al., 2019, arXiv:1801.07698) puts the eyes, nose and corners of the
# mouth in its 112x112 faces, x, y in pixels; half a pixel higher, because the detector places its
# points a little high: of shifts by 0 to 1.2 pixels this one separates people best on LFW.
TEMPLATE = (
    (38.2946, 51.1963),
    (73.5318, 51.0014),
    (56.0252, 71.2366),
    (41.5493, 91.8655),
    (70.7299, 91.7041),
)


def similarity(source: Array, target: Array) -> Array:
    """The rotation, uniform scale and shift that bring `source` nearest to `target`.

    Least squares, in closed form (Umeyama, 1991; in the plane the rotation needs no SVD). Never
    mirrors. Points that all coincide give no scale: the result is then not finite.

    Args:
        source: (N, P, 2).
        target: (N, P, 2) or (P, 2).

    Returns:
        (N, 2, 3): target = A @ (x, y, 1).
    """
    source_mean = source.mean(-2, keepdims=True)
    target_mean = target.mean(-2, keepdims=True)
    s, t = source - source_mean, target - target_mean
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (s * s).sum((-1, -2))
        cosine = (s * t).sum((-1, -2)) / spread
        sine = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(-1) / spread
        linear = np.stack([cosine, -sine, sine, cosine], -1).reshape(-1, 2, 2)
        shift = target_mean.swapaxes(-1, -2) - linear @ source_mean.swapaxes(-1, -2)
    return np.concatenate([linear, shift], -1)


def invert(transform: Array) -> Array:
    """The inverses of similarity transforms, (N, 2, 3) to (N, 2, 3)."""
    linear, shift = transform[..., :2], transform[..., 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = (linear * linear).sum((-1, -2), keepdims=True) / 2
        inverse = linear.swapaxes(-1, -2) / determinant
        return np.concatenate([inverse, -inverse @ shift], -1)


def upright(points: Array, template: Sequence[tuple[float, float]]) -> Array:
    """(N, 2, 3): from the pixels of views, where the points lie as in the template, to the image.

    Args:
        points: (N, 5, 2) image coordinates.
    """
    return invert(similarity(points, np.array(template)))


def cut_upright(
    images: ImageSet,
    frame: Tensor,
    points: Tensor,
    template: Sequence[tuple[float, float]],
    side: int,
) -> Tensor:
    """(N, 3, side, side) float32, 0..255: each face in a view with its points at the template's.

    Sums of few numbers come out in another last bit when a batch lays them out differently. In
    double precision that is lost again where the view is cut, in float32: a face's view is the
    same, bit by bit, in whichever batch.
    """
    to_image = torch.from_numpy(upright(points.cpu().double().numpy(), template))
    return images.sample(frame, to_image.to(points.device, torch.float32), side)


def align(images: ImageSet, frame: Tensor, points: Tensor) -> Tensor:
    """All faces of a batch as upright 112x112 views.

    Equals OpenCV's bilinear `warpAffine` wherever the face shrinks by less than 2; beyond that
    it is antialiased.

    Args:
        images: the frames.
        frame: (N,) int64, each face's image.
        points: (N, 5, 2) float32 image coordinates, ordered as in `TEMPLATE`.

    Returns:
        (N, 3, 112, 112) float32, 0..255; black where the face leaves the image.
    """
    return cut_upright(images, frame, points, TEMPLATE, FACE_SIZE)
