"""Which face of a frame belongs to which presentation: by place, motion and looks (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recognition.tracking import Moment, Presentation, Sighting, Vector

SAME_PLACE_IOU = 0.3
REACH_WIDTHS = 1.5
REACH_WIDTHS_PER_S = 9.0
"""How far from its last place, in face widths, looks alone may still find a presentation: a
person walks up to 1.5 m/s, and a face is about 0.16 m wide. Few frames a second under load must
not break a walk-up into several."""
BESIDE_WIDTHS = 1.5
"""A head and its shoulders hide whoever is this near behind it, in face widths."""
COASTING_MS = 500
"""For how long somebody out of sight is expected to walk on as before."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What the cosine with a presentation's mean embedding, or with its last one, says.

    alike: faces of one person within a walk-up lie above, of two people below.
    same: says it is the same person, though somewhere else in the frame.
    """

    alike: float
    same: float

    @classmethod
    def by_rates(cls, thresholds: Mapping[str, float]) -> Likeness:
        """From the thresholds that a calibration gives for false match rates.

        Those are of photos taken years apart; a face of the same walk-up looks far more alike.
        Without them nothing is alike but what is nearly equal: then no two people are ever taken
        for one, and nobody is accepted in any case.
        """
        return cls(thresholds.get("1e-6", 0.98), thresholds.get("1e-6", 0.99))


@dataclass(frozen=True, slots=True)
class Place:
    """The presentation that a face was given to, by its position among them.

    alike: False where it is in that one's place and looks like somebody else.
    """

    index: int
    alike: bool


def place(
    presentations: Sequence[Presentation],
    sightings: Sequence[Sighting],
    moment: Moment,
    likeness: Likeness,
) -> dict[int, Place]:
    """Give sightings to presentations, the surest first; {sighting: its place}.

    Looks come before place: a face that is where one presentation was expected and looks like
    another that is near goes to the other. Only a face that nobody claims is put down as an
    unlike one in somebody's place.
    """
    if not presentations or not sightings:
        return {}
    away_ms, expected = _expected(presentations, moment)
    faces = np.stack([s.box for s in sightings])
    boxes = np.stack([p.box for p in presentations])
    overlap = np.maximum(_iou(faces, expected), _iou(faces, boxes))
    looks = _looks(presentations, sightings)
    reach = REACH_WIDTHS + REACH_WIDTHS_PER_S * away_ms / 1000
    coming_out = np.array([p.is_hidden for p in presentations])
    in_place = overlap >= SAME_PLACE_IOU
    alike = (in_place & (looks >= likeness.alike)) | (
        (looks >= likeness.same) & _within(faces, expected, reach)
    )
    # Half a face that comes out from behind another looks like nobody.
    in_place |= coming_out & _within(faces, expected, np.full(len(boxes), BESIDE_WIDTHS))
    sureness = np.where(alike, 2 + overlap + looks, np.where(in_place, overlap, -np.inf))
    return _greedy(sureness, alike)


def hidden(
    presentations: Sequence[Presentation], sightings: Sequence[Sighting], moment: Moment
) -> list[int]:
    """The presentations, by position, before whose expected place a face of the frame is."""
    if not presentations or not sightings:
        return []
    _, expected = _expected(presentations, moment)
    faces = np.stack([s.box for s in sightings])
    before = _within(faces, expected, np.full(len(expected), BESIDE_WIDTHS)).any(axis=0)
    return [int(index) for index in np.flatnonzero(before)]


def _expected(
    presentations: Sequence[Presentation], moment: Moment
) -> tuple[NDArray[np.float64], Vector]:
    """How long ago each was seen, in milliseconds (M,), and where each should be, boxes (M, 4)."""
    away_ms = np.array([moment.received_ms - p.received_ms for p in presentations]).clip(0)
    walked = away_ms.clip(0, COASTING_MS)[:, None]
    moved = np.stack([p.velocity for p in presentations]) * walked
    expected: Vector = np.stack([p.box for p in presentations]) + np.tile(moved, 2)
    return away_ms.astype(np.float64), expected


def _looks(presentations: Sequence[Presentation], sightings: Sequence[Sighting]) -> Vector:
    """The better of the cosines with the mean and with the last embedding, (N, M)."""
    embeddings = np.stack([s.embedding for s in sightings])
    means = np.stack([p.probe for p in presentations])
    last = np.stack([p.last for p in presentations])
    result: Vector = np.maximum(embeddings @ means.T, embeddings @ last.T)
    return result


def _greedy(sureness: Vector, alike: NDArray[np.bool_]) -> dict[int, Place]:
    places: dict[int, Place] = {}
    taken: set[int] = set()
    for flat in np.argsort(-sureness, axis=None):
        face, index = divmod(int(flat), sureness.shape[1])
        if not np.isfinite(sureness[face, index]):
            break
        if face not in places and index not in taken:
            places[face] = Place(index, bool(alike[face, index]))
            taken.add(index)
    return places


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
