"""Which windows of an image a network is shown, and what each is to it: by overlap with the faces.

Zhang et al., 2016 (arXiv:1604.02878), section III: positives overlap a face by 0.65 and more of
their union, part faces by 0.4 to 0.65, negatives all faces by less than 0.3; what lies between is
shown to nobody. Landmark windows are laid around faces whose points are known.

Windows are squares (N, 4), x1, y1, x2, y2, measured from the image's corner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from recognition.training.cascade.annotations import Array, Truth

POSITIVE_FROM, PART_FROM, NEGATIVE_BELOW = 0.65, 0.4, 0.3
_ON_IGNORED = 0.3  # of a window: with more of it on an ignored face it is no background

Integers = NDArray[np.int64]


class Kind(IntEnum):
    """What a window is to the network; the numbers are those of the samples' files."""

    NONE = -1
    NEGATIVE = 0
    POSITIVE = 1
    PART = 2
    LANDMARK = 3


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Windows chosen from one image.

    boxes: (N, 4). kinds: (N,) of `Kind`. faces: (N,) row of the face that each is about, in the
    image's truth; of a negative it means nothing.
    """

    boxes: Array
    kinds: Integers
    faces: Integers


@dataclass(frozen=True, slots=True)
class Plan:
    """How many windows are taken of an image, and of each of its faces.

    negatives: of an image, from what is proposed, or anywhere.
    beside: negatives near each face.
    positives, parts, landmarks: of each face.
    smallest: side of the smallest window, in pixels.
    """

    negatives: int
    beside: int
    positives: int
    parts: int
    landmarks: int
    smallest: int = 12


def overlaps(windows: Array, boxes: Array) -> Array:
    """(N, 4) and (M, 4) to (N, M): intersection over union."""
    common = _common(windows, boxes)
    union = _areas(windows)[:, None] + _areas(boxes) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def covered(windows: Array, boxes: Array) -> Array:
    """(N, 4) and (M, 4) to (N, M): the share of each window that lies on each box."""
    common = _common(windows, boxes)
    area = np.broadcast_to(_areas(windows)[:, None], common.shape)
    return np.divide(common, area, out=np.zeros_like(common), where=area > 0)


def _common(windows: Array, boxes: Array) -> Array:
    low = np.maximum(windows[:, None, :2], boxes[:, :2])
    high = np.minimum(windows[:, None, 2:], boxes[:, 2:])
    common: Array = (high - low).clip(0).prod(2)
    return common


def _areas(boxes: Array) -> Array:
    areas: Array = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    return areas


def judge(windows: Array, truth: Truth) -> Windows:
    """What each window is: positive, part or negative, or NONE where it is to be left out.

    A window is about the face that it overlaps most. Where it is about an ignored one, or mostly
    on one, it is left out; and where not all faces are annotated nothing is a negative.
    """
    kinds = np.full(len(windows), Kind.NONE, np.int64)
    if len(truth.boxes) == 0:
        kinds[:] = Kind.NEGATIVE if truth.complete else Kind.NONE
        return Windows(windows, kinds, np.zeros(len(windows), np.int64))
    overlap = overlaps(windows, truth.boxes)
    faces, best = overlap.argmax(1), overlap.max(1)
    kinds[best >= PART_FROM] = Kind.PART
    kinds[best >= POSITIVE_FROM] = Kind.POSITIVE
    kinds[truth.ignored[faces] & (best >= PART_FROM)] = Kind.NONE
    if truth.complete:
        on_ignored = covered(windows, truth.boxes[truth.ignored]).max(1, initial=0)
        kinds[(best < NEGATIVE_BELOW) & (on_ignored < _ON_IGNORED)] = Kind.NEGATIVE
    return Windows(windows, kinds, faces)


def box_targets(windows: Array, boxes: Array) -> Array:
    """(N, 4): how far each side of a window must move to the face's, in widths of the window."""
    size = windows[:, 2:] - windows[:, :2]
    targets: Array = (boxes - windows) / np.tile(size, 2)
    return targets


def point_targets(windows: Array, points: Array) -> Array:
    """(N, 10): the points (N, 5, 2) in widths from a window's corner, x of all five, then y.

    The cascade reads a network's points the same way.
    """
    size = windows[:, None, 2:] - windows[:, None, :2]
    placed = (points - windows[:, None, :2]) / size
    return placed.swapaxes(1, 2).reshape(-1, 10)


