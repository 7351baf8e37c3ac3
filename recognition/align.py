"""Turns a face upright and to a fixed size by its five points."""

from __future__ import annotations

import torch
from torch import Tensor

from recognition.sampling import ImageSet

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


def similarity(source: Tensor, target: Tensor) -> Tensor:
    """The rotation, uniform scale and shift that bring `source` nearest to `target`.

    Least squares, in closed form (Umeyama, 1991; in the plane the rotation needs no SVD). Never
    mirrors. Points that all coincide give no scale: the result is then not finite.

    Sums of few numbers come out in another last bit when a batch lays them out differently. In
    double precision that is lost again where a view is cut in float32, so that a face's view is
    the same, bit by bit, in whichever batch.

    Args:
        source: (N, P, 2).
        target: (N, P, 2) or (P, 2).

    Returns:
        (N, 2, 3) float64: target = A @ (x, y, 1).
    """
    source, target = source.double(), target.double()
    source_mean = source.mean(-2, keepdim=True)
    target_mean = target.mean(-2, keepdim=True)
    s, t = source - source_mean, target - target_mean
    spread = s.square().sum((-1, -2))
    cosine = (s * t).sum((-1, -2)) / spread
    sine = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(-1) / spread
    linear = torch.stack([cosine, -sine, sine, cosine], -1).reshape(-1, 2, 2)
    shift = target_mean.transpose(-1, -2) - linear @ source_mean.transpose(-1, -2)
    return torch.cat([linear, shift], -1)


def invert(transform: Tensor) -> Tensor:
    """The inverses of similarity transforms, (N, 2, 3) to (N, 2, 3)."""
    linear, shift = transform[..., :2], transform[..., 2:]
    determinant = linear.square().sum((-1, -2), keepdim=True) / 2
    inverse = linear.transpose(-1, -2) / determinant
    return torch.cat([inverse, -inverse @ shift], -1)


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
    to_face = similarity(points, points.new_tensor(TEMPLATE))
    return images.sample(frame, invert(to_face), FACE_SIZE)
