"""Pictures to train detectors on, put together from photographs: faces on other backgrounds.

Backgrounds are parts of the photographs that no face touches, and drawn textures. On them lie
pieces without a face, then faces with some of what surrounds them. Both are laid on in the same two
ways, with the same soft edges, so that an edge says nothing about what is within it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from recognition.training.cascade.annotations import AnnotatedFace, Array, Truth
from recognition.training.cascade.windows import covered, overlaps
from recognition.types import Pixels

SIZES = ((240, 320), (480, 640), (360, 480))
MOST_FACES, MOST_PIECES = 6, 8
FACE_SIDES = (18.0, 200.0)
"""Of pasted faces, in pixels; roots of the boxes' areas. Small ones are as likely as large ones."""

_SURROUNDINGS = (1.4, 2.2)  # sides of what is cut out with a face, in sides of its box
_WIDENED = 1.3  # a face's box in its sides; outside, an image counts as free of it
_TRIES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A face with some of its surroundings: pixels (h, w, 3), box (4,) and points (5, 2) in them.

    points: None where they are not known.
    """

    pixels: Pixels
    box: Array
    points: Array | None


def cutouts(pixels: Pixels, truth: Truth, draw: np.random.Generator) -> list[Cutout]:
    """The image's faces, each with surroundings that no other face touches."""
    found = []
    for row in np.flatnonzero(~truth.ignored).tolist():
        box = truth.boxes[row]
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        wide = half * draw.uniform(*_SURROUNDINGS)
        region = _whole(np.concatenate([middle - wide, middle + wide]), pixels)
        others = np.delete(truth.boxes, row, 0)
        inside = covered(box[None], region[None].astype(np.float64))[0, 0]
        if inside < 0.98 or overlaps(region[None].astype(np.float64), others).any():
            continue
        x1, y1, x2, y2 = region.tolist()
        points = truth.points[row] - region[:2] if np.isfinite(truth.points[row]).all() else None
        found.append(Cutout(pixels[y1:y2, x1:x2].copy(), box - np.tile(region[:2], 2), points))
    return found


def pieces_without_faces(
    pixels: Pixels, truth: Truth, draw: np.random.Generator, most: int
) -> list[Pixels]:
    """Squares of the image, at least 24 pixels wide, that no face touches, ignored or not."""
    height, width = pixels.shape[:2]
    if min(height, width) < 24 or not truth.complete:
        return []
    middle, half = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2, truth.boxes[:, 2:]
    half = (half - truth.boxes[:, :2]) / 2 * _WIDENED
    taken = np.concatenate([middle - half, middle + half], 1)
    found: list[Pixels] = []
    for _ in range(_TRIES):
        side = int(math.exp(draw.uniform(math.log(24), math.log(min(height, width)))))
        x, y = int(draw.integers(0, width - side + 1)), int(draw.integers(0, height - side + 1))
        square = np.array([[x, y, x + side, y + side]], np.float64)
        if len(found) < most and not overlaps(square, taken).any():
            found.append(pixels[y : y + side, x : x + side].copy())
    return found


def compose(
    faces: Sequence[Cutout], pieces: Sequence[Pixels], draw: np.random.Generator
) -> tuple[Pixels, list[AnnotatedFace]]:
    """One picture with some of the faces, none in one picture of ten.

    Args:
        faces: to choose from, at least one.
        pieces: without faces, to choose from; may be none.

    Returns:
        The picture and the faces on it, none of which hides another.
    """
    height, width = SIZES[int(draw.integers(len(SIZES)))]
    picture = background((height, width), pieces, draw)
    for _ in range(int(draw.integers(0, MOST_PIECES + 1)) if pieces else 0):
        piece = pieces[int(draw.integers(len(pieces)))]
        side = math.exp(draw.uniform(math.log(24), math.log(240)))
        _lay(picture, _resized(piece, side / len(piece)), _anywhere(side, picture, draw), draw)
    placed: list[AnnotatedFace] = []
    taken = np.zeros((0, 4))
    count = 0 if draw.random() < 0.1 else int(draw.integers(1, MOST_FACES + 1))
    for _ in range(count):
        chosen = _drawn_face(faces[int(draw.integers(len(faces)))], draw)
        for _ in range(_TRIES):
            corner = _inside(chosen.pixels, picture, draw)
            if corner is None:
                break
            region = _region(corner, chosen.pixels)
            if overlaps(region[None], taken).any():
                continue
            _lay(picture, chosen.pixels, corner, draw)
            taken = np.concatenate([taken, region[None]])
            placed.append(_annotated(chosen, corner))
            break
    return picture, placed


def background(
    size: tuple[int, int], pieces: Sequence[Pixels], draw: np.random.Generator
) -> Pixels:
    """A picture (H, W, 3) without faces: pieces side by side, one piece widened, or a texture."""
    height, width = size
    choice = draw.random()
    if not pieces or choice < 0.35:
        return texture(size, draw)
    if choice < 0.65:
        piece = pieces[int(draw.integers(len(pieces)))]
        return np.ascontiguousarray(cv2.resize(piece, (width, height)), np.uint8)
    tile = int(draw.integers(40, 160))
    picture = np.empty((height, width, 3), np.uint8)
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            square = cv2.resize(pieces[int(draw.integers(len(pieces)))], (tile, tile))
            picture[y : y + tile, x : x + tile] = square[: height - y, : width - x]
    return picture


