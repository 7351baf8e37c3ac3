"""Scenes of several people at one kiosk, composed of clips that show one person each.

Who is where is then known in every frame: each person is a strip cut from their own clip, from
above the head down, put before a plain wall and moved. Whoever stands in front hides the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.pad_data import CLIPS
from recognition.types import Floats, FrameResult, Pixels

WIDTH, HEIGHT = 640, 480
FRAMES_PER_S = 10
"""What a kiosk sends at most."""
SCENE_FRAMES = 30
GAP_FRAMES = 25
"""Of nobody, between two people who come one after the other."""
_WALL = (186, 188, 190)
_STRIP_WIDTHS = 3.4  # of a face: head and shoulders
_HIDING_WIDTHS = 1.2  # of a face: nearer behind a strip's middle no detector finds another face
_ABOVE_HEIGHTS = 0.8  # of a face, over its box: the hair
_TURN = np.pi


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One person in front of a kiosk, ten frames a second, and where their face is.

    box: (4,) x1, y1, x2, y2, the median over the frames.
    """

    person: str
    name: str
    frames: Sequence[Pixels]
    box: Floats

    @property
    def face_width(self) -> float:
        return float(self.box[2] - self.box[0])


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a person's face is in a frame, if they are in it: the box's centre and width.

    covered: whether somebody stands before it.
    """

    person: str
    x: float
    y: float
    width: float
    covered: bool = False


@dataclass(frozen=True, slots=True)
class ComposedFrame:
    """A picture and who is in it, those in front last."""

    pixels: Pixels
    standing: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Composed:
    """A scene: what kind, and of whom."""

    kind: str
    clips: tuple[Clip, ...]

    @property
    def name(self) -> str:
        return f"{self.kind}: {', '.join(clip.name for clip in self.clips)}"

    def frames(self) -> Iterator[ComposedFrame]:
        """Its frames, composed as they are asked for."""
        return KINDS[self.kind].frames(self.clips)


@dataclass(frozen=True, slots=True)
class Kind:
    """How many people a kind of scene needs, and how it is composed."""

    people: int
    frames: Callable[[Sequence[Clip]], Iterator[ComposedFrame]]


def clip_frames(path: Path) -> list[Pixels]:
    """Ten frames for each second of a clip. Raises DatasetError if there are none."""
    video = cv2.VideoCapture(str(path))
    frames: list[Pixels] = []
    try:
        step = max(1, round((video.get(cv2.CAP_PROP_FPS) or 30) / FRAMES_PER_S))
        number = 0
        while video.grab():
            if number % step == 0:
                read, frame = video.retrieve()
                if read:
                    frames.append(np.ascontiguousarray(frame[:, :, ::-1]))
            number += 1
    finally:
        video.release()
    if not frames:
        raise DatasetError(f"{path} cannot be read as a clip")
    return frames


def clip_of(path: Path, frames: Sequence[Pixels], results: Sequence[FrameResult]) -> Clip | None:
    """The clip with its person's face, the largest; None if no frame shows any."""
    boxes = [result.faces[0].box for result in results if result.faces]
    if not boxes:
        return None
    name = f"{path.parent.name}/{path.stem}"
    return Clip(path.parent.name, name, frames, np.median(np.stack(boxes), axis=0))


def clips_by_person(folder: Path) -> dict[str, list[Path]]:
    """The clips of `folder/PERSON/`, sorted. Raises DatasetError unless there are two people."""
    people = {
        entry.name: sorted(p for p in entry.iterdir() if p.suffix.lower() in CLIPS)
        for entry in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if entry.is_dir()
    }
    people = {person: paths for person, paths in people.items() if paths}
    if len(people) < 2:
        raise DatasetError(
            f"{folder}: a subfolder with clips for each person is expected, of two or more people"
        )
    return people


def scenes(clips: Sequence[Clip], each: int, seed: int = 0) -> list[Composed]:
    """Every clip alone, and `each` scenes of every other kind; the same for the same seed."""
    dice = np.random.default_rng(seed)
    people = sorted({clip.person for clip in clips})
    made = [Composed("alone", (clip,)) for clip in clips]
    for kind, recipe in KINDS.items():
        if recipe.people == 1 or recipe.people > len(people):
            continue
        for _ in range(each):
            chosen = dice.permutation(people)[: recipe.people]
            own = [[clip for clip in clips if clip.person == person] for person in chosen]
            picked = tuple(some[int(dice.integers(len(some)))] for some in own)
            made.append(Composed(kind, picked))
    return made


def _alone(clips: Sequence[Clip]) -> Iterator[ComposedFrame]:
    (clip,) = clips
    return _as_filmed(clip)


