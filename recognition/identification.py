"""Identification (1:N): whose face of a gallery a face is, or that it is nobody's there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accesscontrol.matching import Match, compare
from recognition.search import CANDIDATES, Candidate, Gallery, Vectors
from recognition.verification import OperatingPoint

LOWEST_QUALITY = 0.25
"""Of a presentation's best face, which then could not reach any threshold in use: its person
is told what to mend instead of "not recognised". In the kiosk clips no single face is below."""


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
    gallery: Gallery,
    probes: Vectors,
    qualities: Sequence[float],
    point: OperatingPoint,
    most: int = CANDIDATES,
) -> list[Identified]:
    """Search faces in a gallery, and judge each by the rule of the door.

    A door asks for more: several frames, and what a site switches on. So ACCEPTED here is what one
    picture says.

    Args:
        gallery: whom to find.
        probes: (N, D) of length 1.
        qualities: (N,) each face's score, 0..1; below LOWEST_QUALITY the outcome is LOW_QUALITY.
        point: the threshold, and the margin to the second person.
        most: candidates that are returned, at least 1.

    Raises:
        ValueError: a probe is no unit vector of the gallery's dimension.
    """
    found = gallery.nearest(probes, max(most, 2))
    return [
        Identified(_judged([c.score for c in ranked], quality, point), ranked[:most])
        for ranked, quality in zip(found, qualities, strict=True)
    ]


def _judged(scores: Sequence[float], quality: float, point: OperatingPoint) -> Match:
    if not scores:
        return Match.EMPTY_GALLERY
    if not quality >= LOWEST_QUALITY:  # so that NaN is refused
        return Match.LOW_QUALITY
    second = scores[1] if len(scores) > 1 else None
    return compare(scores[0], second, point.threshold, point.margin)
