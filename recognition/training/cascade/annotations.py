"""Images with their faces' boxes and points, as detectors are trained and measured on them.

Boxes are measured from the image's corner (pixel i reaches from i to i + 1), points are in image
coordinates, where pixel i lies at i: as the detectors give them.

The format is JSON lines, one image each:

    {"image": "a/b.jpg", "complete": true, "faces": [
        {"box": [x1, y1, x2, y2], "points": [[x, y], ... five], "ignored": false}]}

`image` is relative to the folder of the file, or absolute. `points` (left eye in the image, right
eye, nose tip, left and right corner of the mouth) may be null or missing. `ignored` marks what is
neither a face to be found nor background: too small, too unclear. `complete` says that every face
of the image is in the list; where it is false nothing of the image may be taken for background.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognition.evaluate.datasets import DatasetError
from recognition.images import PHOTO_LIMITS, ImageError, decode
from recognition.packages import write_atomically
from recognition.types import Pixels

Array = NDArray[np.float64]
Box = tuple[float, float, float, float]
Points = tuple[tuple[float, float], ...]

_LARGEST = 1e6
"""No image is as wide: a coordinate beyond it is no coordinate."""


@dataclass(frozen=True, slots=True)
class AnnotatedFace:
    """box: x1, y1, x2, y2. points: five (x, y), or None. ignored: neither face nor background."""

    box: Box
    points: Points | None = None
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image file and its faces; complete: whether those are all of them."""

    path: Path
    faces: tuple[AnnotatedFace, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """An image's faces as arrays.

    boxes: (M, 4). points: (M, 5, 2), NaN where they are not known. ignored: (M,).
    """

    boxes: Array
    points: Array
    ignored: NDArray[np.bool_]
    complete: bool

    @classmethod
    def of(cls, image: AnnotatedImage) -> Truth:
        """The faces of an annotated image."""
        unknown = ((math.nan, math.nan),) * 5
        faces = image.faces
        return cls(
            np.array([face.box for face in faces], np.float64).reshape(-1, 4),
            np.array([face.points or unknown for face in faces], np.float64).reshape(-1, 5, 2),
            np.array([face.ignored for face in faces], np.bool_),
            image.complete,
        )


def face(box: Sequence[Any], points: Sequence[Any] | None, *, ignored: bool) -> AnnotatedFace:
    """A face whose numbers are such that one can work with them.

    Raises:
        ValueError: says what is wrong with them.
    """
    sides = _numbers(box, 4, "a box needs four numbers")
    if not (sides[2] > sides[0] and sides[3] > sides[1]):
        raise ValueError(f"the box {list(sides)} has no area: it is x1, y1, x2, y2")
    if points is None:
        return AnnotatedFace((sides[0], sides[1], sides[2], sides[3]), None, ignored)
    if not isinstance(points, list | tuple) or len(points) != 5:
        raise ValueError("a face has five points, or none")
    pairs = [_numbers(point, 2, "a point needs two numbers") for point in points]
    placed = tuple((pair[0], pair[1]) for pair in pairs)
    return AnnotatedFace((sides[0], sides[1], sides[2], sides[3]), placed, ignored)


def _numbers(values: Any, count: int, message: str) -> tuple[float, ...]:
    numeric = isinstance(values, list | tuple) and len(values) == count
    if not numeric or not all(_is_number(value) for value in values):
        raise ValueError(f"{message} below {_LARGEST:g}, and not {str(values)[:80]!r}")
    return tuple(float(value) for value in values)


def _is_number(value: Any) -> bool:
    # Comparing also refuses NaN, and integers too long for a float.
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST


def read_annotations(file: Path) -> list[AnnotatedImage]:
    """Read the format above.

    Raises:
        DatasetError: names the line and what is wrong with it; also for a file without images and
            for an image that comes twice.
    """
    images: list[AnnotatedImage] = []
    seen: set[Path] = set()
    for number, line in text_lines(file):
        image = _parsed(file, number, line)
        if image.path in seen:
            raise DatasetError(f"{file}, line {number}: {image.path} was annotated before")
        seen.add(image.path)
        images.append(image)
    if not images:
        raise DatasetError(f"{file} has no annotated images")
    return images


def text_lines(file: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1.

    Raises:
        DatasetError: it cannot be read, or is no text.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} cannot be read: {error}") from error
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _parsed(file: Path, number: int, line: str) -> AnnotatedImage:
    try:
        return _image(json.loads(line), file.parent)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{file}, line {number}: {error}") from error


def _image(entry: Any, folder: Path) -> AnnotatedImage:
    """All that can be wrong with it is a ValueError."""
    _only(entry, {"image", "faces"}, {"complete"})
    name, faces = entry["image"], entry["faces"]
    if not isinstance(faces, list):
        raise ValueError("`faces` is a list")  # noqa: TRY004
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError("`image` is the path of an image file")
    complete = _flag(entry, "complete", default=True)
    return AnnotatedImage(folder / name, tuple(map(_face, faces)), complete)


def _face(entry: Any) -> AnnotatedFace:
    _only(entry, {"box"}, {"points", "ignored"})
    ignored = _flag(entry, "ignored", default=False)
    return face(entry["box"], entry.get("points"), ignored=ignored)


def _only(entry: Any, needed: set[str], possible: set[str]) -> None:
    if not isinstance(entry, dict):
        raise ValueError("expected an object: {...}")  # noqa: TRY004
    missing, unknown = needed - entry.keys(), entry.keys() - needed - possible
    if missing or unknown:
        raise ValueError(
            f"an object here has {sorted(needed)} and may have {sorted(possible)}; "
            f"missing: {sorted(missing)}, unknown: {sorted(unknown)[:5]}"
        )


def _flag(entry: dict[str, Any], name: str, *, default: bool) -> bool:
    value = entry.get(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` is true or false")  # noqa: TRY004
    return value


def write_annotations(file: Path, images: Iterable[AnnotatedImage]) -> None:
    """Write the format above; paths become relative to the file's folder."""
    lines = []
    for image in images:
        entry = {
            "image": relpath(image.path.resolve(), file.parent.resolve()),
            "complete": image.complete,
            "faces": [asdict(one) for one in image.faces],
        }
        lines.append(json.dumps(entry, allow_nan=False) + "\n")
    write_atomically(file, "".join(lines).encode())


def load(image: AnnotatedImage) -> tuple[Pixels, Truth]:
    """The image's pixels (H, W, 3), and its faces in their coordinates.

    A photo beyond the limits of the engine comes out reduced, and its faces with it.

    Raises:
        DatasetError: the image cannot be read, or a face lies outside it.
    """
    try:
        decoded = decode(image.path.read_bytes(), PHOTO_LIMITS)
    except OSError as error:
        raise DatasetError(f"{image.path} cannot be read: {error}") from error
    except ImageError as error:
        raise DatasetError(f"{image.path} cannot be used: {error.message}") from error
    truth = Truth.of(image)
    size = np.array([decoded.width, decoded.height])
    if (truth.boxes[:, :2] >= size).any() or (truth.boxes[:, 2:] <= 0).any():
        width, height = size.tolist()
        raise DatasetError(
            f"{image.path}: a face lies outside the image of {width} x {height} pixels; "
            "are the annotations another image's?"
        )
    scale = np.array(decoded.scale)
    truth = Truth(
        truth.boxes / np.tile(scale, 2),
        (truth.points + 0.5) / scale - 0.5,
        truth.ignored,
        truth.complete,
    )
    return decoded.pixels, truth


def fingerprint(images: Sequence[AnnotatedImage]) -> str:
    """SHA-256 of the annotations and of the images' files: it changes when anything does."""
    digest = hashlib.sha256()
    for image in images:
        try:
            content = hashlib.sha256(image.path.read_bytes()).hexdigest()
        except OSError as error:
            raise DatasetError(f"{image.path} cannot be read: {error}") from error
        faces = [asdict(one) for one in image.faces]
        digest.update(json.dumps([content, image.complete, faces]).encode())
    return digest.hexdigest()
