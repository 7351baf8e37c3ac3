"""Finds faces and their five points in all frames of a batch at once.

RetinaFace looks at a reduced image, then once more at each face it found, turned upright and cut
out of the full image: the second look only places the points, which recognition hangs on.

Boxes are measured from the image's corner (pixel i reaches from i to i + 1); points come out in
image coordinates, where pixel i lies at i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recognition.align import Array, upright
from recognition.cascade import cascade
from recognition.detections import Detections
from recognition.mtcnn import Mtcnn
from recognition.nms import suppress
from recognition.retinaface import anchors
from recognition.sampling import ImageSet, Mipmaps, shrink

Integers = NDArray[np.int64]
DetectorName = Literal["retinaface", "mtcnn"]

SMALLEST_SEEN = 20
"""Side, in pixels of the reduced image, of the smallest face looked for. Anchors begin at 16, but
of faces that small every fourth of LFW is found; of those of 20 three quarters, of 25 all."""

WORTH_REDUCING = 320 * 240
"""Pixels; an image is not reduced below them, for the points' sake."""

LARGEST_SEEN = 400
"""The anchors end at 512. Images with room for larger faces are looked at again, reduced more."""
_COARSER = 8

LEAST_SIDE = 16
"""Pixels; thinner pictures are given a margin. Nobody is in them, but in bfloat16 OpenVINO takes
memory it never wrote for part of a picture one or two pixels wide, and sees faces there."""

THRESHOLD = 0.6
"""Least probability of a face."""

# Faces in a crowd have a few dozen anchors each; noise must not cost memory.
MAX_CANDIDATES = 512

_OVERLAP = 0.4  # beyond which two boxes are one face
_VARIANCES = (0.1, 0.2)  # by which the network's offsets of centres and of sizes are scaled

SECOND_LOOK = 160  # side of the view, in pixels
# Where the second look has eyes, nose and corners of the mouth of an upright frontal face: as in
# an aligned face, amid its surroundings.
_UPRIGHT = ((62.3, 57.7), (97.5, 57.5), (80.0, 77.7), (65.5, 98.4), (94.7, 98.2))
_FACE_IN_VIEW = (28.0, 13.0, 132.0, 138.0)  # its box
_SIDE_IN_VIEW = 114.0  # root of the box's area

