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

import torch
from torch import Tensor, nn

from recognition.align import invert, similarity
from recognition.cascade import cascade
from recognition.detections import Detections
from recognition.mtcnn import Mtcnn
from recognition.nms import suppress
from recognition.retinaface import anchors
from recognition.sampling import ImageSet, Mipmaps, shrink

DetectorName = Literal["retinaface", "mtcnn"]

SMALLEST_SEEN = 20
"""Side, in pixels of the reduced image, of the smallest face looked for. Anchors begin at 16, but
of faces that small every fourth of LFW is found; of those of 20 three quarters, of 25 all."""

WORTH_REDUCING = 320 * 240
"""Pixels; an image is not reduced below them, for the points' sake."""

LARGEST_SEEN = 400
"""The anchors end at 512. Images with room for larger faces are looked at again, reduced more."""
_COARSER = 8

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
class _Found:
    """frame (N,), boxes (N, 4), points (N, 5, 2), margins (N,).

    sides: (N,) roots of the boxes' areas, in pixels of the reduced image.
    """

    frame: Tensor
    boxes: Tensor
    points: Tensor
    margins: Tensor
    sides: Tensor

    def take(self, rows: Tensor) -> _Found:
        return _Found(
            self.frame[rows],
            self.boxes[rows],
            self.points[rows],
            self.margins[rows],
            self.sides[rows],
        )


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
    frame = torch.cat([part.frame for part in parts])
    boxes = torch.cat([part.boxes for part in parts])
    margins = torch.cat([part.margins for part in parts])
    kept = suppress(boxes, margins, frame, threshold=_OVERLAP, most=MAX_CANDIDATES)
    frame = frame[kept]
    points = torch.cat([part.points for part in parts])[kept]
    sides = torch.cat([part.sides for part in parts])[kept]
    points = second_look(net, images, frame, points, sides)
    return Detections(frame, boxes[kept].float(), points.float(), margins[kept].sigmoid())


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
    margins, boxes, points = net(level.float())
    place = _anchors(level.shape[2], level.shape[3], level.device)
    image, cell = (margins > math.log(THRESHOLD / (1 - THRESHOLD))).nonzero(as_tuple=True)
    place = place[cell]
    per_pixel = place.new_tensor([size[1] / level.shape[3], size[0] / level.shape[2]])
    # In double precision, for the sake of equal bits in any batch: see `align.similarity`.
    here = _boxes(boxes[image, cell].double(), place)
    sides = (here[:, 2:] - here[:, :2]).prod(1).sqrt()
    found = _Found(
        frames[image],
        here * per_pixel.repeat(2),
        _points(points[image, cell].double(), place) * per_pixel - 0.5,
        margins[image, cell],
        sides,
    )
    return found if math.isinf(largest) else found.take(sides <= largest)


def second_look(
    net: nn.Module, images: ImageSet, frame: Tensor, points: Tensor, sides: Tensor
) -> Tensor:
    """The points of faces, placed anew in a view of each face, upright and of one size.

    Both looks err by about the same part of a pixel of what they saw, so that each counts by the
    square of the face's size in it. Where the network does not see a face in a view the points
    stay as they are.

    Args:
        points: (N, 5, 2) image coordinates, found in a reduced image.
        sides: (N,) of the faces there, in its pixels.

    Returns:
        (N, 5, 2) float64.
    """
    if len(frame) == 0:
        return points.double()
    to_image = invert(similarity(points, points.new_tensor(_UPRIGHT)))
    views = images.sample(frame, to_image, SECOND_LOOK)
    margins, boxes, offsets = net(views)
    found, seen = _agreed(margins, boxes, offsets)
    found = found @ to_image[:, :, :2].transpose(1, 2) + to_image[:, None, :, 2]
    share = torch.where(seen, 1 / (1 + (sides / _SIDE_IN_VIEW).square()), 0)
    placed = points.double().lerp(found, share.double()[:, None, None])
    return placed - placed.new_tensor(_OFFSETS) @ to_image[:, :, :2].transpose(1, 2)


def _agreed(margins: Tensor, boxes: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The points of the face in the middle of each view: (N, 5, 2), and whether there is one (N,).

    All anchors that see the face have their say: a single one errs by half as much again.
    """
    place = _anchors(SECOND_LOOK, SECOND_LOOK, margins.device)
    view, cell = (margins > 0).nonzero(as_tuple=True)
    say, there = margins[view, cell].double().sigmoid(), place[cell]
    told = _boxes(boxes[view, cell].double(), there)
    here = _overlap(told, told.new_tensor([_FACE_IN_VIEW])) > _LEAST_OVERLAP
    best = say.new_zeros(margins.shape)
    best[view, cell] = say * here
    surest = say.new_zeros(boxes.shape)
    surest[view, cell] = told
    surest = surest[torch.arange(len(boxes), device=view.device), best.argmax(1)]  # (N, 4)
    say = say * (here & (_overlap(told, surest[view]) > _SAME))
    total = say.new_zeros(len(margins)).index_add_(0, view, say)
    sums = say.new_zeros((len(margins), 5, 2))
    sums.index_add_(0, view, _points(offsets[view, cell].double(), there) * say[:, None, None])
    return sums / total.clamp(min=1e-6)[:, None, None] - 0.5, total > 0


@lru_cache(maxsize=64)  # the cameras' sizes
def _anchors(height: int, width: int, device: torch.device) -> Tensor:
    return anchors(height, width).to(device)


def _boxes(offsets: Tensor, place: Tensor) -> Tensor:
    """(A, 4) offsets at anchors (A, 3) to x1, y1, x2, y2."""
    centre, side = place[:, :2], place[:, 2:]
    middle = centre + offsets[..., :2] * (_VARIANCES[0] * side)
    half = (offsets[..., 2:] * _VARIANCES[1]).exp() * (side / 2)
    return torch.cat([middle - half, middle + half], -1)


def _points(offsets: Tensor, place: Tensor) -> Tensor:
    """(A, 10) offsets at anchors (A, 3) to (A, 5, 2), from the image's corner."""
    centre, side = place[:, None, :2], place[:, None, 2:]
    return centre + offsets.reshape(-1, 5, 2) * (_VARIANCES[0] * side)


def _overlap(boxes: Tensor, other: Tensor) -> Tensor:
    """(N, 4) and (N or 1, 4) to (N,): intersection over union."""
    sides = torch.minimum(boxes[..., 2:], other[..., 2:])
    sides = sides - torch.maximum(boxes[..., :2], other[..., :2])
    shared = sides.clamp(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    return shared / (area + (other[..., 2:] - other[..., :2]).prod(-1) - shared)
