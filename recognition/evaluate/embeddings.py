"""Embeds many image files, one face each, with progress on stderr."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recognition.images import PHOTO_LIMITS
from recognition.pipeline import Pipeline
from recognition.types import Face, Floats, FrameResult, Quality

BATCH = 8

Progress = Callable[[int, int], None]  # done, of how many


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """embeddings and qualities by file; missed are the files without a face that could be
    embedded."""

    embeddings: dict[Path, Floats]
    missed: tuple[Path, ...]
    qualities: dict[Path, Quality] = field(default_factory=dict)


def embed_files(
    pipeline: Pipeline, paths: Sequence[Path], *, smallest_face: int, progress: Progress
) -> Embedded:
    """Embed the subject of each file; see `subject`."""
    embeddings: dict[Path, Floats] = {}
    qualities: dict[Path, Quality] = {}
    missed: list[Path] = []
    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        contents = [path.read_bytes() for path in batch]
        results = pipeline.analyse(contents, smallest_face=smallest_face, limits=PHOTO_LIMITS)
        for path, result in zip(batch, results, strict=True):
            face = subject(result)
            if face is None or face.embedding is None or face.quality is None:
                missed.append(path)
            else:
                embeddings[path], qualities[path] = face.embedding, face.quality
        progress(start + len(batch), len(paths))
    return Embedded(embeddings, tuple(missed), qualities)


def subject(result: FrameResult) -> Face | None:
    """The face that a portrait is of: large and central.

    The one with the greatest area less twice the squared distance of its centre from the
    image's, the usual rule for LFW; None where there is no face.
    """
    if not result.faces:
        return None
    centre = np.array([result.width, result.height]) / 2

    def prominence(face: Face) -> float:
        x1, y1, x2, y2 = (float(side) for side in face.box)
        offset = np.array([x1 + x2, y1 + y2]) / 2 - centre
        return (x2 - x1) * (y2 - y1) - 2 * float(offset @ offset)

    return max(result.faces, key=prominence)
