"""Thresholds of sites: where they come from and which one is in force."""

from __future__ import annotations

import math
from collections.abc import Mapping

from django.db import transaction

from accesscontrol import audit, matching
from accesscontrol.matching import DEFAULT_FALSE_MATCH_RATE, odds
from accesscontrol.models import ModelVersion, Site, Threshold, User

HIGHEST_FALSE_MATCH_RATE = "1e-2"
"""A threshold at which the model takes more people for each other than this is none for a door."""


class ThresholdError(ValueError):
    """The value cannot be a threshold; the message says why."""


def in_force(site_id: int, model_version_id: int) -> Threshold | None:
    """The newest threshold of the site for this model version, or None: then nobody is accepted."""
    return Threshold.objects.filter(site_id=site_id, model_version_id=model_version_id).first()


def check(value: float, margin: float) -> None:
    """Raise ThresholdError unless the two can be a site's threshold and margin."""
    if not (math.isfinite(value) and 0 < value < 1):
        raise ThresholdError(
            "A threshold lies between 0 and 1. What each means differs from model to model."
        )
    if not (math.isfinite(margin) and 0 <= margin < 1):
        raise ThresholdError(
            "A margin lies between 0 and 1. How large it should be differs with the model."
        )


def check_for_door(model_version: ModelVersion, value: float) -> None:
    """Raise ThresholdError for a threshold below the model's calibrated 1e-2 false match rate."""
    lowest = for_false_match_rate(model_version, HIGHEST_FALSE_MATCH_RATE)
    if lowest is not None and value < lowest:
        raise ThresholdError(
            f"{value:g} is too low for a door: below {lowest:g} {model_version} takes more than 1 "
            "in 100 people for another. Choose a higher one; where too many are refused, enrol "
            "more photos of them."
        )


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
    return put(
        Threshold(
            site=site, model_version=model_version, value=value, margin=margin, reason=reason
        ),
        by,
    )


@transaction.atomic
def put(row: Threshold, by: User | None) -> Threshold:
    """Check and append a row, with its budget and basis if it has them. Raises ThresholdError."""
    check(row.value, row.margin)
    check_for_door(row.model_version, row.value)
    row.false_match_rate = false_match_rate_at(row.model_version, row.value)
    row.set_by = by
    row.save(force_insert=True)
    detail: Mapping[str, object] = {
        "value": row.value,
        "margin": row.margin,
        "model_version": row.model_version_id,
        "reason": row.reason,
        "budget": row.budget,
    }
    audit.record(audit.actor_of(by), "set_threshold", f"site:{row.site_id}", detail)
    return row


def set_default(site: Site, model_version: ModelVersion) -> Threshold | None:
    """Give a site its first threshold, from the model's calibration; None if it has none."""
    value = for_false_match_rate(model_version, DEFAULT_FALSE_MATCH_RATE)
    if value is None:
        return None
    return put(
        Threshold(
            site=site,
            model_version=model_version,
            value=round(value, 4),
            margin=default_margin(model_version),
            reason=(
                f"Default: false match rate {DEFAULT_FALSE_MATCH_RATE} in the model's calibration"
            ),
            basis={"kind": "default"},
        ),
        by=None,
    )


def default_margin(model_version: ModelVersion) -> float:
    """What a tenfold lower false match rate costs: models' scores spread differently."""
    return matching.margin_of(model_version.calibration)


def for_false_match_rate(model_version: ModelVersion, rate: str) -> float | None:
    """The calibrated threshold for a 1:1 false match rate such as "1e-5"."""
    return matching.threshold_at(model_version.calibration, rate)


def false_match_rate_at(model_version: ModelVersion, value: float) -> float | None:
    """The smallest calibrated 1:1 rate that this threshold reaches; None if it reaches none."""
    reached = [
        float(rate)
        for rate, threshold in model_version.calibration.get("thresholds", {}).items()
        if value >= float(threshold) - 1e-4
    ]
    return min(reached, default=None)


def false_identification_rate(false_match_rate: float, people: int) -> float:
    """How often a stranger is taken for one of `people`: 1 - (1 - FMR)^N (ISO/IEC 19795-1)."""
    return -math.expm1(people * math.log1p(-false_match_rate))


def meaning(model_version: ModelVersion, value: float, people: int) -> str:
    """Say in one or two sentences what a threshold means with so many enrolled people."""
    calibrated = model_version.calibration.get("thresholds", {})
    if not calibrated:
        return (
            f"{model_version} comes without a calibration: nobody can say how often {value:g} "
            "takes one person for another."
        )
    rate = false_match_rate_at(model_version, value)
    if rate is None:
        weakest = max(float(known) for known in calibrated)
        return (
            f"At {value:g} more than {odds(weakest)} comparisons of two different people are "
            "wrong: too low for a door."
        )
    exact = abs(value - float(calibrated[_key(calibrated, rate)])) < 0.005
    sentence = (
        f"At {value:g} {'about' if exact else 'fewer than'} {odds(rate)} comparisons of two "
        "different people is wrong"
    )
    if people < 1:
        return f"{sentence}. Nobody is enrolled here yet."
    stranger = odds(false_identification_rate(rate, people))
    crowd = "1 enrolled person" if people == 1 else f"{people:,} enrolled people"
    return (
        f"{sentence}; with {crowd} {'about' if exact else 'fewer than'} {stranger} strangers is "
        "taken for somebody."
    )


def _key(calibrated: dict[str, float], rate: float) -> str:
    return next(key for key in calibrated if float(key) == rate)
