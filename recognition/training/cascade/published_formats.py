"""Reads the annotations of WIDER FACE and of CelebA, as their authors publish them.

WIDER FACE (Yang et al., 2016, CVPR), `wider_face_train_bbx_gt.txt` and `..._val_...`: for each
image its path below the folder of images, the number of its faces, and a line for each face:

    x y width height blur expression illumination invalid occlusion pose

An image without faces has a 0 and one line of zeros. Faces whose `invalid` is 1 are ignored. Faces
of no width or height, of which the set has some, are left out. There are no points.

CelebA (Liu et al., 2015, ICCV), `list_bbox_celeba.txt` and `list_landmarks_celeba.txt`, for the
images "in the wild": in each the number of images, a line of names, then a line for each image:

    000001.jpg x_1 y_1 width height
    000001.jpg lefteye_x lefteye_y righteye_x righteye_y nose_x ... rightmouth_x rightmouth_y

Only one face of each image is annotated, whoever else is in it: such images give faces and points,
but no background. `list_landmarks_align_celeba.txt` belongs to other, aligned images.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from recognition.evaluate.datasets import DatasetError
from recognition.training.cascade.annotations import (
    AnnotatedFace,
    AnnotatedImage,
    face,
    text_lines,
)

_WIDER_VALUES = 10
_EYES = ["lefteye_x", "lefteye_y", "righteye_x", "righteye_y"]
_MOUTH = ["leftmouth_x", "leftmouth_y", "rightmouth_x", "rightmouth_y"]
_CELEBA_POINTS = [*_EYES, "nose_x", "nose_y", *_MOUTH]
_CELEBA_BOX = ["x_1", "y_1", "width", "height"]

Lines = list[tuple[int, str]]


def read_wider(file: Path, images: Path) -> list[AnnotatedImage]:
    """Read WIDER FACE's annotations.

    Args:
        images: the folder that its paths begin in (`WIDER_train/images`).

    Raises:
        DatasetError: names the line and what is wrong with it.
    """
    lines = text_lines(file)
    found: list[AnnotatedImage] = []
    at = 0
    while at < len(lines):
        number, name = lines[at]
        path = _below(images, name.strip(), file, number)
        count = _count(file, lines, at + 1)
        rows = lines[at + 2 : at + 2 + max(1, count)]
        if len(rows) < count:
            raise DatasetError(
                f"{file}, line {number}: {count} faces announced, {len(rows)} follow"
            )
        faces = tuple(filter(None, (_wider_face(file, *row) for row in rows[:count])))
        found.append(AnnotatedImage(path, faces))
        # After a 0 comes one line of zeros; a file written without it is read as well.
        zeros = count == 0 and rows and set(rows[0][1].split()) == {"0"}
        at += 2 + (count or int(bool(zeros)))
    if not found:
        raise DatasetError(f"{file} has no annotated images")
    return found


def _count(file: Path, lines: Lines, at: int) -> int:
    """How many faces the line announces."""
    number, text = lines[at] if at < len(lines) else (lines[-1][0] + 1, "")
    if not text.strip().isdecimal() or len(text.strip()) > 6:
        raise DatasetError(
            f"{file}, line {number}: expected the number of faces, not {text[:40]!r}"
        )
    return int(text)


def _wider_face(file: Path, number: int, text: str) -> AnnotatedFace | None:
    values = _integers(text.split(), _WIDER_VALUES, file, number)
    x, y, width, height = values[:4]
    invalid = values[7]
    if invalid not in (0, 1) or width < 0 or height < 0:
        raise DatasetError(
            f"{file}, line {number}: expected `x y width height blur expression illumination "
            f"invalid occlusion pose`, invalid being 0 or 1, not {text[:60]!r}"
        )
    if width == 0 or height == 0:
        return None
    return _checked(file, number, (x, y, x + width, y + height), None, ignored=invalid == 1)


def read_celeba(boxes: Path, landmarks: Path, images: Path) -> list[AnnotatedImage]:
    """Read CelebA's boxes and points.

    Args:
        images: the folder of the images in the wild (`img_celeba`).

    Raises:
        DatasetError: names the line and what is wrong with it; also where the two files are not
            about the same images.
    """
    with_box = _table(boxes, _CELEBA_BOX)
    with_points = _table(landmarks, _CELEBA_POINTS)
    if with_box.keys() != with_points.keys():
        odd = sorted(with_box.keys() ^ with_points.keys())
        raise DatasetError(
            f"{boxes} and {landmarks} list different images: {odd[0]} is in one only"
        )
    found = []
    for name, (number, (x, y, width, height)) in with_box.items():
        line, places = with_points[name]
        path = _below(images, name, boxes, number)
        if width <= 0 or height <= 0:  # as in WIDER FACE, but then nothing of the image is left
            continue
        points = tuple(zip(places[::2], places[1::2], strict=True))
        _checked(landmarks, line, (0, 0, 1, 1), points, ignored=False)
        one = _checked(boxes, number, (x, y, x + width, y + height), points, ignored=False)
        found.append(AnnotatedImage(path, (one,), complete=False))
    if not found:
        raise DatasetError(f"{boxes} has no annotated images")
    return found


def _table(file: Path, columns: list[str]) -> dict[str, tuple[int, list[int]]]:
    """Line number and values by file name."""
    lines = text_lines(file)
    announced = lines[0][1].strip() if lines else ""
    header = lines[1][1].split() if len(lines) > 1 else []
    if not announced.isdecimal() or header[-len(columns) :] != columns:
        raise DatasetError(
            f"{file}: expected the number of images, then a line `{' '.join(columns)}`; is this "
            "the file for the images in the wild?"
        )
    if announced != str(len(lines) - 2):
        raise DatasetError(f"{file} announces {announced[:20]} images, but {len(lines) - 2} follow")
    found: dict[str, tuple[int, list[int]]] = {}
    for number, text in lines[2:]:
        name, *words = text.split()
        if name in found:
            raise DatasetError(f"{file}, line {number}: {name} came before")
        found[name] = number, _integers(words, len(columns), file, number)
    return found


def _integers(words: list[str], count: int, file: Path, number: int) -> list[int]:
    try:
        if len(words) == count:
            return [int(word) for word in words]
    except ValueError:
        pass  # the message below says what is expected
    raise DatasetError(
        f"{file}, line {number}: expected {count} whole numbers, not {' '.join(words)[:60]!r}"
    )


def _below(folder: Path, name: str, file: Path, number: int) -> Path:
    """The image's path; a name that leads elsewhere is refused."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.suffix:
        raise DatasetError(
            f"{file}, line {number}: expected an image's path below {folder}, not {name[:60]!r}"
        )
    return folder / path


def _checked(
    file: Path,
    number: int,
    box: tuple[int, ...],
    points: tuple[tuple[int, int], ...] | None,
    *,
    ignored: bool,
) -> AnnotatedFace:
    try:
        return face(box, points, ignored=ignored)
    except ValueError as error:
        raise DatasetError(f"{file}, line {number}: {error}") from error
