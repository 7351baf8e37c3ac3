"""Eyes for a worker in the networks' place: they see what they are told to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from accesscontrol.frames import FrameOutlet
from accesscontrol.model_versions import ModelFacts
from recognition.pipeline import Pipeline
from recognition.types import Face, FrameResult, ModelInfo, Quality
from recognition.worker import Recogniser
from tests.enrolled import Vector, unit
from tests.factories import CALIBRATION, DIMENSION

ANNA = unit(1)
MODEL = ModelInfo("eyes", "1", "e" * 64, "MIT", DIMENSION)


def quality(score: float) -> Quality:
    return Quality(
        eye_distance=40, size=40, sharpness=0.2, brightness=0.5, contrast=0.2, clipped=0, yaw=0,
        pitch=0, roll=0, misfit=0, evenness=1, certainty=1, components={}, score=score,
        shortfall=None,
    )  # fmt: skip


def face(embedding: Vector | None = ANNA, **fields: Any) -> Face:
    box = np.array([200, 120, 300, 240], np.float32)
    points = np.zeros((5, 2), np.float32)
    return Face(
        **{
            "box": box,
            "points": points,
            "score": 0.999,
            "quality": quality(0.8),
            "embedding": embedding,
            **fields,
        }
    )


@dataclass
class Eyes:
    """What a worker sees with: a face in every frame, unless the fault has it otherwise."""

    sees: Callable[[int], Sequence[Face]] = lambda _number: [face()]
    before: Callable[[int], object] = lambda _number: None
    """Called at every look, before it."""
    looks: int = 0
    model: ModelInfo = MODEL
    pad_model: ModelInfo = MODEL

    def analyse(self, images: Sequence[bytes], **_: object) -> list[FrameResult]:
        self.before(self.looks)
        found = FrameResult(640, 480, tuple(self.sees(self.looks)))
        self.looks += 1
        return [found for _ in images]

    def recogniser(self, outlet: FrameOutlet) -> Recogniser:
        """A worker that sees with them."""
        facts = ModelFacts(MODEL.name, MODEL.version, MODEL.sha256, DIMENSION, "MIT", CALIBRATION)
        return Recogniser(cast(Pipeline, self), outlet, facts)
