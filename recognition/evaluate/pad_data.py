"""What is shown to presentation attack detection: images and clips of faces and of attacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from recognition.evaluate.datasets import SUFFIXES, DatasetError
from recognition.images import PHOTO_LIMITS, ImageError, decode
from recognition.types import Pixels

LIVE = "live"
REPLAY = "video replay"
KINDS = ("print", "phone", "tablet", "laptop", REPLAY)
"""Kinds of attack that a report speaks of even where nothing was shown of them."""
NOT_EVALUATED = "not evaluated"
CLIPS = (".mp4", ".mkv", ".avi", ".mov", ".webm")
CLIP_FRAMES = 30
"""About as many frames of a clip are looked at, evenly spread."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One file to score: whose face it is, and the kind of attack, or LIVE."""

    path: Path
    person: str
    kind: str

    @property
    def is_clip(self) -> bool:
        """Whether it is a clip, which is one presentation; images are frames of their person."""
        return self.path.suffix.lower() in CLIPS


def read_shown(live: Sequence[Path], spoof: Sequence[Path]) -> list[Shown]:
    """Images and clips of `live/PERSON/` and `spoof/KIND/PERSON/`, in counting order.

    A clip that lies in no person's folder is of the person whom its name tells; one that lies in
    no kind's folder is a video replay.

    Raises:
        DatasetError: nothing there.
    """
    shown = [entry for folder in live for entry in _people(folder, LIVE)]
    for folder in spoof:
        kinds = [path for path in _entries(folder) if path.is_dir()]
        loose = [path for path in _entries(folder) if path.suffix.lower() in CLIPS]
        if not kinds and not loose:
            raise DatasetError(
                f"{folder} has no subfolders and no clips: one subfolder for each kind of attack "
                "is expected"
            )
        shown += [Shown(path, path.stem, REPLAY) for path in loose]
        for kind in kinds:
            if kind.name == LIVE:
                raise DatasetError(f"{kind}: a kind of attack cannot be called {LIVE}")
            shown += _people(kind, kind.name)
    return shown


def _people(folder: Path, kind: str) -> list[Shown]:
    shown = []
    for entry in _entries(folder):
        if entry.is_dir():
            files = [p for p in entry.rglob("*") if p.suffix.lower() in (*SUFFIXES, *CLIPS)]
            shown += [Shown(path, entry.name, kind) for path in sorted(files, key=_counting)]
        elif entry.suffix.lower() in CLIPS:
            shown.append(Shown(entry, entry.stem, kind))
    if not shown:
        raise DatasetError(f"{folder} has no subfolders with images or clips, and no clips")
    return shown


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _counting(path: Path) -> list[tuple[int, str]]:
    """Sorts frame 9 before frame 10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in _PARTS.split(str(path))]


_PARTS = re.compile(r"([0-9]+)")


def frames_of(shown: Shown) -> Iterator[tuple[int, Pixels]]:
    """The file's frames that are looked at, with their numbers from 0; none if it is damaged."""
    if shown.is_clip:
        yield from _clip_frames(shown.path)
        return
    try:
        yield 0, decode(shown.path.read_bytes(), PHOTO_LIMITS).pixels
    except ImageError:
        return


def frame_of(shown: Shown, number: int) -> Pixels:
    """One of the frames of `frames_of`, read once more.

    Raises:
        DatasetError: the file has changed in the meantime.
    """
    for found, pixels in frames_of(shown):
        if found == number:
            return pixels
    raise DatasetError(f"{shown.path} has no frame {number} any more")


def _clip_frames(path: Path) -> Iterator[tuple[int, Pixels]]:
    video = cv2.VideoCapture(str(path))
    try:
        step = max(1, int(video.get(cv2.CAP_PROP_FRAME_COUNT)) // CLIP_FRAMES)
        number = 0
        while video.grab():
            if number % step == 0:
                read, frame = video.retrieve()
                if read:
                    yield number, np.ascontiguousarray(frame[:, :, ::-1])
            number += 1
    finally:
        video.release()