# How far the network's points lie from where the embedders' templates expect them, in the second
# look's pixels: median differences, over faces of LFW, from MTCNN's and from the mirror image's.
_OFFSETS = ((-0.25, -0.36), (0.25, -0.36), (-0.18, -0.62), (0.3, -1.24), (-0.9, -1.24))
_LEAST_OVERLAP = 0.3  # of that box with those whose points are taken
_SAME = 0.5  # overlap of the boxes of one face


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """What is looked for.

    smallest_face: side of the smallest face to find, in pixels, at least 12.
    """

    smallest_face: int = 40

    def __post_init__(self) -> None:
        if self.smallest_face < 12:
            raise ValueError(f"smallest_face is {self.smallest_face}; at least 12 is needed")


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What anchors of a batch of pictures see, in a picture's pixels from its corner.

    picture (K,) int64, margins (K,): logit of a face less that of none, boxes (K, 4),
    points (K, 5, 2).
    """

    picture: Integers
    margins: Array
    boxes: Array
    points: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """frame (N,) int64, boxes (N, 4), points (N, 5, 2), margins (N,).

    sides: (N,) roots of the boxes' areas, in pixels of the reduced image.
    """

    frame: Integers
    boxes: Array
    points: Array
    margins: Array
    sides: Array


def detect(net: nn.Module, images: ImageSet, settings: DetectorSettings) -> Detections:
    """Find all faces of all images.

    Args:
        net: RetinaFace, plain or compiled, or the networks of MTCNN; in evaluation mode, on the
            images' device.
        images: numbered 0..; a face's `frame` is its image's number.
    """
    if isinstance(net, Mtcnn):
        return cascade(net, images, settings.smallest_face)
    parts = [
        _look(net, frames, level, size, largest)
        for frames, mipmaps in images.batches
        for level, size, largest in _levels(mipmaps, settings.smallest_face)
    ]
    frame = np.concatenate([part.frame for part in parts])
    boxes = np.concatenate([part.boxes for part in parts])
    margins = np.concatenate([part.margins for part in parts])
    kept = suppress(boxes, margins, frame, threshold=_OVERLAP, most=MAX_CANDIDATES)
    points = np.concatenate([part.points for part in parts])[kept]
    sides = np.concatenate([part.sides for part in parts])[kept]
    points = second_look(net, images, frame[kept], points, sides)
    return Detections(
        torch.from_numpy(frame[kept]).to(images.device),
        *(
            torch.from_numpy(values.astype(np.float32)).to(images.device)
            for values in (boxes[kept], points, _probability(margins[kept]))
        ),
    )


def _levels(mipmaps: Mipmaps, smallest_face: int) -> list[tuple[Tensor, tuple[int, int], float]]:
    """The images (B, 3, h, w) uint8 as the network looks at them, each with the original size and
    the side of the largest face that is looked for there, in its own pixels.
    """
    height, width = mipmaps.images.shape[2:]
    enough = math.sqrt(WORTH_REDUCING / (height * width))
    scale = min(1.0, max(SMALLEST_SEEN / smallest_face, enough))
    levels = []
    while True:
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        same = size == (height, width)
        level = mipmaps.images if same else shrink(mipmaps.images, size)
        last = min(size) <= LARGEST_SEEN
        levels.append((level, (height, width), math.inf if last else LARGEST_SEEN))
        if last:
            return levels
        scale /= _COARSER


def _look(
    net: nn.Module, frames: Tensor, level: Tensor, size: tuple[int, int], largest: float
) -> _Found:
    """What the network finds in images of one size, in pixels of the originals of `size`."""
    below, beside = (max(0, LEAST_SIDE - side) for side in level.shape[2:])
    picture = nn.functional.pad(level, (0, beside, 0, below)) if below or beside else level
    seen = _seen(net, picture.float(), math.log(THRESHOLD / (1 - THRESHOLD)))
    sides = np.sqrt((seen.boxes[:, 2:] - seen.boxes[:, :2]).prod(1))
    per_pixel = np.array([size[1] / level.shape[3], size[0] / level.shape[2]])
    near = np.isfinite(sides) & (sides <= largest)
    return _Found(
        frames.cpu().numpy()[seen.picture[near]],
        seen.boxes[near] * np.tile(per_pixel, 2),
        seen.points[near] * per_pixel - 0.5,
        seen.margins[near],
        sides[near],
    )


def second_look(
    net: nn.Module, images: ImageSet, frame: Integers, points: Array, sides: Array
) -> Array:
    """The points of faces, placed anew in a view of each face, upright and of one size.

    Both looks err by about the same part of a pixel of what they saw, so that each counts by the
    square of the face's size in it. Where the network does not see a face in a view the points
    stay as they are.

    Args:
        frame: (N,) int64, each face's image.
        points: (N, 5, 2) image coordinates, found in a reduced image.
        sides: (N,) of the faces there, in its pixels.

    Returns:
        (N, 5, 2).
    """
    if len(frame) == 0:
        return points
    to_image = upright(points, _UPRIGHT)
    views = images.sample(
        torch.from_numpy(frame).to(images.device),
        torch.from_numpy(to_image.astype(np.float32)).to(images.device),
        SECOND_LOOK,
    )
    placed, sure = _agreed(_seen(net, views, 0.0), len(frame))
    turn, start = to_image[:, :, :2].swapaxes(1, 2), to_image[:, None, :, 2]
    share = np.where(sure, 1 / (1 + (sides / _SIDE_IN_VIEW) ** 2), 0)[:, None, None]
    both = np.where(share > 0, points + share * (placed @ turn + start - points), points)
    return both - np.array(_OFFSETS) @ turn


def _agreed(seen: _Seen, count: int) -> tuple[Array, NDArray[np.bool_]]:
    """The points of the face in the middle of each view: (N, 5, 2), and whether there is one (N,).

    All anchors that see the face have their say: a single one errs by half as much again.

    Args:
        count: of the views, N.
    """
    say = _probability(seen.margins)
    say = say * (_overlap(seen.boxes, np.array([_FACE_IN_VIEW])) > _LEAST_OVERLAP)
    surest = np.zeros((count, 4))
    rising = np.argsort(say, kind="stable")
    surest[seen.picture[rising]] = seen.boxes[rising]  # the last one written stays
    say = say * (_overlap(seen.boxes, surest[seen.picture]) > _SAME)
    total = np.bincount(seen.picture, say, count)
    sums = np.zeros((count, 5, 2))
    np.add.at(sums, seen.picture, seen.points * say[:, None, None])
    return sums / total.clip(1e-6)[:, None, None] - 0.5, total > 0


def _seen(net: nn.Module, pictures: Tensor, least: float) -> _Seen:
    """What anchors with more than the least margin see in pictures (B, 3, h, w), 0..255.

    In double precision, for the sake of equal bits in any batch: see `align.cut_upright`.
    """
    margins, boxes, points = net(pictures)
    picture, cell = (margins > least).nonzero(as_tuple=True)
    found = torch.cat(
        [margins[picture, cell, None], boxes[picture, cell], points[picture, cell]], 1
    )
    values = found.cpu().double().numpy()
    place = _anchors(pictures.shape[2], pictures.shape[3])[cell.cpu().numpy()]
    middle, side = place[:, :2], place[:, 2:]
    centre = middle + values[:, 1:3] * (_VARIANCES[0] * side)
    half = np.exp(values[:, 3:5] * _VARIANCES[1]) * (side / 2)
    return _Seen(
        picture.cpu().numpy(),
        values[:, 0],
        np.concatenate([centre - half, centre + half], 1),
        middle[:, None] + values[:, 5:].reshape(-1, 5, 2) * (_VARIANCES[0] * side[:, None]),
    )


@lru_cache(maxsize=64)  # the cameras' sizes
def _anchors(height: int, width: int) -> Array:
    return anchors(height, width).double().numpy()


def _probability(margins: Array) -> Array:
    probability: Array = 1 / (1 + np.exp(-margins))
    return probability


def _overlap(boxes: Array, other: Array) -> Array:
    """(N, 4) and (N or 1, 4) to (N,): intersection over union."""
    sides = np.minimum(boxes[:, 2:], other[:, 2:]) - np.maximum(boxes[:, :2], other[:, :2])
    shared = sides.clip(0).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    overlap: Array = shared / (area + (other[:, 2:] - other[:, :2]).prod(1) - shared)
    return overlap
