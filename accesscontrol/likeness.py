"""What a score says: how often two strangers are as alike, in the model's calibration.

The bare number misleads: one model gives two strangers 0.01 on average, another 0.63.
"""

from __future__ import annotations

from accesscontrol import matching
from accesscontrol.models import ModelVersion


def stranger_share(version: ModelVersion, score: float) -> tuple[float, bool] | None:
    """See `matching.stranger_share`."""
    return matching.stranger_share(version.calibration, score)


def meaning(version: ModelVersion | None, score: float) -> str:
    """A few words for a reader without a degree; empty where the calibration does not say."""
    return matching.meaning(version.calibration, score) if version else ""
