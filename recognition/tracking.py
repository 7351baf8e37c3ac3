"""Presentations: linking the faces of one kiosk's consecutive frames (numpy only, pure).

A face belongs to a presentation if it is where that one's last face was (intersection over
union) or near it and looks like it (cosine with the mean embedding). Looking unlike in the same
place is first taken for an occlusion, a hand before the face, and adds no evidence; if it stays
so, it is somebody else and starts a presentation of its own: evidence of two people is never
mixed.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from recognition import trail
from recognition.trail import Glimpse

Vector = NDArray[np.float32]

SAME_PLACE_IOU = 0.3
REACH_WIDTHS = 1.5
REACH_WIDTHS_PER_S = 9.0
"""How far from its last place, in face widths, appearance alone may still find a presentation: a
person walks up to 1.5 m/s, and a face is about 0.16 m wide. Few frames a second under load must
not break a walk-up into several."""
OCCLUDED_FRAMES = 4
"""Frames in a row that may look unlike before it is taken for another person."""
GONE_AFTER_MS = 1_500
LEAST_WEIGHT = 0.05


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


@dataclass(frozen=True, slots=True)
class Presentation:
    """One person's walk-up so far. Times are milliseconds since 1970 UTC."""

    id: UUID
    box: Vector
    total: Vector
    """Sum of the embeddings, each weighted by its quality, (D,) float32."""
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
    trail: tuple[Glimpse, ...] = ()
    """Its faces one by one, for the record."""

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
    """Not seen for GONE_AFTER_MS: to be closed."""
    seen: list[UUID | None] = field(default_factory=list)
    """For each sighting of the frame, the presentation it was given to; None: occluded."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What cosines with a presentation's mean embedding say, in the scale of one embedder.

    alike: frames of one person at a kiosk lie above, of two people mostly below.
    same: says it is the same person, though somewhere else in the frame.
    """

    alike: float
    same: float

    @classmethod
    def by_rates(cls, thresholds: Mapping[str, float]) -> Likeness:
        """From the thresholds that a calibration gives for false match rates.

        Without them nothing is alike but what is nearly equal: then no two people are ever taken
        for one, and nobody is accepted in any case.
        """
        return cls(thresholds.get("1e-2", 0.98), thresholds.get("1e-4", 0.99))


def follow(
    presentations: Sequence[Presentation],
    sightings: Sequence[Sighting],
    moment: Moment,
    likeness: Likeness,
) -> Tracks:
    """Give each sighting of a frame to a presentation, old or new, and part with those gone."""
    gone = [p for p in presentations if moment.received_ms - p.received_ms > GONE_AFTER_MS]
    present = [p for p in presentations if moment.received_ms - p.received_ms <= GONE_AFTER_MS]
    pairs = _assign(present, sightings, moment, likeness)
    seen: list[UUID | None] = [None] * len(sightings)
    for face, sighting in enumerate(sightings):
        index = pairs.get(face)
        if index is None:
            present.append(_begin(sighting, moment))
            seen[face] = present[-1].id
            continue
        before = present[index]
        if before.frames == 0 or float(before.probe @ sighting.embedding) >= likeness.alike:
            present[index] = _continue(before, sighting, moment)
            seen[face] = before.id
        elif before.unlike < OCCLUDED_FRAMES:
            present[index] = replace(
                before, box=sighting.box, unlike=before.unlike + 1, received_ms=moment.received_ms
            )
        else:
            gone.append(before)
            present[index] = _begin(sighting, moment)
            seen[face] = present[index].id
    return Tracks(present, gone, seen)


def all_settled(presentations: Sequence[Presentation], received_ms: int) -> bool:
    """Whether somebody is there at this time, and nobody who is still waits for a decision."""
    there = [p for p in presentations if received_ms - p.received_ms <= GONE_AFTER_MS]
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
        trail=(),
    )


