"""The evidence of a decision as its row keeps it."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from accesscontrol.quality import known

if TYPE_CHECKING:
    from accesscontrol.decisions import Evidence, Policy


def as_json(evidence: Evidence, policy: Policy | None) -> dict[str, object]:
    """The evidence for the record. JSON has no NaN: what is no number is null."""
    skew = evidence.received_at - evidence.captured_at
    return _without_nan(
        {
            **evidence.trace,
            "face_width": round(evidence.face_width, 1),
            "face_share": round(evidence.face_share, 5),
            "good_frames": evidence.good_frames,
            "quality": round(evidence.quality, 4),
            "shortfall": known(evidence.shortfall),
            "pad": _pad_json(evidence, policy),
            "policy": asdict(policy) if policy else None,
            "clock_skew_s": round(skew.total_seconds(), 3),
            "trail": [list(entry) for entry in evidence.trail],
            "challenge": evidence.challenge.to_json() if evidence.challenge else None,
        }
    )


def _pad_json(evidence: Evidence, policy: Policy | None) -> dict[str, object] | None:
    """What was found of a presentation attack, by which measure; None where nobody asked."""
    if policy is None or policy.pad is None:
        return None
    score = evidence.pad_score
    return {
        "score": score if score is None else round(score, 4),
        "frames": evidence.pad_frames,
        "model": policy.pad.model,
        "threshold": policy.pad.threshold,
    }


def _without_nan(values: dict[str, object]) -> dict[str, object]:
    return {name: _jsonable(value) for name, value in values.items()}


def _jsonable(value: object) -> object:
    if isinstance(value, dict):
        return _without_nan(value)
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
