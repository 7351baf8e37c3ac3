"""Annotates photographs by the engine's own detector, and makes composites of them.

Boxes and points are RetinaFace's, not people's: what it misses counts as background, and a detector
trained on them learns its notion of a box.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from recognition.detect import DetectorSettings, detect
from recognition.evaluate.datasets import DatasetError
from recognition.images import PHOTO_LIMITS, DecodedImage, ImageError, decode
from recognition.packages import write_atomically
from recognition.sampling import ImageSet
from recognition.training.cascade.annotations import AnnotatedFace, AnnotatedImage, Truth, load
from recognition.training.cascade.compositing import (
    Cutout,
    compose,
    cutouts,
    pieces_without_faces,
)
from recognition.types import Pixels

SURE = 0.9
"""Least probability of a face that is to be found; less sure ones are ignored."""
SMALLEST = 20
"""Side, in pixels, of the smallest face that is to be found; smaller ones are ignored."""
_LOOKED_FOR = 12
_PIECES_EACH = 3
_KEPT = 3_000
"""Faces, and pieces without, that composites are made of: so many stay in memory."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Split:
    """Image files to train on, and those of other people to measure on."""

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]


def split_people(people: Mapping[str, Sequence[Path]], share: float) -> Split:
    """Part the people: whose images are held out depends on the person's name alone.

    So nobody moves to the other side when images or people are added. Pictures of one person under
    two names can come to lie on both sides.

    Args:
        share: of the people that is held out, about, 0..1.
    """
    held = {name for name in people if _chance(name) < share}
    train = [path for name in sorted(people) if name not in held for path in people[name]]
    return Split(tuple(train), tuple(path for name in sorted(held) for path in people[name]))


def _chance(name: str) -> float:
    digest = hashlib.sha256(f"held out {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def annotate(
    detector: nn.Module,
    paths: Sequence[Path],
    *,
    device: torch.device,
    progress: Progress = lambda done, total: None,
) -> list[AnnotatedImage]:
    """The faces that the detector finds in each image file.

    Those that it is not sure of, and small ones, are marked as ignored.

    Raises:
        DatasetError: an image cannot be read.
    """
    images = []
    for number, path in enumerate(paths, 1):
        images.append(AnnotatedImage(path, _faces(detector, _decoded(path), device)))
        progress(number, len(paths))
    return images


def _decoded(path: Path) -> DecodedImage:
    try:
        return decode(path.read_bytes(), PHOTO_LIMITS)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    except ImageError as error:
        raise DatasetError(f"{path} cannot be used: {error.message}") from error


def _faces(
    detector: nn.Module, image: DecodedImage, device: torch.device
) -> tuple[AnnotatedFace, ...]:
    with torch.inference_mode():
        found = detect(detector, ImageSet([image.pixels], device), DetectorSettings(_LOOKED_FOR))
    scale = np.array(image.scale)
    boxes = found.boxes.cpu().double().numpy() * np.tile(scale, 2)
    points = (found.points.cpu().double().numpy() + 0.5) * scale - 0.5
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    ignored = (found.scores.cpu().numpy() < SURE) | (sides < SMALLEST)
    rows = zip(boxes.round(2).tolist(), points.round(2).tolist(), ignored.tolist(), strict=True)
    return tuple(
        AnnotatedFace((x1, y1, x2, y2), tuple((x, y) for x, y in five), out)
        for (x1, y1, x2, y2), five, out in rows
        if x2 > x1 and y2 > y1
    )


def make_composites(
    images: Sequence[AnnotatedImage],
    folder: Path,
    count: int,
    *,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> list[AnnotatedImage]:
    """Write composites of annotated images' faces and backgrounds, always the same.

    Args:
        folder: for the pictures, PNG files; made if missing.

    Raises:
        DatasetError: an image cannot be read, or there is no face that can be cut out.
    """
    draw = np.random.default_rng([seed, count])
    order = draw.permutation(len(images))
    faces, pieces = _material((load(images[row]) for row in order.tolist()), draw)
    if not faces:
        raise DatasetError(
            "no face can be cut out of the images: composites need some with room around"
        )
    made = []
    for number in range(count):
        picture, placed = compose(faces, pieces, np.random.default_rng([seed, count, number]))
        path = folder / f"{number:06d}.png"
        write_atomically(path, _png(picture))
        made.append(AnnotatedImage(path, tuple(placed)))
        progress(number + 1, count)
    return made


def _material(
    loaded: Iterable[tuple[Pixels, Truth]], draw: np.random.Generator
) -> tuple[list[Cutout], list[Pixels]]:
    faces: list[Cutout] = []
    pieces: list[Pixels] = []
    for pixels, truth in loaded:
        faces += cutouts(pixels, truth, draw)
        pieces += pieces_without_faces(pixels, truth, draw, _PIECES_EACH)
        if len(faces) >= _KEPT and len(pieces) >= _KEPT:
            break
    return faces[:_KEPT], pieces[:_KEPT]


def _png(picture: Pixels) -> bytes:
    _, content = cv2.imencode(".png", picture[:, :, ::-1])
    return bytes(content.tobytes())
