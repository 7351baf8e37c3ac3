"""Identification (1:N): whose face of a gallery a face is, or that it is nobody's there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accesscontrol.matching import Match, compare
from recognition.search import CANDIDATES, Candidate, Gallery, Vectors
from recognition.verification import OperatingPoint


@dataclass(frozen=True, slots=True)
class Identified:
    """What a search gave: the outcome, and the nearest people, best first."""

    outcome: Match
    candidates: Sequence[Candidate]

    @property
    def name(self) -> str | None:
        """Whose face it is; None unless the outcome is ACCEPTED."""
        return self.candidates[0].name if self.outcome is Match.ACCEPTED else None


def identify(
    gallery: Gallery, probes: Vectors, point: OperatingPoint, most: int = CANDIDATES
) -> list[Identified]:
    """Search probes (N, D) of length 1 in a gallery, and judge each by the rule of the door.

    Raises:
        ValueError: a probe is no unit vector of the gallery's dimension.
    """
    found = gallery.nearest(probes, max(most, 2))
    return [
        Identified(_judged([c.score for c in ranked], point), ranked[:most]) for ranked in found
    ]


def _judged(scores: Sequence[float], point: OperatingPoint) -> Match:
    if not scores:
        return Match.EMPTY_GALLERY
    second = scores[1] if len(scores) > 1 else None
    return compare(scores[0], second, point.threshold, point.margin)