def texture(size: tuple[int, int], draw: np.random.Generator) -> Pixels:
    """A drawn picture (H, W, 3): smooth noise of several scales, with plain shapes on it."""
    height, width = size
    smooth = np.zeros((height, width, 3), np.float32)
    for cells in (2, 5, 13, 40):
        noise = draw.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        strength = float(draw.uniform(0, 60))
        smooth += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    smooth += draw.uniform(40, 215, 3).astype(np.float32)
    picture = np.ascontiguousarray(smooth.clip(0, 255).astype(np.uint8))
    for _ in range(int(draw.integers(0, 25))):
        colour = tuple(float(value) for value in draw.integers(0, 256, 3))
        centre = (int(draw.integers(width)), int(draw.integers(height)))
        axes = (int(draw.integers(3, 80)), int(draw.integers(3, 80)))
        if draw.random() < 0.5:
            thickness = -1 if draw.random() < 0.6 else int(draw.integers(1, 6))
            angle = float(draw.uniform(0, 180))
            cv2.ellipse(picture, centre, axes, angle, 0, 360, colour, thickness, cv2.LINE_AA)
        else:
            corner = (centre[0] + axes[0], centre[1] + axes[1])
            cv2.rectangle(picture, centre, corner, colour, -1 if draw.random() < 0.6 else 2)
    return picture


def _drawn_face(face: Cutout, draw: np.random.Generator) -> Cutout:
    """The face in a size drawn anew, mirrored at random, in other light."""
    pixels, box, points = face.pixels, face.box, face.points
    if draw.random() < 0.5:
        width = pixels.shape[1]
        pixels = pixels[:, ::-1]
        box = np.array([width - box[2], box[1], width - box[0], box[3]])
        if points is not None:
            points = np.stack([width - 1 - points[:, 0], points[:, 1]], 1)[[1, 0, 2, 4, 3]]
    low, high = np.log(FACE_SIDES)
    side = float(np.sqrt((box[2:] - box[:2]).prod()))
    scale = min(math.exp(draw.uniform(low, high)), 1.5 * side) / side
    resized = _resized(np.ascontiguousarray(pixels), scale)
    # Sizes are whole pixels: the scale along each side is what came of it.
    both = np.array([resized.shape[1] / pixels.shape[1], resized.shape[0] / pixels.shape[0]])
    light = resized.astype(np.float32) * draw.uniform(0.7, 1.2) + draw.uniform(-25, 25)
    moved = None if points is None else (points + 0.5) * both - 0.5
    return Cutout(light.clip(0, 255).astype(np.uint8), box * np.tile(both, 2), moved)


def _annotated(face: Cutout, corner: tuple[int, int]) -> AnnotatedFace:
    offset = np.array(corner, np.float64)
    x1, y1, x2, y2 = (face.box + np.tile(offset, 2)).round(2).tolist()
    points = None
    if face.points is not None:
        points = tuple((x, y) for x, y in (face.points + offset).round(2).tolist())
    return AnnotatedFace((x1, y1, x2, y2), points)


def _lay(
    picture: Pixels, piece: Pixels, corner: tuple[int, int], draw: np.random.Generator
) -> None:
    """Lay a piece on the picture, its edges soft: an ellipse or a rectangle at random."""
    height, width = piece.shape[:2]
    y, x = np.mgrid[:height, :width]
    across, down = np.abs((x + 0.5) / width * 2 - 1), np.abs((y + 0.5) / height * 2 - 1)
    away = np.hypot(across, down) if draw.random() < 0.5 else np.maximum(across, down)
    opaque = ((1 - away) / draw.uniform(0.04, 0.2)).clip(0, 1)[:, :, None]
    left, top = corner
    place = picture[max(0, top) : top + height, max(0, left) : left + width]
    above, beside = max(0, -top), max(0, -left)
    inside = (slice(above, above + len(place)), slice(beside, beside + place.shape[1]))
    mixed = place + (piece[inside].astype(np.float32) - place) * opaque[inside]
    place[:] = mixed.round().clip(0, 255).astype(np.uint8)


def _resized(piece: Pixels, scale: float) -> Pixels:
    size = tuple(max(1, round(side * scale)) for side in (piece.shape[1], piece.shape[0]))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(piece, size, interpolation=how), np.uint8)


def _anywhere(side: float, picture: Pixels, draw: np.random.Generator) -> tuple[int, int]:
    """A corner such that a piece reaches into the picture."""
    height, width = picture.shape[:2]
    half = int(side / 2)
    return int(draw.integers(-half, width - half)), int(draw.integers(-half, height - half))


def _inside(piece: Pixels, picture: Pixels, draw: np.random.Generator) -> tuple[int, int] | None:
    """A corner such that the piece lies in the picture as a whole; None for one too large."""
    down, across = (picture.shape[axis] - piece.shape[axis] for axis in (0, 1))
    if down < 0 or across < 0:
        return None
    return int(draw.integers(0, across + 1)), int(draw.integers(0, down + 1))


def _region(corner: tuple[int, int], piece: Pixels) -> Array:
    x, y = corner
    return np.array([x, y, x + piece.shape[1], y + piece.shape[0]], np.float64)


def _whole(region: Array, pixels: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """A region in whole pixels, as far as it lies in the image."""
    height, width = pixels.shape[:2]
    limits = np.array([width, height, width, height])
    return region.round().astype(np.int64).clip(0, limits)
