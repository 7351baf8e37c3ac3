"""Presentation attack detection: how well faces are told from pictures of faces.

Terms are those of ISO/IEC 30107-3. APCER is the share of attacks taken for faces, for each kind of
attack by itself, as a mean would hide the kind that gets through; BPCER is the share of faces
taken for attacks. A score at or above the threshold is an attack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.metrics import Bools, Floats, accept_rate, bootstrap_interval
from recognition.evaluate.pad_data import KINDS, LIVE, NOT_EVALUATED
from recognition.tracking import LEAST_WEIGHT

TOGETHER = 5
"""Frames of one person whose scores are averaged, as at a door."""
CURVE_POINTS = 101


@dataclass(frozen=True, slots=True, eq=False)
class PadScores:
    """Attack scores (N,), the kind and person of each, and the weight it has in a mean."""

    scores: Floats
    weights: Floats
    kinds: tuple[str, ...]
    people: tuple[str, ...]

    @property
    def attack(self) -> Bools:
        """(N,) whether each is of an attack."""
        return np.array([kind != LIVE for kind in self.kinds], dtype=np.bool_)

    def of(self, kind: str) -> Bools:
        """(N,) whether each is of this kind."""
        return np.array([found == kind for found in self.kinds], dtype=np.bool_)

    @property
    def attacks(self) -> list[str]:
        """The kinds of attack, sorted."""
        return sorted(set(self.kinds) - {LIVE})


def together(single: PadScores, count: int = TOGETHER) -> PadScores:
    """Weighted means of every `count` consecutive scores of one person and kind; rests dropped."""
    rows: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(single.kinds, single.people, strict=True)):
        rows.setdefault(key, []).append(row)
    groups = [
        (key, numbers[start : start + count])
        for key, numbers in rows.items()
        for start in range(0, len(numbers) - count + 1, count)
    ]
    means = [np.average(single.scores[g], weights=single.weights[g]) for _, g in groups]
    return PadScores(
        np.array(means, dtype=np.float64),
        np.ones(len(groups)),
        tuple(kind for (kind, _), _ in groups),
        tuple(person for (_, person), _ in groups),
    )


def weight_of(quality: float) -> float:
    """A frame's weight in the mean, as at a door."""
    return max(quality, LEAST_WEIGHT)


def summarise(scored: PadScores, threshold: float) -> dict[str, Any]:
    """Error rates at the threshold, with 95 % bootstrap intervals over people; ready for JSON.

    Raises:
        DatasetError: no live faces, or no attacks, have a score.
    """
    _need_both(scored)
    attack = scored.attack
    statistics: dict[str, Callable[[Floats | None], float]] = {
        kind: _apcer(scored, kind, threshold) for kind in scored.attacks
    }
    intervals = {kind: _interval(rate, scored) for kind, rate in statistics.items()}
    presentations = {kind: int(scored.of(kind).sum()) for kind in [LIVE, *scored.attacks]}

    def bpcer(weights: Floats | None = None) -> float:
        return _rate(scored, ~attack, weights, lambda values: values >= threshold)

    def drawn_auc(weights: Floats | None = None) -> float:
        return auc(scored.scores, attack, weights)

    return {
        "apcer": {kind: rate(None) for kind, rate in statistics.items()},
        "bpcer": bpcer(),
        "auc": drawn_auc(),
        "eer": equal_error(scored)[0],
        "interval95": {
            "apcer": intervals,
            "bpcer": _interval(bpcer, scored),
            "auc": _interval(drawn_auc, scored),
        },
        "presentations": presentations,
        # Where nothing went wrong the bootstrap has nothing to draw and says 0 to 0. This bound
        # counts frames as independent, which those of one person are not: the truth is wider.
        "upper95": {
            kind: upper_bound(rate(None), presentations[kind])
            for kind, rate in {LIVE: bpcer, **statistics}.items()
        },
        "people": len(set(scored.people)),
    }


