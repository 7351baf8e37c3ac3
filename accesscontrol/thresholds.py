"""Thresholds of sites: where they come from and which one is in force."""

from __future__ import annotations

import math

from django.db import transaction

from accesscontrol import audit
from accesscontrol.models import ModelVersion, Site, Threshold, User

DEFAULT_FALSE_MATCH_RATE = "1e-6"
"""1:1 rate that a new site starts at: with 100 employees about 1 search of a stranger in 10,000."""
DEFAULT_MARGIN = 0.05


class ThresholdError(ValueError):
    """The value cannot be a threshold; the message says why."""


def in_force(site_id: int, model_version_id: int) -> Threshold | None:
    """The newest threshold of the site for this model version, or None: then nobody is accepted."""
    return Threshold.objects.filter(site_id=site_id, model_version_id=model_version_id).first()


@transaction.atomic
def set_threshold(
    site: Site,
    model_version: ModelVersion,
    *,
    value: float,
    margin: float,
    reason: str,
    by: User | None,
) -> Threshold:
    """Put a threshold into force from now on; earlier rows stay as they are."""
    if not (math.isfinite(value) and 0 < value < 1):
        raise ThresholdError("A threshold lies between 0 and 1, for example 0.65.")
    if not (math.isfinite(margin) and 0 <= margin < 1):
        raise ThresholdError("A margin lies between 0 and 1, for example 0.05.")
    row = Threshold.objects.create(
        site=site,
        model_version=model_version,
        value=value,
        margin=margin,
        false_match_rate=false_match_rate_at(model_version, value),
        reason=reason,
        set_by=by,
    )
    audit.record(
        audit.actor_of(by),
        "set_threshold",
        f"site:{site.pk}",
        {"value": value, "margin": margin, "model_version": model_version.pk, "reason": reason},
    )
    return row


def set_default(site: Site, model_version: ModelVersion) -> Threshold | None:
    """Give a site its first threshold, from the model's calibration; None if it has none."""
    value = for_false_match_rate(model_version, DEFAULT_FALSE_MATCH_RATE)
    if value is None:
        return None
    return set_threshold(
        site,
        model_version,
        value=round(value, 4),
        margin=DEFAULT_MARGIN,
        reason=f"Default: false match rate {DEFAULT_FALSE_MATCH_RATE} in the model's calibration",
        by=None,
    )


def for_false_match_rate(model_version: ModelVersion, rate: str) -> float | None:
    """The calibrated threshold for a 1:1 false match rate such as "1e-5"."""
    entry = model_version.calibration.get("thresholds", {}).get(rate)
    return None if entry is None else float(entry)


def false_match_rate_at(model_version: ModelVersion, value: float) -> float | None:
    """The smallest calibrated 1:1 rate that this threshold reaches; None if it reaches none."""
    reached = [
        float(rate)
        for rate, threshold in model_version.calibration.get("thresholds", {}).items()
        if value >= float(threshold) - 1e-4
    ]
    return min(reached, default=None)
