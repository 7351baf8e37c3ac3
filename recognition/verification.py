"""Verification (1:1): whether two faces are one person's."""

from __future__ import annotations

from dataclasses import dataclass

from accesscontrol.matching import Calibration, Match, compare, margin_of, stranger_share
from accesscontrol.matching import threshold_at as calibrated_threshold
from recognition.types import Floats


class NotCalibratedError(Exception):
    """The model's calibration has no threshold for this rate; the message says which it has."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """From which score on faces match.

    false_match_rate: as the calibration writes it, such as "1e-4": the share of pairs of strangers
        that match at this threshold.
    margin: how far the best person of a gallery must lie above the second.
    """

    false_match_rate: str
    threshold: float
    margin: float

    @classmethod
    def at(cls, calibration: Calibration, rate: str) -> OperatingPoint:
        """The calibrated threshold at this rate, and the margin that a new site begins with.

        Raises:
            NotCalibratedError: the calibration does not say.
        """
        threshold = calibrated_threshold(calibration, rate)
        if threshold is None:
            known = ", ".join(calibration.get("thresholds", {})) or "none"
            raise NotCalibratedError(
                f"The model's calibration has no threshold for a false match rate of {rate}, only "
                f"for {known}."
            )
        return cls(rate, threshold, margin_of(calibration))


@dataclass(frozen=True, slots=True)
class Verification:
    """What comparing two faces gave.

    score: their cosine, -1..1.
    same: whether it reaches the threshold.
    stranger_share: the share of pairs of two strangers that are at least as alike, 0..1; with
        is_bound it is at most that. None where the calibration does not say.
    """

    score: float
    same: bool
    stranger_share: float | None
    is_bound: bool


def verify(
    first: Floats, second: Floats, point: OperatingPoint, calibration: Calibration
) -> Verification:
    """Compare two embeddings (D,) of length 1 of the calibrated model."""
    score = cosine(first, second)
    share = stranger_share(calibration, score)
    return Verification(
        score=score,
        same=compare(score, None, point.threshold) is Match.ACCEPTED,
        stranger_share=share[0] if share else None,
        is_bound=bool(share and share[1]),
    )


def cosine(first: Floats, second: Floats) -> float:
    """Of two vectors (D,) of length 1."""
    return float(first @ second)
