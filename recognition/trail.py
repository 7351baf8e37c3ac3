"""What a presentation showed frame by frame: numbers for the record, never a face or an embedding.

A trail is bounded: when it is full every second entry goes, so that it always spans the whole
presentation, its last frames more finely than its first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

LONGEST_TRAIL = 64
"""Entries; a walk-up of three seconds at ten frames a second has thirty."""


class Glimpse(NamedTuple):
    """One face of a presentation."""

    after_ms: int
    """Since the presentation's first frame, on the server's clock."""
    quality: float
    """0..1."""
    face_width: float
    """Pixels."""
    pad: float | None
    """Attack score, 0..1; None where the face has none."""


def extended(trail: tuple[Glimpse, ...], glimpse: Glimpse) -> tuple[Glimpse, ...]:
    """The trail with one more entry, thinned where it would become longer than LONGEST_TRAIL."""
    longer = (*trail, glimpse)
    return longer if len(longer) <= LONGEST_TRAIL else longer[::2]


def glimpse(after_ms: int, quality: float, face_width: float, pad: float | None) -> Glimpse:
    """An entry, rounded to what can be told apart; an attack score that is no number is None."""
    score = round(pad, 3) if pad is not None and math.isfinite(pad) else None
    return Glimpse(after_ms, round(quality, 3), round(face_width, 1), score)


def loaded(raw: object) -> tuple[Glimpse, ...]:
    """The trail that JSON made of one; raises ValueError for anything else."""
    if not isinstance(raw, list) or len(raw) > LONGEST_TRAIL:
        raise ValueError(f"a trail is a list of at most {LONGEST_TRAIL} entries")
    return tuple(_entry(entry) for entry in raw)


def _entry(raw: object) -> Glimpse:
    if not isinstance(raw, list) or len(raw) != len(Glimpse._fields):
        raise ValueError("an entry of a trail has a time, a quality, a width and an attack score")
    after_ms, quality, face_width, pad = raw
    numbers = [quality, face_width] if pad is None else [quality, face_width, pad]
    if type(after_ms) is not int or not _finite(numbers):
        raise ValueError("an entry of a trail is made of finite numbers")
    return Glimpse(after_ms, quality, face_width, pad)


def _finite(numbers: Iterable[object]) -> bool:
    return all(
        isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers
    )


def plain(trail: Sequence[Glimpse]) -> list[list[float | None]]:
    """For JSON: a list for each entry, in the order of Glimpse's fields."""
    return [list(entry) for entry in trail]
