"""Scores image files and clips by every presentation-attack model that is installed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.embeddings import Progress, subject
from recognition.evaluate.pad import Shown, weight_of
from recognition.images import PHOTO_LIMITS, ImageError, decode
from recognition.minifasnet import attack_scores as pair_scores
from recognition.pad import tree_scores
from recognition.pad_threshold import pad_threshold
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.types import Face, Pixels
from recognition.weights import published

CLIP_FRAMES = 30
CLIPS = (".mp4", ".mkv", ".avi", ".mov", ".webm")
Entry = tuple[Shown, float, float]  # the image, its score, its weight in a mean


@dataclass(slots=True)
class Scored:
    """entries by model name; missed are the images without a face that could be scored."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    missed: list[Path] = field(default_factory=list)


def score_files(
    pipeline: Pipeline, shown: Sequence[Shown], *, smallest_face: int, progress: Progress
) -> Scored:
    """Score the subject of each image by each model."""
    scored = Scored({name: [] for name in model_names(pipeline)})
    for number, image in enumerate(shown, 1):
        found = _scores(pipeline, _pixels(image.path), smallest_face)
        if found is None:
            scored.missed.append(image.path)
        else:
            scores, weight = found
            for name, score in scores.items():
                scored.entries[name].append((image, score, weight))
        progress(number, len(shown))
    return scored


def model_names(pipeline: Pipeline) -> list[str]:
    """The models that can score, the one that decisions use first."""
    return ["minifasnet", "antispoofing"] if pipeline.pair else ["antispoofing"]


def score_clips(pipeline: Pipeline, folder: Path, *, smallest_face: int) -> list[dict[str, Any]]:
    """What each clip of `live/` and `spoof/` is taken for, all its frames together.

    Raises:
        DatasetError: no clips there.
    """
    paths = [
        (kind, path)
        for kind in ("live", "spoof")
        for path in sorted((folder / kind).glob("*"))
        if path.suffix.lower() in CLIPS
    ]
    if not paths:
        raise DatasetError(f"{folder} has no clips in live/ and spoof/")
    return [
        {"clip": f"{kind}/{path.name}", **_clip(pipeline, path, smallest_face)}
        for kind, path in paths
    ]


def _clip(pipeline: Pipeline, path: Path, smallest_face: int) -> dict[str, Any]:
    found = [_scores(pipeline, pixels, smallest_face) for pixels in _frames(path)]
    faces = [entry for entry in found if entry is not None]
    weights = [weight for _, weight in faces]
    figures: dict[str, Any] = {"frames": len(found), "scored": len(faces)}
    for name in model_names(pipeline) if faces else ():
        scores = [scores[name] for scores, _ in faces]
        mean = float(np.average(scores, weights=weights))
        threshold = pad_threshold(published(name).info)
        figures[name] = {
            "score": mean,
            "lowest": min(scores),
            "highest": max(scores),
            "taken_for": None if threshold is None else ("attack" if mean >= threshold else "live"),
        }
    return figures


def _frames(path: Path) -> Iterator[Pixels]:
    """Some CLIP_FRAMES frames of a clip, evenly spread."""
    video = cv2.VideoCapture(str(path))
    try:
        step = max(1, int(video.get(cv2.CAP_PROP_FRAME_COUNT)) // CLIP_FRAMES)
        number = 0
        while video.grab():
            if number % step == 0:
                read, frame = video.retrieve()
                if read:
                    yield np.ascontiguousarray(frame[:, :, ::-1])
            number += 1
    finally:
        video.release()
    if number == 0:
        raise DatasetError(f"{path} is no clip that can be read")


def _pixels(path: Path) -> Pixels | None:
    try:
        return decode(path.read_bytes(), PHOTO_LIMITS).pixels
    except ImageError:
        return None


def _scores(
    pipeline: Pipeline, pixels: Pixels | None, smallest_face: int
) -> tuple[dict[str, float], float] | None:
    """Attack scores of an image's subject by model, and its weight; None without a face."""
    if pixels is None:
        return None
    face = subject(pipeline.analyse_pixels([pixels], smallest_face=smallest_face)[0])
    if face is None:
        return None
    scores = _by_model(pipeline, pixels, face)
    if not all(math.isfinite(score) for score in scores.values()):
        return None
    return scores, weight_of(face.quality.score if face.quality else 0.0)


def _by_model(pipeline: Pipeline, pixels: Pixels, face: Face) -> dict[str, float]:
    with torch.inference_mode():
        images = ImageSet([pixels], pipeline.device)
        frame = torch.zeros(1, dtype=torch.int64, device=pipeline.device)
        box = torch.from_numpy(face.box)[None].to(pipeline.device)
        scores = {"antispoofing": tree_scores(pipeline.antispoofing, images, frame, box)}
        if pipeline.pair:
            scores["minifasnet"] = pair_scores(pipeline.pair, images, frame, box)
        return {name: float(score) for name, score in scores.items()}
