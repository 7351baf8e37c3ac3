"""Presentations: linking the faces of one kiosk's consecutive frames (numpy only, pure).

A face belongs to a presentation that it looks like, where that one is expected or near it
(`placing`). Looking unlike in somebody's place is first taken for an occlusion, a hand before the
face, and adds no evidence; if it stays so, it is somebody else and starts a presentation of its
own, while the other one may still turn up again: evidence of two people is never mixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from recognition import challenge, trail
from recognition.challenge import Challenge, Look
from recognition.placing import Likeness, hidden, place
from recognition.trail import Glimpse

Vector = NDArray[np.float32]

OCCLUDED_FRAMES = 4
"""Frames in a row that may look unlike before it is taken for another person."""
GONE_AFTER_MS = 1_500
LONGEST_HIDDEN_MS = 5_000
"""For how long somebody may stand behind another face and still be the same presentation."""
LEAST_WEIGHT = 0.05
GOOD_QUALITY = 0.6
"""From here on a face counts in full: what portraits in the light of an office reach."""


class Pose(NamedTuple):
    """Of a head, as in `types.Quality`: degrees, and how little the points look like a head's."""

    yaw: float
    pitch: float
    misfit: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face of one frame: box (4,) x1, y1, x2, y2 in pixels, unit embedding (D,) float32,
    quality and presentation-attack score between 0 and 1."""

    box: Vector
    embedding: Vector
    quality: float
    pad: float | None = None
    """None where it was not scored; no number where it could not be."""
    shortfall: str = ""
    """What the face lacks most, if anything much."""
    share: float = 0.0
    """The box's width as a share of the picture's, 0..1."""
    pose: Pose | None = None
    """How the head is held; None where nobody measured it."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """One person's walk-up so far. Times are milliseconds since 1970 UTC."""

    id: UUID
    box: Vector
    total: Vector
    """Sum of the embeddings, each weighted by its quality, (D,) float32."""
    last: Vector
    """Embedding of the last face that the sum is of, (D,) float32."""
    frames: int
    """Faces that the sum is of."""
    best_quality: float
    widest: float
    """Pixels."""
    first_captured_ms: int
    captured_ms: int
    first_received_ms: int
    received_ms: int
    sequence: int
    """Of the last frame it was seen in."""
    unlike: int = 0
    """Frames in a row in which the face in this place looked unlike."""
    settled: str = ""
    """Outcome of its decision, once it has one."""
    pad_total: float = 0.0
    """Sum of the attack scores, weighted as the embeddings are."""
    pad_weight: float = 0.0
    """Of the faces that the sum is of."""
    pad_frames: int = 0
    """How many they are: fewer than `frames` where some had no score."""
    shortfall: str = ""
    """Of the best face."""
    velocity: Vector = field(default_factory=lambda: np.zeros(2, np.float32))
    """Of the box's centre, pixels a millisecond, (2,) x, y."""
    good_frames: float = 0.0
    """Faces that the sum is of, one in good light counted as 1, a worse one as less."""
    share: float = 0.0
    """The widest box's width as a share of the picture's, 0..1."""
    hidden_ms: int = 0
    """When another face was last before the place where it is expected."""
    trail: tuple[Glimpse, ...] = ()
    """Its faces one by one, for the record."""
    looks: tuple[Look, ...] = ()
    """How the head was held in its last few faces."""
    challenge: Challenge | None = None
    """What the person was asked to do, if anything."""

    @property
    def is_hidden(self) -> bool:
        """Whether it is out of sight behind another face."""
        return self.hidden_ms > self.received_ms

    def is_gone(self, received_ms: int) -> bool:
        """Whether it has been out of sight for too long at this time."""
        if received_ms - self.received_ms > LONGEST_HIDDEN_MS:
            return True
        return received_ms - max(self.received_ms, self.hidden_ms) > GONE_AFTER_MS

    @property
    def probe(self) -> Vector:
        """The quality-weighted mean embedding as a unit vector (D,); zeros if it has no length."""
        norm = float(np.linalg.norm(self.total))
        unit: Vector = self.total / np.float32(norm) if norm > 1e-6 else np.zeros_like(self.total)
        return unit

    @property
    def pad(self) -> float:
        """The weighted mean attack score, 0..1; NaN without any."""
        return self.pad_total / self.pad_weight if self.pad_weight > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Moment:
    """When and as which a frame came."""

    sequence: int
    captured_ms: int
    received_ms: int


@dataclass(frozen=True, slots=True)
class Tracks:
    """A kiosk's presentations after a frame."""

    present: list[Presentation] = field(default_factory=list)
    gone: list[Presentation] = field(default_factory=list)
    """Out of sight for too long: to be closed."""
    seen: list[UUID | None] = field(default_factory=list)
    """For each sighting of the frame, the presentation it was given to; None: occluded."""


def follow(
    presentations: Sequence[Presentation],
    sightings: Sequence[Sighting],
    moment: Moment,
    likeness: Likeness,
) -> Tracks:
    """Give each sighting of a frame to a presentation, old or new, and part with those gone."""
    gone = [p for p in presentations if p.is_gone(moment.received_ms)]
    present = [p for p in presentations if not p.is_gone(moment.received_ms)]
    places = place(present, sightings, moment, likeness)
    for index in hidden(present, sightings, moment):
        if all(given.index != index for given in places.values()):
            present[index] = replace(present[index], hidden_ms=moment.received_ms)
    seen: list[UUID | None] = [None] * len(sightings)
    for face, sighting in enumerate(sightings):
        given = places.get(face)
        if given is not None and given.alike:
            known = _continue(present[given.index], sighting, moment)
            present[given.index] = _posed(known, sighting, moment, likeness)
            seen[face] = present[given.index].id
        elif given is not None and _is_covered(present[given.index], sighting, moment):
            present[given.index] = _cover(present[given.index], sighting, moment)
        else:
            present.append(_posed(_begin(sighting, moment), sighting, moment, likeness))
            seen[face] = present[-1].id
    return Tracks(present, gone, seen)


