"""Whether quality predicts the genuine score: error against discard, and rank correlation.

The error-versus-discard characteristic of ISO/IEC 29794-1:2024 (the error-reject curve of earlier
parts; Grother and Tabassi, 2007): at a fixed threshold, the FNMR of the genuine pairs left when
the share with the lowest quality is discarded. A pair's quality is that of its worse image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.metrics import Bools, Floats, bootstrap_interval, threshold_at_fmr
from recognition.evaluate.verification import ScoredPairs
from recognition.types import Quality, Shortfall

SCORE, CERTAINTY = "score", "certainty"
DISCARDED = np.linspace(0, 0.3, 31)
"""Shares of the pairs up to which the curve runs."""

FMR = "1e-3"
STARTS = 0.1
"""Share of genuine pairs that the second threshold rejects: where the first rejects only a few,
its curve is mostly chance."""


@dataclass(frozen=True, slots=True, eq=False)
class RatedPairs:
    """The genuine pairs whose faces were both found.

    scores: (N,) cosines. people: (N,) names. qualities: (N,) by measure. thresholds: by what
    they stand for.
    """

    scores: Floats
    people: list[str]
    qualities: dict[str, Floats]
    thresholds: dict[str, float]


def rate(scored: ScoredPairs) -> RatedPairs:
    """Put each genuine pair's quality beside its score.

    Raises:
        DatasetError: no genuine pair, or no impostor pair, with both faces found.
    """
    found = ~scored.failed
    genuine, impostor = found & scored.same, found & ~scored.same
    if not genuine.any() or not impostor.any():
        raise DatasetError("no pairs of one and of two people in which both faces were found")
    rows = np.flatnonzero(genuine).tolist()
    pairs = [scored.pairs[row] for row in rows]
    both = [[values(scored.qualities[scored.paths[p]]) for p in (q.first, q.second)] for q in pairs]
    qualities = {
        name: np.array([min(one[name], other[name]) for one, other in both]) for name in both[0][0]
    }
    scores = scored.scores[genuine]
    thresholds = {
        f"fmr_{FMR}": threshold_at_fmr(scored.scores[impostor], float(FMR)),
        f"fnmr_{STARTS:g}": float(np.quantile(scores, STARTS)),
    }
    return RatedPairs(scores, [pair.first.person for pair in pairs], qualities, thresholds)


def values(quality: Quality) -> dict[str, float]:
    """The score and what it is made of, by name; the higher the better."""
    measured = {SCORE: quality.score}
    if quality.certainty is not None:
        measured[CERTAINTY] = quality.certainty
    shares = quality.components
    return measured | {str(name): shares[name] for name in Shortfall if name in shares}


def discard_curve(
    failed: Bools, quality: Floats, shares: Floats, weights: Floats | None = None
) -> Floats:
    """FNMR of the pairs left when the share with the lowest quality is discarded.

    Of pairs of the same quality each is discarded in part, so their order does not matter.

    Args:
        failed: (N,) whether each genuine pair is rejected, N at least 1.
        quality: (N,).
        shares: (K,) in [0, 1).
        weights: (N,) how often each pair counts; once each where not given.
    """
    _, group = np.unique(quality, return_inverse=True)
    counts = np.ones(len(quality)) if weights is None else weights
    pairs = np.concatenate([[0], np.cumsum(np.bincount(group, counts))])
    errors = np.concatenate([[0], np.cumsum(np.bincount(group, counts * failed))])
    gone = shares * pairs[-1]
    left: Floats = (errors[-1] - np.interp(gone, pairs, errors)) / (pairs[-1] - gone)
    return left


def ideal_curve(fnmr: float, shares: Floats) -> Floats:
    """The curve of a quality that is lowest for exactly the rejected pairs."""
    curve: Floats = np.maximum(fnmr - shares, 0) / (1 - shares)
    return curve


def area(curve: Floats, shares: Floats) -> float:
    """The curve's mean over the shares."""
    return float(np.trapezoid(curve, shares) / (shares[-1] - shares[0]))


