"""What the commands that look at pictures share: reading files, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from recognition.commands.terminal import say
from recognition.evaluate.datasets import SUFFIXES, DatasetError
from recognition.images import PHOTO_LIMITS
from recognition.pipeline import Pipeline
from recognition.portraits import ADVICE, flaw_of
from recognition.quality import SUFFICIENT
from recognition.types import Face, FrameResult

SOME_FAILED = 1
"""Exit status where some of the files could not be read."""
_BATCH = 8


def look(
    pipeline: Pipeline, paths: Sequence[Path], smallest_face: int, *, with_pad: bool = False
) -> Iterator[tuple[Path, FrameResult]]:
    """What each file shows, in their order; one that cannot be read has an `error`."""
    rest = iter(paths)
    # Attack scores take long: then each file is told of as soon as it is done.
    while batch := list(islice(rest, 1 if with_pad else _BATCH)):
        contents = [_contents(path) for path in batch]
        found = iter(
            pipeline.analyse(
                [data for data in contents if isinstance(data, bytes)],
                smallest_face=smallest_face,
                with_pad=with_pad,
                limits=PHOTO_LIMITS,
            )
        )
        for path, data in zip(batch, contents, strict=True):
            yield path, next(found) if isinstance(data, bytes) else data


def _contents(path: Path) -> bytes | FrameResult:
    try:
        with path.open("rb") as file:
            return file.read(PHOTO_LIMITS.max_bytes + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return FrameResult(0, 0, error=f"The file cannot be read: {reason}.")


def image_files(given: Sequence[Path]) -> list[Path]:
    """The files given, and the images below the folders given, in sorted order; each once.

    Raises:
        DatasetError: a folder has no images.
    """
    files: dict[Path, Path] = {}
    for path in given:
        found = [path]
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not found:
                raise DatasetError(f"{path} has no images")
        files.update({one.resolve(): one for one in found if one.resolve() not in files})
    return list(files.values())


def tell_failures(failed: int, of: int) -> int:
    """Say how many files could not be read, on stderr: the exit status."""
    if failed:
        say(f"{failed} of {of} images could not be read")
    return SOME_FAILED if failed else 0


def advice(face: Face) -> str:
    """What to do about a face that says less than it could; empty if nothing needs to be said."""
    flaw = flaw_of(face, SUFFICIENT)
    return ADVICE[flaw] if flaw else ""


def box(face: Face) -> list[float]:
    """x1, y1, x2, y2 in pixels of the upright image, to a tenth."""
    return [round(float(side), 1) for side in face.box]


def quality(face: Face) -> float | None:
    """The quality score for a JSON object, 0..1."""
    return round(face.quality.score, 4) if face.quality else None