def all_settled(presentations: Sequence[Presentation], received_ms: int) -> bool:
    """Whether somebody is there at this time, and nobody who is still waits for a decision."""
    there = [p for p in presentations if not p.is_gone(received_ms)]
    return bool(there) and all(p.settled for p in there)


def restart(presentation: Presentation, moment: Moment) -> Presentation:
    """A new presentation of the same person, still there after a refusal, without old evidence."""
    return replace(
        presentation,
        id=uuid4(),
        total=np.zeros_like(presentation.total),
        frames=0,
        best_quality=0.0,
        widest=0.0,
        first_captured_ms=moment.captured_ms,
        first_received_ms=moment.received_ms,
        settled="",
        unlike=0,
        pad_total=0.0,
        pad_weight=0.0,
        pad_frames=0,
        shortfall="",
        good_frames=0.0,
        share=0.0,
        trail=(),
        looks=(),
        challenge=None,
    )


def _is_covered(before: Presentation, sighting: Sighting, moment: Moment) -> bool:
    """Whether an unlike face in somebody's place is still theirs, and not somebody else."""
    turned = challenge.explains(before.challenge, _look(sighting, moment))
    return before.unlike < OCCLUDED_FRAMES or turned


def _cover(before: Presentation, sighting: Sighting, moment: Moment) -> Presentation:
    """Something is before the face, and what is seen of it no evidence."""
    asked = before.challenge and challenge.timed(before.challenge, moment.received_ms)
    return replace(
        before,
        box=sighting.box,
        unlike=before.unlike + 1,
        received_ms=moment.received_ms,
        challenge=asked,
    )


def _begin(sighting: Sighting, moment: Moment) -> Presentation:
    empty = Presentation(
        id=uuid4(),
        box=sighting.box,
        total=np.zeros_like(sighting.embedding),
        last=sighting.embedding,
        frames=0,
        best_quality=0.0,
        widest=0.0,
        first_captured_ms=moment.captured_ms,
        captured_ms=moment.captured_ms,
        first_received_ms=moment.received_ms,
        received_ms=moment.received_ms,
        sequence=moment.sequence,
    )
    return _continue(empty, sighting, moment)


def _continue(before: Presentation, sighting: Sighting, moment: Moment) -> Presentation:
    weight = max(sighting.quality, LEAST_WEIGHT)
    scored = sighting.pad is not None and math.isfinite(sighting.pad)
    best = before.frames == 0 or sighting.quality > before.best_quality
    width = float(sighting.box[2] - sighting.box[0])
    after_ms = moment.received_ms - before.first_received_ms
    seen = trail.glimpse(after_ms, sighting.quality, width, sighting.pad)
    return replace(
        before,
        box=sighting.box,
        velocity=_velocity(before, sighting, moment),
        total=before.total + np.float32(weight) * sighting.embedding,
        last=sighting.embedding,
        good_frames=before.good_frames + min(1.0, sighting.quality / GOOD_QUALITY),
        share=max(before.share, sighting.share),
        pad_total=before.pad_total + (weight * sighting.pad if scored and sighting.pad else 0.0),
        pad_weight=before.pad_weight + (weight if scored else 0.0),
        pad_frames=before.pad_frames + scored,
        frames=before.frames + 1,
        best_quality=max(before.best_quality, sighting.quality),
        shortfall=sighting.shortfall if best else before.shortfall,
        widest=max(before.widest, width),
        trail=before.trail if before.settled else trail.extended(before.trail, seen),
        captured_ms=moment.captured_ms,
        received_ms=moment.received_ms,
        sequence=moment.sequence,
        unlike=0,
    )


def _posed(
    presentation: Presentation, sighting: Sighting, moment: Moment, likeness: Likeness
) -> Presentation:
    """With how the head is held in the face just added, and what that is for the challenge."""
    seen = _look(sighting, moment)
    going = presentation.challenge
    if seen is None:
        timed = going and challenge.timed(going, moment.received_ms)
        return replace(presentation, challenge=timed)
    if going is not None:
        same = float(sighting.embedding @ going.anchor) >= likeness.alike
        going = challenge.advanced(going, seen, same=same)
    looks = (*presentation.looks, seen)[-challenge.LEVEL_LOOKS :]
    return replace(presentation, looks=looks, challenge=going)


def _look(sighting: Sighting, moment: Moment) -> Look | None:
    return challenge.look(moment.received_ms, *sighting.pose) if sighting.pose else None


def _velocity(before: Presentation, sighting: Sighting, moment: Moment) -> Vector:
    """The mean of what was known and what the last step shows."""
    elapsed = moment.received_ms - before.received_ms
    if elapsed <= 0 or before.frames == 0:
        return before.velocity
    step = (sighting.box[:2] + sighting.box[2:] - before.box[:2] - before.box[2:]) / 2
    moved: Vector = ((before.velocity + step / elapsed) / 2).astype(np.float32)
    return moved
