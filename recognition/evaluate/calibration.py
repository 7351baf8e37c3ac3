"""The score's scale: which threshold gives which false match rate, from all impostor pairs.

The result is data (numbers only), kept with the model and used to turn a site's false-accept
budget into a threshold. No image and no embedding can be told from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recognition.evaluate.metrics import Floats, accept_rate, threshold_at_fmr
from recognition.types import ModelInfo

FMRS = ("1e-2", "1e-3", "1e-4", "1e-5", "1e-6")
FEWEST_FALSE_MATCHES = 30
"""Behind a measured rate: the rule of 30 (ISO/IEC 19795-1) for 30 % of uncertainty. Fewer say more
of wrong labels in the data than of the model."""

FEWEST_PAIRS = round(FEWEST_FALSE_MATCHES / float(FMRS[1]))
"""Of two people, so that two rates are measured, which the others can be extrapolated from."""


def calibrate(
    embeddings: NDArray[np.float32], people: Sequence[str], model: ModelInfo, data: str
) -> dict[str, object]:
    """Thresholds by false match rate, with how many pairs stand behind each.

    Args:
        embeddings: (N, D) float32 of length 1, one for each image.
        people: (N,) whose image each is.
        model: which made the embeddings.
        data: the data set's name, as a reader will know it.

    Returns:
        Ready for JSON. A false match rate behind which fewer than FEWEST_FALSE_MATCHES pairs
        would stand is extrapolated from the last two measured ones, and says so.

    Raises:
        ValueError: fewer than two people.
    """
    genuine, impostor = all_scores(embeddings, people)
    if len(impostor) == 0:
        raise ValueError("a calibration needs images of at least two people")
    return {
        "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
        "data": data,
        "images": len(people),
        "people": len(set(people)),
        "impostor": _spread(impostor),
        "genuine": _spread(genuine),
        "thresholds": _table(genuine, impostor),
    }


def _table(genuine: Floats, impostor: Floats) -> list[dict[str, object]]:
    """One row for each of FMRS: measured, extrapolated, or left out where neither is sound."""
    table: list[dict[str, object]] = []
    measured: list[tuple[float, float]] = []
    for name in FMRS:
        fmr = float(name)
        if fmr * len(impostor) >= FEWEST_FALSE_MATCHES:
            threshold = threshold_at_fmr(impostor, fmr)
            measured.append((fmr, threshold))
        elif len(measured) >= 2:
            threshold = _extrapolated(fmr, measured)
        else:
            continue
        # Rounded up, so that the figures written are those of the threshold written.
        threshold = math.ceil(threshold * 1e5) / 1e5
        row: dict[str, object] = {
            "fmr": name,
            "threshold": threshold,
            "extrapolated": fmr * len(impostor) < FEWEST_FALSE_MATCHES,
            "false_matches": int((impostor >= threshold).sum()),
        }
        if len(genuine):
            row["tar"] = round(accept_rate(genuine, threshold), 5)
        table.append(row)
    return table


def _extrapolated(fmr: float, measured: Sequence[tuple[float, float]]) -> float:
    """The threshold where the line through the last two measured points reaches `fmr`.

    Straight in the normal deviate of the rate, the scale of the DET curve (Martin et al., 1997).
    The tail of face scores falls off faster than that, so the line errs towards strictness.
    """
    (fmr_a, threshold_a), (fmr_b, threshold_b) = measured[-2:]
    deviate = NormalDist().inv_cdf
    slope = (threshold_b - threshold_a) / (deviate(fmr_b) - deviate(fmr_a))
    return threshold_b + slope * (deviate(fmr) - deviate(fmr_b))


def unfit_for_a_door(calibration: Mapping[str, Any]) -> str | None:
    """Why no site could take its threshold from what `calibrate` gave; None if it can."""
    rows = {row["fmr"]: row["threshold"] for row in calibration["thresholds"]}
    threshold = rows.get(FMRS[-1])
    if threshold is None:
        pairs = calibration["impostor"]["pairs"]
        return (
            f"{pairs:,} pairs of two people are too few to tell a threshold for a false match rate "
            f"of {FMRS[-1]}. It takes {FEWEST_PAIRS:,}, for example one photo each of 250 people, "
            "and says more with more."
        )
    if not 0 < threshold < 1:
        return (
            f"the threshold for a false match rate of {FMRS[-1]} would be {threshold:g}: the model "
            "does not tell these people apart. Was it imported with the right channels, mean and "
            "scale?"
        )
    return None


def thresholds_by_rate(calibration: Mapping[str, Any]) -> dict[str, float]:
    """A calibration file's table as the database keeps it."""
    return {row["fmr"]: row["threshold"] for row in calibration["thresholds"]}


def all_scores(embeddings: NDArray[np.float32], people: Sequence[str]) -> tuple[Floats, Floats]:
    """Cosines of every two images: (G,) of one person, (I,) of two."""
    _, person = np.unique(np.array(people), return_inverse=True)
    genuine: list[Floats] = []
    impostor: list[Floats] = []
    for row in range(len(embeddings) - 1):
        scores = (embeddings[row + 1 :] @ embeddings[row]).astype(np.float64)
        same = person[row + 1 :] == person[row]
        genuine.append(scores[same])
        impostor.append(scores[~same])
    empty = np.zeros(0)
    return np.concatenate([empty, *genuine]), np.concatenate([empty, *impostor])


def calibration_path(model: str) -> Path:
    """Where the package keeps a model's calibration."""
    return Path(__file__).resolve().parent.parent / "calibration" / f"{model}.json"


def _spread(scores: Floats) -> dict[str, float | int]:
    if len(scores) == 0:
        return {"pairs": 0}
    return {
        "pairs": len(scores),
        "mean": round(float(scores.mean()), 5),
        "sd": round(float(scores.std()), 5),
    }