def _assign(
    presentations: Sequence[Presentation],
    sightings: Sequence[Sighting],
    moment: Moment,
    likeness: Likeness,
) -> dict[int, int]:
    """Match sightings to presentations greedily, the surest first; {sighting: presentation}."""
    if not presentations or not sightings:
        return {}
    boxes = np.stack([p.box for p in presentations])
    faces = np.stack([s.box for s in sightings])
    overlap = _iou(faces, boxes)
    away = np.array([moment.received_ms - p.received_ms for p in presentations]) / 1000
    reach = REACH_WIDTHS + REACH_WIDTHS_PER_S * np.clip(away, 0, None)
    alike = (
        np.stack([s.embedding for s in sightings]) @ np.stack([p.probe for p in presentations]).T
    )
    linked = (overlap >= SAME_PLACE_IOU) | ((alike >= likeness.same) & _within(faces, boxes, reach))
    score = np.where(linked, overlap + alike, -np.inf)
    pairs: dict[int, int] = {}
    for flat in np.argsort(-score, axis=None):
        face, index = divmod(int(flat), len(presentations))
        if not np.isfinite(score[face, index]):
            break
        if face not in pairs and index not in pairs.values():
            pairs[face] = index
    return pairs


def _begin(sighting: Sighting, moment: Moment) -> Presentation:
    empty = Presentation(
        id=uuid4(),
        box=sighting.box,
        total=np.zeros_like(sighting.embedding),
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
        total=before.total + np.float32(weight) * sighting.embedding,
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


def _iou(a: Vector, b: Vector) -> Vector:
    """Intersection over union of boxes (N, 4) and (M, 4): (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = np.prod(a[:, 2:] - a[:, :2], axis=1), np.prod(b[:, 2:] - b[:, :2], axis=1)
    union = area_a[:, None] + area_b[None, :] - common
    result: Vector = common / np.maximum(union, 1e-6)
    return result


def _within(a: Vector, b: Vector, reach: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether box centres of (N, 4) and (M, 4) lie within `reach` (M,) widths of the wider box."""
    centres_a, centres_b = (a[:, :2] + a[:, 2:]) / 2, (b[:, :2] + b[:, 2:]) / 2
    distance = np.linalg.norm(centres_a[:, None] - centres_b[None], axis=2)
    widths = np.maximum((a[:, 2] - a[:, 0])[:, None], (b[:, 2] - b[:, 0])[None])
    near: NDArray[np.bool_] = distance <= reach[None] * widths
    return near


def dump(presentations: Sequence[Presentation]) -> bytes:
    """Presentations as JSON, to be carried to the next frame's worker."""
    return json.dumps([_plain(p) for p in presentations]).encode()


def load(state: bytes) -> list[Presentation]:
    """The presentations that `dump` wrote; raises ValueError for anything else."""
    try:
        return [_presentation(raw) for raw in json.loads(state)]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a kiosk's presentations: {error}") from None


def _plain(presentation: Presentation) -> dict[str, Any]:
    raw = {name: getattr(presentation, name) for name in Presentation.__slots__}
    raw["id"] = str(presentation.id)
    raw["box"] = [float(value) for value in presentation.box]
    raw["trail"] = trail.plain(presentation.trail)
    raw["total"] = base64.b64encode(presentation.total.astype("<f4").tobytes()).decode()
    return raw


_WHOLE = (
    "frames", "first_captured_ms", "captured_ms", "first_received_ms", "received_ms", "sequence",
    "unlike", "pad_frames",
)  # fmt: skip


def _presentation(raw: dict[str, Any]) -> Presentation:
    total = np.frombuffer(base64.b64decode(raw["total"]), dtype="<f4").astype(np.float32)
    box = np.asarray(raw["box"], dtype=np.float32)
    single = [raw[name] for name in ("best_quality", "widest", "pad_total", "pad_weight")]
    numbers = np.array([*box, *total, *single], dtype=np.float64)
    if box.shape != (4,) or not np.isfinite(numbers).all():
        raise ValueError("a box has four numbers, and all of them are finite")
    words = [isinstance(raw[name], str) for name in ("settled", "shortfall")]
    if any(type(raw[name]) is not int for name in _WHOLE) or not all(words):
        raise ValueError("counts and times are whole numbers, an outcome and a shortfall words")
    if raw["pad_total"] < 0 or raw["pad_weight"] < 0 or not 0 <= raw["pad_frames"] <= raw["frames"]:
        raise ValueError("attack scores are not negative, and no more than faces")
    kept = {"id": UUID(raw["id"]), "box": box, "total": total, "trail": trail.loaded(raw["trail"])}
    return Presentation(**{**raw, **kept})
