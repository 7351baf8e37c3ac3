"""Error rates of a comparison score, as pure functions.

Terms are those of ISO/IEC 19795-1. A pair is accepted when its score is at or above the
threshold. FMR is the share of impostor pairs accepted, FNMR that of genuine pairs rejected, TAR
(the true accept rate) is 1 - FNMR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def best_threshold(scores: Floats, same: Bools) -> float:
    """The threshold with the highest accuracy; of a range of them, its middle.

    Args:
        scores: (N,), N at least 1.
        same: (N,), whether the pair is genuine.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], same[order]
    # Accepting the k best pairs: genuine ones among them are right, impostors among the rest.
    right = np.concatenate([[0], np.cumsum(hits)]) + np.concatenate(
        [np.cumsum(~hits[::-1])[::-1], [0]]
    )
    # Equal scores are accepted together or not at all.
    possible = np.concatenate([[True], ranked[1:] < ranked[:-1], [True]])
    best = np.flatnonzero(possible & (right == right[possible].max()))
    accepted = int(best[len(best) // 2])
    if accepted == 0:
        return float(np.nextafter(ranked[0], math.inf))
    if accepted == len(ranked):
        return float(ranked[-1])
    return float((ranked[accepted - 1] + ranked[accepted]) / 2)


def accuracy(scores: Floats, same: Bools, threshold: float) -> float:
    """Share of pairs that are rightly accepted or rejected."""
    return float(np.mean((scores >= threshold) == same))


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """accuracies, thresholds: one for each fold, in the folds' order. right: (N,) each pair."""

    accuracies: tuple[float, ...]
    thresholds: tuple[float, ...]
    right: Bools


def cross_validate(scores: Floats, same: Bools, fold: Ints) -> CrossValidation:
    """Accuracy on each fold at the threshold that is best on all the others.

    Huang et al., "Labeled Faces in the Wild" (2007), section III: 10 folds there, any number
    from 2 on here.

    Raises:
        ValueError: fewer than two folds.
    """
    folds = np.unique(fold)
    if len(folds) < 2:
        raise ValueError("cross-validation needs at least two folds")
    accuracies, thresholds = [], []
    right = np.zeros(len(scores), dtype=np.bool_)
    for number in folds:
        held_out = fold == number
        threshold = best_threshold(scores[~held_out], same[~held_out])
        right[held_out] = (scores[held_out] >= threshold) == same[held_out]
        accuracies.append(float(right[held_out].mean()))
        thresholds.append(threshold)
    return CrossValidation(tuple(accuracies), tuple(thresholds), right)


def threshold_at_fmr(impostor: Floats, fmr: float, weights: Floats | None = None) -> float:
    """The lowest threshold at which at most `fmr` of the impostor pairs are accepted.

    Args:
        impostor: (N,) scores, N at least 1.
        fmr: 0..1.
        weights: (N,) how often each pair counts; once each where not given.
    """
    order = np.argsort(-impostor, kind="stable")
    ranked = impostor[order]
    counts = np.ones(len(ranked)) if weights is None else weights[order]
    accepted = np.cumsum(counts)
    # Equal scores are accepted together, so each stands for the whole group up to its last.
    last_of_group = np.concatenate([ranked[1:] < ranked[:-1], [True]])
    excess = accepted > fmr * accepted[-1] * (1 + 1e-12)
    first_too_many = np.flatnonzero(last_of_group & excess)
    if len(first_too_many) == 0:
        return float(ranked[-1])
    return float(np.nextafter(ranked[first_too_many[0]], math.inf))


def accept_rate(scores: Floats, threshold: float, weights: Floats | None = None) -> float:
    """Share of the pairs at or above the threshold; of genuine pairs the TAR, else the FMR."""
    return float(np.average(scores >= threshold, weights=weights))


@dataclass(frozen=True, slots=True, eq=False)
class DetCurve:
    """threshold, fmr and fnmr, (K,) each, by rising threshold."""

    threshold: Floats
    fmr: Floats
    fnmr: Floats


def det_curve(genuine: Floats, impostor: Floats) -> DetCurve:
    """Both error rates at every score that occurs."""
    thresholds = np.unique(np.concatenate([genuine, impostor]))
    rejected = np.searchsorted(np.sort(genuine), thresholds, side="left")
    accepted = len(impostor) - np.searchsorted(np.sort(impostor), thresholds, side="left")
    return DetCurve(thresholds, accepted / len(impostor), rejected / len(genuine))


def equal_error_rate(curve: DetCurve) -> float:
    """The error rate where FMR and FNMR meet: the mean of both at their nearest."""
    nearest = int(np.argmin(np.abs(curve.fmr - curve.fnmr)))
    return float((curve.fmr[nearest] + curve.fnmr[nearest]) / 2)


def bootstrap_interval(
    statistic: Callable[[Floats], float],
    people: Sequence[tuple[str, str]],
    *,
    rounds: int = 1000,
    seed: int = 0,
    quantiles: tuple[float, float] = (0.025, 0.975),
) -> tuple[float, float] | None:
    """Interval of a statistic over pairs, by drawing people, not pairs, with replacement.

    Pairs that share a person are not independent; drawing pairs would make the interval too
    narrow (Bolle et al., 2004). A pair counts as often as both its people were drawn together.

    Args:
        statistic: of (N,) weights, one for each pair, not all 0; may return NaN for a draw
            without any pair of a kind, which is then left out.
        people: (N,) the two people of each pair, the same twice for a genuine pair.
        rounds: draws.
        seed: makes the result repeatable.
        quantiles: of the draws, where the interval begins and ends; by default it is of 95 %.

    Returns:
        The interval; None where no draw had a value.
    """
    names = sorted({name for pair in people for name in pair})
    index = {name: number for number, name in enumerate(names)}
    first = np.array([index[pair[0]] for pair in people])
    second = np.array([index[pair[1]] for pair in people])
    genuine = first == second
    random = np.random.default_rng(seed)
    values = []
    for _ in range(rounds):
        drawn = np.bincount(random.integers(len(names), size=len(names)), minlength=len(names))
        weights = np.where(genuine, drawn[first], drawn[first] * drawn[second])
        if weights.any():
            values.append(statistic(weights.astype(np.float64)))
    finite = np.array([value for value in values if not math.isnan(value)])
    if len(finite) == 0:
        return None
    low, high = np.quantile(finite, quantiles)
    return float(low), float(high)


def jackknife_interval(statistic: Callable[[Floats], float], people: int) -> tuple[float, float]:
    """95 % interval of a statistic over people, by leaving out one after the other.

    For figures of groups: draws with replacement have a third of the people fewer, so groups mix
    fewer people and entropies are smaller, and the bootstrap's interval may not hold the value
    itself. Normal, about the value (Efron and Tibshirani, 1993, chapter 11).

    Args:
        statistic: of (people,) weights, each 1 or 0.
        people: how many, at least 1.
    """
    everybody = np.ones(people)
    value = statistic(everybody)
    left = []
    for person in range(people):
        everybody[person] = 0
        left.append(statistic(everybody.copy()))
        everybody[person] = 1
    error = math.sqrt((people - 1) * float(np.var(left)))
    return value - 1.96 * error, value + 1.96 * error
