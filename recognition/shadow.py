"""The new model of a change, tried on walk-ups after they were answered; it decides nothing.

Bounded in cost: a share of the walk-ups, only while no other frame waits, and until enough are
compared. Whatever fails here is logged and forgotten.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from accesscontrol import crypto, shadow_decisions, thresholds
from accesscontrol.gallery import Probe, nearest
from accesscontrol.models import Decision, ModelChange
from accesscontrol.shadow_decisions import Shadow
from recognition.embedders import embed_again
from recognition.following import ModelInUse
from recognition.pipeline import Pipeline
from recognition.scene import Scene
from recognition.tracking import LEAST_WEIGHT, Presentation, Vector
from recognition.types import Face

logger = logging.getLogger(__name__)

MOST_WALK_UPS = 200
"""At a time; the oldest are forgotten first."""
MOST_WAITING = 1
"""Frames: a kiosk's next one, that is. Beyond, walk-ups go without."""
WANTED_FOR_S = 5.0
"""How long it holds whether more comparisons are wanted."""


@dataclass(slots=True)
class _Gathered:
    """One presentation under the new model: the weighted sum of its faces' vectors."""

    total: Vector | None = None
    frames: int = 0
    missed: bool = False
    cost_ms: float = 0.0


@dataclass(slots=True)
class Shadowing:
    """What one worker gathers under the new model.

    rotation: gives the template key's id and the key.
    waiting: how many frames wait.
    answered: scenes that are done with, to be looked at once more.
    """

    model: ModelInUse
    rotation: Callable[[], tuple[str, bytes]]
    waiting: Callable[[], int]
    answered: list[Scene] = field(default_factory=list)
    _gathered: OrderedDict[UUID, _Gathered] = field(default_factory=OrderedDict)
    _change: int | None = None
    _wanted: bool = False
    _asked: float = 0.0

    def look(self) -> None:
        """Embed what the answered scenes show by the new model, too; compare what was decided."""
        scenes, self.answered = self.answered, []
        try:
            change = self._change_to_try()
            pipeline = self.model.pipeline_of(change.new) if change else None
            if change is None or pipeline is None:
                return
            for scene in scenes:
                self._gather(pipeline, scene, change)
                for decision in scene.decided:
                    self._compare(change, decision)
        except Exception:  # it must not touch what recognises
            logger.exception("the new model could not be tried on a walk-up")
            self._gathered.clear()

    def _change_to_try(self) -> ModelChange | None:
        change = self.model.change
        if change is None or change.stage != ModelChange.Stage.PREPARING:
            self._gathered.clear()
            return None
        if change.pk != self._change or time.monotonic() - self._asked > WANTED_FOR_S:
            self._change, self._asked = change.pk, time.monotonic()
            self._wanted = shadow_decisions.is_wanted(change)
        return change if self._wanted and self.model.has(change.new) else None

    def _gather(self, pipeline: Pipeline, scene: Scene, change: ModelChange) -> None:
        if scene.frame is None or scene.result is None:
            return
        seen = [
            (self._of(p.id), p, face)
            for p in scene.tracks.present
            if p.id.int % 100 < change.shadow_percent
            and p.received_ms == scene.frame.received_ms
            and (not p.settled or p.id in {one.presentation for one in scene.decided})
            and (face := _face_of(p, scene.result.faces)) is not None
        ]
        seen = [(known, p, face) for known, p, face in seen if _adds(known, p)]
        if not seen:
            return
        if self.waiting() > MOST_WAITING:  # others come first
            for known, _, _ in seen:
                known.missed = True
            return
        begun = time.perf_counter()
        faces = [face for _, _, face in seen]
        vectors = embed_again(pipeline.embedding, scene.frame.image, faces)
        cost_ms = 1000 * (time.perf_counter() - begun) / len(seen)
        for (known, _, face), vector in zip(seen, vectors, strict=True):
            quality = face.quality.score if face.quality else 0.0
            weighted = vector * np.float32(max(quality, LEAST_WEIGHT))
            known.total = weighted if known.total is None else known.total + weighted
            known.frames += 1
            known.cost_ms += cost_ms

    def _of(self, presentation: UUID) -> _Gathered:
        known = self._gathered.setdefault(presentation, _Gathered())
        while len(self._gathered) > MOST_WALK_UPS:
            self._gathered.popitem(last=False)
        return known

    def _compare(self, change: ModelChange, decision: Decision) -> None:
        known = self._gathered.pop(decision.presentation, None)
        # Only what rests on the same faces can be compared.
        if known is None or known.missed or known.total is None or known.frames != decision.frames:
            return
        row = thresholds.in_force(decision.site_id, change.new_id)
        length = float(np.linalg.norm(known.total))
        if row is None or not length > 1e-6:
            return
        rotation_id, key = self.rotation()
        begun = time.perf_counter()
        probe = Probe(decision.site_id, crypto.rotate(known.total / np.float32(length), key))
        (candidates,) = nearest([probe], change.new, rotation_id)
        cost_ms = known.cost_ms + 1000 * (time.perf_counter() - begun)
        shadow_decisions.record(change, decision, row, Shadow(candidates, known.frames, cost_ms))


def _adds(known: _Gathered, presentation: Presentation) -> bool:
    """Whether this frame's face is evidence; a walk-up of which one was missed is given up."""
    if presentation.frames > known.frames + 1:
        known.missed = True
    return not known.missed and presentation.frames == known.frames + 1


def _face_of(presentation: Presentation, faces: Sequence[Face]) -> Face | None:
    """The face that the presentation was last seen as."""
    return next((face for face in faces if np.array_equal(face.box, presentation.box)), None)