def choose(
    size: tuple[int, int],
    truth: Truth,
    plan: Plan,
    draw: np.random.Generator,
    proposed: Array | None = None,
) -> Windows:
    """The windows of one image that its network is trained on.

    Args:
        size: (H, W) of the image.
        proposed: (N, 4) what the networks before this one took for faces, likeliest first: their
            mistakes are the negatives, what they found well or badly positives and parts. None
            for the first network, whose negatives lie anywhere.
    """
    anywhere = _anywhere(size, plan, draw) if proposed is None else proposed
    found = judge(anywhere, truth)
    chosen = [_taken(found, Kind.NEGATIVE, plan.negatives)]
    for row in np.flatnonzero(~truth.ignored).tolist():
        chosen += _about(row, truth, plan, draw, found)
    return _joined(chosen)


def _anywhere(size: tuple[int, int], plan: Plan, draw: np.random.Generator) -> Array:
    """Twice as many squares as negatives are wanted, of any side (log-uniform) and place."""
    count, shorter = 2 * plan.negatives, min(size)
    if shorter < plan.smallest:
        return np.zeros((0, 4))
    side = np.exp(draw.uniform(np.log(plan.smallest), np.log(shorter), count))
    corner = draw.uniform(0, 1, (count, 2)) * (np.array([size[1], size[0]]) - side[:, None])
    return np.concatenate([corner, corner + side[:, None]], 1)


def _about(
    row: int, truth: Truth, plan: Plan, draw: np.random.Generator, found: Windows
) -> list[Windows]:
    """Windows about one face: those proposed first, then such as are laid around it."""
    box = truth.boxes[row]

    def near(kind: Kind, count: int, shift: float) -> Windows:
        laid = judge(_around(box, 8 * count, shift, plan, draw), truth)
        return _taken(laid, kind, count, row)

    def own(kind: Kind, count: int, shift: float) -> Windows:
        proposed = _taken(found, kind, count, row)
        missing = count - len(proposed.kinds)
        return _joined([proposed, near(kind, missing, shift)]) if missing else proposed

    windows = [
        near(Kind.NEGATIVE, plan.beside, 1.0),
        own(Kind.POSITIVE, plan.positives, 0.15),
        own(Kind.PART, plan.parts, 0.4),
    ]
    if np.isfinite(truth.points[row]).all():
        marked = own(Kind.POSITIVE, plan.landmarks, 0.15)
        kinds = np.full(len(marked.kinds), Kind.LANDMARK, np.int64)
        windows.append(Windows(marked.boxes, kinds, marked.faces))
    return windows


def _around(box: Array, count: int, shift: float, plan: Plan, draw: np.random.Generator) -> Array:
    """Squares of 0.8 to 1.25 of the face's size, their centres off by up to `shift` of it."""
    size = float(np.sqrt((box[2:] - box[:2]).prod()))
    side = size * np.exp(draw.uniform(np.log(0.8), np.log(1.25), (count, 1)))
    centre = (box[:2] + box[2:]) / 2 + draw.uniform(-shift, shift, (count, 2)) * size
    laid = np.concatenate([centre - side / 2, centre + side / 2], 1)
    return laid[side[:, 0] >= plan.smallest]


def _taken(windows: Windows, kind: Kind, most: int, face: int | None = None) -> Windows:
    """The first `most` of a kind, for positives and parts of one face."""
    wanted = windows.kinds == kind
    if face is not None and kind != Kind.NEGATIVE:
        wanted &= windows.faces == face
    return _at(windows, np.flatnonzero(wanted)[:most])


def _at(windows: Windows, rows: Integers) -> Windows:
    return Windows(windows.boxes[rows], windows.kinds[rows], windows.faces[rows])


def _joined(parts: list[Windows]) -> Windows:
    fields: tuple[Callable[[Windows], NDArray[np.generic]], ...] = (
        lambda part: part.boxes,
        lambda part: part.kinds,
        lambda part: part.faces,
    )
    boxes, kinds, faces = (np.concatenate([field(part) for part in parts]) for field in fields)
    return Windows(boxes.astype(np.float64), kinds.astype(np.int64), faces.astype(np.int64))
