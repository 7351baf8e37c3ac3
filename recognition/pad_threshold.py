"""The attack score from which on a face is taken for a picture of one: measured, not chosen."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from recognition.types import ModelInfo


def calibration_path(model: str) -> Path:
    """Where the package keeps a presentation-attack model's calibration."""
    return Path(__file__).resolve().parent / "calibration" / f"{model}.json"


def pad_threshold(model: ModelInfo | None) -> float | None:
    """The calibrated attack score of exactly these weights, in (0, 1).

    None where there is none: whoever needs a threshold then has to refuse.
    """
    if model is None:
        return None
    try:
        measured: dict[str, Any] = json.loads(calibration_path(model.name).read_text())
        if measured["model"]["sha256"] != model.sha256:
            return None
        threshold = float(measured["threshold"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return threshold if math.isfinite(threshold) and 0 < threshold < 1 else None
