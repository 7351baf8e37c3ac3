"""What a score says: how often two strangers are as alike, in the model's calibration.

The bare number misleads: one model gives two strangers 0.01 on average, another 0.63.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Any

from accesscontrol import thresholds
from accesscontrol.models import ModelVersion


def stranger_share(version: ModelVersion, score: float) -> tuple[float, bool] | None:
    """The share of pairs of two strangers at least this alike, and whether it is only a bound.

    Between the calibrated thresholds it is interpolated, the logarithm of the rate linearly in
    the score. Below the weakest one it is the normal tail of the calibration's impostor mean and
    standard deviation, above the strictest one that one's rate, as a bound. None where the
    calibration does not say.
    """
    points = sorted(
        (float(threshold), math.log(float(rate)))
        for rate, threshold in version.calibration.get("thresholds", {}).items()
    )
    if not points or not math.isfinite(score):
        return None
    if score > points[-1][0]:
        return math.exp(points[-1][1]), True
    if score < points[0][0]:
        return _weak(version.calibration, score, math.exp(points[0][1]))
    for (low, low_rate), (high, high_rate) in pairwise(points):
        if low <= score <= high:
            share = (score - low) / max(high - low, 1e-9)
            return math.exp(low_rate + share * (high_rate - low_rate)), False
    return math.exp(points[-1][1]), False


def _weak(calibration: dict[str, Any], score: float, rate: float) -> tuple[float, bool] | None:
    impostor = calibration.get("impostor") or {}
    mean, sd = impostor.get("mean"), impostor.get("sd")
    if mean is None or not sd:
        return None
    return max(rate, 1 - NormalDist(float(mean), float(sd)).cdf(score)), False


def meaning(version: ModelVersion | None, score: float) -> str:
    """A few words for a reader without a degree; empty where the calibration does not say."""
    found = stranger_share(version, score) if version else None
    if found is None:
        return ""
    share, bound = found
    if share >= 0.4:
        return "as alike as two strangers usually are"
    odds = f"{thresholds.odds(share)} pairs of strangers"
    return f"fewer than {odds} is as alike" if bound else f"{odds} is as alike"
