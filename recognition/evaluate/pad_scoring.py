"""Scores images and clips by every presentation-attack model that is installed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recognition.evaluate.embeddings import Progress, subject
from recognition.evaluate.pad import PadScores, weight_of
from recognition.evaluate.pad_data import LIVE, Shown, frames_of
from recognition.minifasnet import attack_scores as pair_scores
from recognition.pad import tree_scores
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.types import Face, Floats, Pixels


@dataclass(frozen=True, slots=True, eq=False)
class ScoredFrame:
    """A frame's subject: its box (4,), attack score by model, and weight in a mean."""

    shown: Shown
    number: int
    box: Floats
    scores: dict[str, float]
    weight: float


@dataclass(slots=True)
class Scored:
    """Scored frames in the order of the files, and of each file how many were looked at."""

    frames: list[ScoredFrame] = field(default_factory=list)
    looked_at: dict[Shown, int] = field(default_factory=dict)

    @property
    def missed(self) -> list[Path]:
        """Files without a face that could be scored."""
        found = {frame.shown for frame in self.frames}
        return [shown.path for shown in self.looked_at if shown not in found]

    def rows(self, model: str) -> PadScores:
        """All frames' scores by one model."""
        return PadScores(
            np.array([frame.scores[model] for frame in self.frames], dtype=np.float64),
            np.array([frame.weight for frame in self.frames], dtype=np.float64),
            tuple(frame.shown.kind for frame in self.frames),
            tuple(frame.shown.person for frame in self.frames),
        )


def score_files(
    pipeline: Pipeline, shown: Sequence[Shown], *, smallest_face: int, progress: Progress
) -> Scored:
    """Score the subject of each image, and of each of a clip's frames, by each model."""
    scored = Scored()
    for done, one in enumerate(shown, 1):
        scored.looked_at[one] = 0
        for number, pixels in frames_of(one):
            scored.looked_at[one] += 1
            face = subject(pipeline.analyse_pixels([pixels], smallest_face=smallest_face)[0])
            if face is None:
                continue
            scores = _by_model(pipeline, pixels, face)
            if all(math.isfinite(score) for score in scores.values()):
                weight = weight_of(face.quality.score if face.quality else 0.0)
                scored.frames.append(ScoredFrame(one, number, face.box, scores, weight))
        progress(done, len(shown))
    return scored


def model_names(pipeline: Pipeline) -> list[str]:
    """The models that can score, the one that decisions use first."""
    return ["minifasnet", "antispoofing"] if pipeline.pair else ["antispoofing"]


def clip_figures(scored: Scored, model: str, threshold: float | None) -> list[dict[str, Any]]:
    """What each clip is taken for, all its frames together; None where nothing can say so."""
    clips = []
    for shown, looked_at in scored.looked_at.items():
        if not shown.is_clip:
            continue
        frames = [frame for frame in scored.frames if frame.shown == shown]
        figures: dict[str, Any] = {
            "clip": f"{shown.path.parent.name}/{shown.path.name}",
            "kind": shown.kind,
            "person": shown.person,
            "frames": looked_at,
            "scored": len(frames),
            "taken_for": None,
        }
        if frames:
            scores = [frame.scores[model] for frame in frames]
            mean = float(np.average(scores, weights=[frame.weight for frame in frames]))
            figures |= {"score": mean, "lowest": min(scores), "highest": max(scores)}
            if threshold is not None:
                figures["taken_for"] = "attack" if mean >= threshold else LIVE
        clips.append(figures)
    return clips


def _by_model(pipeline: Pipeline, pixels: Pixels, face: Face) -> dict[str, float]:
    with torch.inference_mode():
        images = ImageSet([pixels], pipeline.device)
        frame = torch.zeros(1, dtype=torch.int64, device=pipeline.device)
        box = torch.from_numpy(face.box)[None].to(pipeline.device)
        scores = {"antispoofing": tree_scores(pipeline.antispoofing, images, frame, box)}
        if pipeline.pair:
            scores["minifasnet"] = pair_scores(pipeline.pair, images, frame, box)
        return {name: float(score) for name, score in scores.items()}