def gain(failed: Bools, quality: Floats, shares: Floats, weights: Floats | None = None) -> float:
    """How much of the area between random and ideal discarding the quality wins.

    1 is ideal, 0 no better than chance, below 0 worse; NaN where no pair is rejected, or all
    pairs have the same quality.
    """
    curve = discard_curve(failed, quality, shares, weights)
    best = area(ideal_curve(float(curve[0]), shares), shares)
    if curve[0] <= best or quality.min() == quality.max():
        return math.nan
    return float((curve[0] - area(curve, shares)) / (curve[0] - best))


def spearman(first: Floats, second: Floats, weights: Floats | None = None) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where one of both is constant."""
    counts = np.ones(len(first)) if weights is None else weights
    ranks = [_ranks(entry, counts) for entry in (first, second)]
    a, b = (entry - np.average(entry, weights=counts) for entry in ranks)
    spread = math.sqrt(float((counts * a * a).sum()) * float((counts * b * b).sum()))
    return float((counts * a * b).sum() / spread) if spread > 0 else math.nan


def _ranks(entries: Floats, counts: Floats) -> Floats:
    _, group = np.unique(entries, return_inverse=True)
    held = np.bincount(group, counts)
    ranks: Floats = (np.cumsum(held) - held / 2)[group]
    return ranks


def summarise(scored: ScoredPairs, rated: RatedPairs) -> dict[str, object]:
    """The evaluation's figures, ready for JSON; what has no value is None.

    Keyed by threshold, then by measure: the curve over `discarded`, its area, the gain with its
    95 % interval. Intervals are bootstraps over people, at the threshold of all.
    """
    return {
        "images": scored.images,
        "missed": len(scored.missed),
        "missed_images": list(scored.missed),
        "pairs": len(scored.pairs),
        "genuine": {
            "rated": len(rated.scores),
            "not_found": int((scored.failed & scored.same).sum()),
        },
        "discarded": DISCARDED.round(2).tolist(),
        "spearman": {
            name: _with_interval(rated, partial(_correlation, rated.scores, quality))
            for name, quality in rated.qualities.items()
        },
        "at": {name: _at(rated, threshold) for name, threshold in rated.thresholds.items()},
    }


def _at(rated: RatedPairs, threshold: float) -> dict[str, object]:
    failed = rated.scores < threshold
    fnmr = float(failed.mean())
    ideal = ideal_curve(fnmr, DISCARDED)
    return {
        "threshold": threshold,
        "fnmr": fnmr,
        "ideal": {"curve": ideal.tolist(), "area": area(ideal, DISCARDED)},
        "random": {"area": fnmr},
        "by": {name: _by(rated, failed, quality) for name, quality in rated.qualities.items()},
    }


def _by(rated: RatedPairs, failed: Bools, quality: Floats) -> dict[str, object]:
    curve = discard_curve(failed, quality, DISCARDED)
    won = _with_interval(rated, partial(_won, failed, quality))
    return {"curve": curve.tolist(), "area": area(curve, DISCARDED), "gain": won}


def _won(failed: Bools, quality: Floats, weights: Floats | None) -> float:
    return gain(failed, quality, DISCARDED, weights)


def _correlation(scores: Floats, quality: Floats, weights: Floats | None) -> float:
    return spearman(quality, scores, weights)


def _with_interval(
    rated: RatedPairs, statistic: partial[float]
) -> dict[str, float | tuple[float, float] | None]:
    value = statistic(None)
    people = [(name, name) for name in rated.people]
    return {
        "value": None if math.isnan(value) else value,
        "interval95": None
        if math.isnan(value)
        else bootstrap_interval(statistic, people, rounds=500),
    }


def without_curves(figures: Mapping[str, object]) -> dict[str, object]:
    """The figures for reading."""
    return {
        name: without_curves(value) if isinstance(value, Mapping) else value
        for name, value in figures.items()
        if name not in {"curve", "discarded"}
    }