def _as_filmed(clip: Clip) -> Iterator[ComposedFrame]:
    x, y = (clip.box[:2] + clip.box[2:]) / 2
    for pixels in clip.frames:
        yield ComposedFrame(pixels, (Standing(clip.person, float(x), float(y), clip.face_width),))


def _taking_over(clips: Sequence[Clip]) -> Iterator[ComposedFrame]:
    """The second stands where the first stood, from one frame to the next."""
    for clip in clips:
        yield from _as_filmed(clip)


def _one_after_the_other(clips: Sequence[Clip]) -> Iterator[ComposedFrame]:
    first, second = clips
    yield from _as_filmed(first)
    for _ in range(GAP_FRAMES):
        yield ComposedFrame(_wall(), ())
    yield from _as_filmed(second)


def _side_by_side(clips: Sequence[Clip]) -> Iterator[ComposedFrame]:
    share = WIDTH / len(clips)
    return _moving(clips, [_still(share * (number + 0.5)) for number in range(len(clips))])


def _crossing(clips: Sequence[Clip]) -> Iterator[ComposedFrame]:
    return _moving(clips, [_between(100, 540), _between(540, 100)])


def _crossing_a_third(clips: Sequence[Clip]) -> Iterator[ComposedFrame]:
    return _moving(clips, [_still(320), _between(100, 540), _between(540, 100)])


def _one_behind_the_other(clips: Sequence[Clip]) -> Iterator[ComposedFrame]:
    """One stands, another steps before them, stays a second and walks on."""

    def passing(time: float) -> float:
        if time < 0.35:
            return 560 - 240 * time / 0.35
        return 320.0 if time < 0.65 else 320 - 240 * (time - 0.65) / 0.35

    return _moving(clips, [_still(320), passing])


def _turning_back(clips: Sequence[Clip]) -> Iterator[ComposedFrame]:
    """Two meet in the middle, where one hides the other, and go back where they came from."""
    return _moving(
        clips,
        [
            lambda t: 110 + 210 * float(np.sin(_TURN * t)),
            lambda t: 530 - 210 * float(np.sin(_TURN * t)),
        ],
    )


Way = Callable[[float], float]


def _still(x: float) -> Way:
    return lambda _time: x


def _between(start: float, end: float) -> Way:
    return lambda time: start + (end - start) * time


def _moving(clips: Sequence[Clip], paths: Sequence[Way]) -> Iterator[ComposedFrame]:
    """The people along their paths (x of the face's centre at a time of 0..1), last in front."""
    strips = [list(islice(cycle(_to_and_fro(clip.frames)), SCENE_FRAMES)) for clip in clips]
    for number in range(SCENE_FRAMES):
        canvas = _wall()
        standing: list[Standing] = []
        for clip, frames, path in zip(clips, strips, paths, strict=True):
            x = path(number / (SCENE_FRAMES - 1))
            _put(canvas, frames[number], clip, x)
            reach = _HIDING_WIDTHS * clip.face_width
            standing = [
                replace(other, covered=other.covered or abs(other.x - x) < reach)
                for other in standing
            ]
            y = float(clip.box[1] + clip.box[3]) / 2
            standing.append(Standing(clip.person, x, y, clip.face_width))
        yield ComposedFrame(canvas, tuple(standing))


def _to_and_fro(frames: Sequence[Pixels]) -> list[Pixels]:
    return [*frames, *frames[-2:0:-1]]


def _wall() -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), _WALL, np.uint8)


def _put(canvas: Pixels, frame: Pixels, clip: Clip, x: float) -> None:
    """Put the strip with the clip's person on the canvas, the face's centre at x."""
    centre = float(clip.box[0] + clip.box[2]) / 2
    half = _STRIP_WIDTHS * clip.face_width / 2
    top = max(0, int(clip.box[1] - _ABOVE_HEIGHTS * (clip.box[3] - clip.box[1])))
    left, right = max(0, round(centre - half)), min(frame.shape[1], round(centre + half))
    shift = round(x - centre)
    left, right = max(left, -shift), min(right, WIDTH - shift)
    bottom = min(frame.shape[0], HEIGHT)
    if left < right and top < bottom:
        canvas[top:bottom, left + shift : right + shift] = frame[top:bottom, left:right]


KINDS: dict[str, Kind] = {
    "alone": Kind(1, _alone),
    "one after the other": Kind(2, _one_after_the_other),
    "taking over": Kind(2, _taking_over),
    "two side by side": Kind(2, _side_by_side),
    "three side by side": Kind(3, _side_by_side),
    "crossing": Kind(2, _crossing),
    "crossing before a third": Kind(3, _crossing_a_third),
    "one behind the other": Kind(2, _one_behind_the_other),
    "meeting and turning back": Kind(2, _turning_back),
}
