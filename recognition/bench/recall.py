"""In which share of images a system finds the person whom they show.

Nobody has marked the faces by hand, so the rule is about where they must be. The subject of an
image counts as found if one of the boxes, doubled about its own centre, contains the subject's
place (boxes of different systems frame a face more or less tightly). The place is

- in a folder of images the image's centre: portraits and webcam pictures show their person there;
- in a clip, whose camera stands still, the median of the centres of the largest faces that all
  systems found in all of its frames, each with one vote;
- in a single portrait the same median, of that image alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from recognition.bench.contest import Box, Candidate, Progress, System
from recognition.bench.frames import BenchError
from recognition.evaluate.datasets import SUFFIXES
from recognition.images import FRAME_LIMITS, PHOTO_LIMITS, ImageError, decode

CLIPS = (".mp4", ".mkv", ".avi", ".mov", ".webm")

Point = tuple[float, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Group:
    """Images that show one subject at one place.

    images: gives them anew each time it is called.
    count: how many there are.
    centred: whether the place is each image's centre.
    """

    images: Callable[[], Iterator[Candidate]]
    count: int
    centred: bool


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images of one kind, named for the report."""

    name: str
    groups: tuple[Group, ...]

    @property
    def count(self) -> int:
        """How many images there are."""
        return sum(group.count for group in self.groups)


@dataclass(frozen=True, slots=True)
class Finds:
    """Of one image: where its centre is, and the boxes that each system found."""

    centre: Point
    boxes: Mapping[str, Sequence[Box]]


def image_folder(name: str, folder: Path, sample: int) -> Dataset:
    """At most `sample` of the images below a folder, evenly spread over their sorted paths.

    Raises:
        BenchError: there are none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise BenchError(f"{folder} has no images")
    chosen = spread(paths, sample)
    group = Group(lambda: map(_read, chosen), len(chosen), centred=True)
    return Dataset(name, (group,))


def portraits(name: str, paths: Sequence[Path]) -> Dataset:
    """Portraits whose subject may be anywhere."""
    return Dataset(name, tuple(_portrait(path) for path in paths))


def clip_folder(name: str, folder: Path, sample: int) -> Dataset:
    """About `sample` frames of the clips below a folder, as many of each, evenly spread.

    Raises:
        BenchError: there are none, or one cannot be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in CLIPS)
    if not paths:
        raise BenchError(f"{folder} has no clips ({', '.join(CLIPS)})")
    each = max(1, sample // len(paths))
    return Dataset(name, tuple(_clip(path, each) for path in paths))


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most `most` of the items, evenly spread, always the same."""
    if len(items) <= most:
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]


def find(
    dataset: Dataset, systems: Sequence[System], progress: Progress
) -> Iterator[tuple[Group, list[Finds]]]:
    """Let every system look for faces in every image."""
    done = 0
    for group in dataset.groups:
        finds = []
        for candidate in group.images():
            height, width = candidate.pixels.shape[:2]
            boxes = {}
            for system in systems:
                system.keep("recall", candidate)
                boxes[system.name] = system.run("detect", "recall").boxes
            finds.append(Finds((width / 2, height / 2), boxes))
            done += 1
            progress(done, dataset.count)
        yield group, finds


def recall(groups: Sequence[tuple[Group, Sequence[Finds]]], system: str) -> float:
    """The share of all images in which the system found the subject, 0..1.

    Raises:
        BenchError: there is no image.
    """
    found = [
        place is not None and any(contains(box, place) for box in image.boxes[system])
        for group, finds in groups
        for image, place in zip(finds, _places(group, finds), strict=True)
    ]
    if not found:
        raise BenchError("there is no image to find a face in")
    return round(sum(found) / len(found), 5)


def contains(box: Box, place: Point) -> bool:
    """Whether the box, doubled about its centre, contains the place."""
    x1, y1, x2, y2 = box
    across, down = (x2 - x1) / 2, (y2 - y1) / 2
    return x1 - across <= place[0] <= x2 + across and y1 - down <= place[1] <= y2 + down


def _places(group: Group, finds: Sequence[Finds]) -> list[Point | None]:
    """Where the subject is in each image; None in a group where nobody found anything."""
    if group.centred:
        return [image.centre for image in finds]
    centres = [
        _centre(max(boxes, key=_area)) for image in finds for boxes in image.boxes.values() if boxes
    ]
    if not centres:
        return [None] * len(finds)
    place = statistics.median(x for x, _ in centres), statistics.median(y for _, y in centres)
    return [place] * len(finds)


def _centre(box: Box) -> Point:
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2


def _area(box: Box) -> float:
    x1, y1, x2, y2 = box
    return (x2 - x1) * (y2 - y1)


def _portrait(path: Path) -> Group:
    return Group(lambda: iter((_read(path),)), 1, centred=False)


def _read(path: Path) -> Candidate:
    """An image file; its bytes are kept where a kiosk could have sent them."""
    data = path.read_bytes()
    try:
        decoded = decode(data, PHOTO_LIMITS)
    except ImageError as error:
        raise BenchError(f"{path} cannot be used: {error.message}") from error
    sendable = data[:2] == b"\xff\xd8" and len(data) <= FRAME_LIMITS.max_bytes
    return Candidate(decoded.pixels, data if sendable else None)


def _clip(path: Path, frames: int) -> Group:
    count = sum(1 for _ in _frames(path))
    if count == 0:
        raise BenchError(f"{path} is no clip that can be read")
    chosen = frozenset(spread(range(count), frames))

    def images() -> Iterator[Candidate]:
        for number, video in enumerate(_frames(path)):
            if number in chosen:
                read, frame = video.retrieve()
                if not read:
                    raise BenchError(f"{path}: frame {number} cannot be read")
                yield Candidate(np.ascontiguousarray(frame[:, :, ::-1]))

    return Group(images, len(chosen), centred=False)


def _frames(path: Path) -> Iterator[cv2.VideoCapture]:
    """The opened clip at each of its frames in turn. What its header says of their number lies."""
    video = cv2.VideoCapture(str(path))
    try:
        while video.grab():
            yield video
    finally:
        video.release()