def by_kind(
    frames: Mapping[str, Any], several: Mapping[str, Any] | None, clips: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The error rate of each kind of attack by itself; NOT_EVALUATED where none was shown.

    Args:
        frames: of single frames, from `summarise`.
        several: of several together, likewise.
        clips: each with its `kind` and what it was `taken_for`.
    """
    found: dict[str, Any] = dict.fromkeys(KINDS, NOT_EVALUATED)
    for kind in {**frames["apcer"], **{clip["kind"]: None for clip in clips}}:
        if kind == LIVE:
            continue
        shown = [clip["taken_for"] for clip in clips if clip["kind"] == kind]
        found[kind] = {
            "frames": frames["presentations"].get(kind, 0),
            "apcer": frames["apcer"].get(kind),
            "five_frames_apcer": several["apcer"].get(kind) if several else None,
            "clips": len(shown),
            "clips_taken_for_live": shown.count(LIVE),
        }
    return found


def upper_bound(rate: float, count: int) -> float:
    """The one-sided 95 % bound of a rate seen in `count` trials (Clopper and Pearson, 1934)."""
    errors = round(rate * count)
    low, high = rate, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        at_most = sum(
            math.comb(count, k) * middle**k * (1 - middle) ** (count - k) for k in range(errors + 1)
        )
        low, high = (middle, high) if at_most > 0.05 else (low, middle)
    return high


def _apcer(scored: PadScores, kind: str, threshold: float) -> Callable[[Floats | None], float]:
    chosen = scored.of(kind)
    return lambda weights: _rate(scored, chosen, weights, lambda values: values < threshold)


def _rate(
    scored: PadScores,
    chosen: Bools,
    weights: Floats | None,
    wrong: Callable[[Floats], Bools],
) -> float:
    """Weighted share of the chosen that are wrong; NaN where none of them counts."""
    counts = np.ones(len(scored.scores)) if weights is None else weights
    if not counts[chosen].any():
        return float("nan")
    return float(np.average(wrong(scored.scores[chosen]), weights=counts[chosen]))


def _interval(
    statistic: Callable[[Floats | None], float], scored: PadScores
) -> tuple[float, float] | None:
    return bootstrap_interval(statistic, [(person, person) for person in scored.people])


def auc(scores: Floats, attack: Bools, weights: Floats | None = None) -> float:
    """How often an attack scores above a face, a tie counting half; NaN without either."""
    counts = np.ones(len(scores)) if weights is None else weights
    values, place = np.unique(scores, return_inverse=True)
    attacks = np.bincount(place[attack], counts[attack], len(values))
    faces = np.bincount(place[~attack], counts[~attack], len(values))
    pairs = attacks.sum() * faces.sum()
    below = np.cumsum(faces) - faces / 2
    return float((attacks * below).sum() / pairs) if pairs else float("nan")


def equal_error(scored: PadScores) -> tuple[float, float]:
    """The lowest rate that neither BPCER nor any kind's APCER need exceed, and its threshold.

    Of a range of such thresholds the middle, so that neither side lies at its edge.

    Raises:
        DatasetError: no live faces, or no attacks, have a score.
    """
    _need_both(scored)
    values = np.unique(scored.scores)
    thresholds = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2])
    faces = scored.scores[~scored.attack]
    worst = 1 - _below(faces, thresholds)
    for kind in scored.attacks:
        worst = np.maximum(worst, _below(scored.scores[scored.of(kind)], thresholds))
    best = np.flatnonzero(worst == worst.min())
    return float(worst.min()), float(thresholds[best[0]] + thresholds[best[-1]]) / 2


def _need_both(scored: PadScores) -> None:
    attack = scored.attack
    if attack.all() or not attack.any():
        raise DatasetError("scores of live faces and of attacks are both needed: no face was found")


def _below(scores: Floats, thresholds: Floats) -> Floats:
    share: Floats = np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores)
    return share


def curve(scored: PadScores) -> list[dict[str, Any]]:
    """Error rates at CURVE_POINTS thresholds, as many scores lying between any two."""
    faces = scored.scores[~scored.attack]
    return [
        {
            "threshold": float(threshold),
            "apcer": {
                kind: 1 - accept_rate(scored.scores[scored.of(kind)], float(threshold))
                for kind in scored.attacks
            },
            "bpcer": accept_rate(faces, float(threshold)),
        }
        for threshold in np.quantile(scored.scores, np.linspace(0, 1, CURVE_POINTS))
    ]


def calibrate(scored: PadScores, model: Mapping[str, str], data: str) -> dict[str, Any]:
    """The threshold at the equal error rate of single frames, and what stands behind it.

    Numbers only, kept with the model; no image can be told from it.
    """
    eer, threshold = equal_error(scored)
    attack = scored.attack
    return {
        "model": dict(model),
        "data": data,
        "frames": {kind: int(scored.of(kind).sum()) for kind in [LIVE, *scored.attacks]},
        "people": len(set(scored.people)),
        "threshold": round(threshold, 4),
        "eer": eer,
        "highest_live": round(float(scored.scores[~attack].max()), 5),
        "lowest_attack": round(float(scored.scores[attack].min()), 5),
    }
