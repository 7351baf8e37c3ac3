"""What a score means under a model's calibration, and when it is a match.

The standard library only, without Django: decisions at the door, the admin's words and the engine's
commands (`recognition.verification`, `recognition.identification`) call the same functions. A
calibration is the JSON object that `recognition evaluate calibrate` made, with `thresholds` by
false match rate, as a `ModelVersion` keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from statistics import NormalDist
from typing import Any

DEFAULT_FALSE_MATCH_RATE = "1e-6"
"""1:1 rate that a new site starts at: with 100 employees about 1 search of a stranger in 10,000."""
DEFAULT_MARGIN = 0.05
"""Where the calibration does not tell the score's scale."""

Calibration = Mapping[str, Any]


class Match(StrEnum):
    """What a search has found, in the words of `Outcome`."""

    ACCEPTED = "ACCEPTED"
    NO_MATCH = "NO_MATCH"
    AMBIGUOUS = "AMBIGUOUS"
    LOW_QUALITY = "LOW_QUALITY"
    EMPTY_GALLERY = "EMPTY_GALLERY"


def compare(best: float, second: float | None, threshold: float, margin: float = 0.0) -> Match:
    """Whether the best person of a gallery is a match: at the threshold, and clear of the next.

    Args:
        best: cosine of the nearest person.
        second: of the next one; None where nobody else is enrolled.
        threshold: the score from which on people match.
        margin: how far the best must lie above the second, at least.

    Returns:
        NO_MATCH below the threshold, AMBIGUOUS within the margin, else ACCEPTED. What is no number
        never matches.
    """
    if not best >= threshold:
        return Match.NO_MATCH
    if second is not None and not best - second >= margin:
        return Match.AMBIGUOUS
    return Match.ACCEPTED


def threshold_at(calibration: Calibration, rate: str) -> float | None:
    """The calibrated threshold for a 1:1 false match rate such as "1e-5"; None if it has none."""
    entry = calibration.get("thresholds", {}).get(rate)
    return None if entry is None else float(entry)


def margin_of(calibration: Calibration) -> float:
    """What a tenfold lower false match rate costs: models' scores spread differently."""
    first, second = (threshold_at(calibration, rate) for rate in ("1e-5", "1e-6"))
    if first is None or second is None or second <= first:
        return DEFAULT_MARGIN
    return round(second - first, 3)


def stranger_share(calibration: Calibration, score: float) -> tuple[float, bool] | None:
    """The share of pairs of two strangers at least this alike, and whether it is only a bound.

    Between the calibrated thresholds it is interpolated, the logarithm of the rate linearly in
    the score. Below the weakest one it is the normal tail of the calibration's impostor mean and
    standard deviation, above the strictest one that one's rate, as a bound. None where the
    calibration does not say.
    """
    points = sorted(
        (float(threshold), math.log(float(rate)))
        for rate, threshold in calibration.get("thresholds", {}).items()
    )
    if not points or not math.isfinite(score):
        return None
    if score > points[-1][0]:
        return math.exp(points[-1][1]), True
    if score < points[0][0]:
        return _weak(calibration, score, math.exp(points[0][1]))
    for (low, low_rate), (high, high_rate) in pairwise(points):
        if low <= score <= high:
            share = (score - low) / max(high - low, 1e-9)
            return math.exp(low_rate + share * (high_rate - low_rate)), False
    return math.exp(points[-1][1]), False


def _weak(calibration: Calibration, score: float, rate: float) -> tuple[float, bool] | None:
    impostor = calibration.get("impostor") or {}
    mean, sd = impostor.get("mean"), impostor.get("sd")
    if mean is None or not sd:
        return None
    return max(rate, 1 - NormalDist(float(mean), float(sd)).cdf(score)), False


def meaning(calibration: Calibration, score: float) -> str:
    """A few words for a reader without a degree; empty where the calibration does not say."""
    found = stranger_share(calibration, score)
    if found is None:
        return ""
    share, bound = found
    if share >= 0.4:
        return "as alike as two strangers usually are"
    pairs = f"{odds(share)} pairs of strangers"
    return f"fewer than {pairs} is as alike" if bound else f"{pairs} is as alike"


def odds(rate: float) -> str:
    """0.0001 is "1 in 10,000", in two significant digits."""
    count = 1 / rate
    digits = max(0, math.floor(math.log10(count)) - 1)
    return f"1 in {round(count, -digits):,.0f}"
