"""The score's scale: which threshold gives which false match rate, from all impostor pairs.

The result is data (numbers only), kept with the model and used to turn a site's false-accept
budget into a threshold. No image and no embedding can be told from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognition.evaluate.metrics import Floats, accept_rate, threshold_at_fmr
from recognition.types import ModelInfo

FMRS = ("1e-2", "1e-3", "1e-4", "1e-5", "1e-6")


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
        Ready for JSON. A false match rate that fewer than one impostor pair would make up is
        left out: the data cannot show it.

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
    table = []
    for name in FMRS:
        if float(name) * len(impostor) < 1:
            continue
        # Rounded up, so that the figures written are those of the threshold written.
        threshold = math.ceil(threshold_at_fmr(impostor, float(name)) * 1e5) / 1e5
        row: dict[str, object] = {
            "fmr": name,
            "threshold": threshold,
            "false_matches": int((impostor >= threshold).sum()),
        }
        if len(genuine):
            row["tar"] = round(accept_rate(genuine, threshold), 5)
        table.append(row)
    return table


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
