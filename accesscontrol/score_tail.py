"""The threshold that keeps strangers out of one gallery, from the scores of its own people.

Statistics only, in NumPy, without Django: the site's page, the task that solves thresholds again
and `evaluate budget` call the same functions.

A stranger is taken for somebody if their best score among N people reaches the threshold t. With
p(t) the chance that one person of the gallery scores so high, FPIR = 1 - (1 - p)^N at most
(ISO/IEC 19795-1; people whom many resemble only make it smaller). p lies far beyond what a gallery
can show: 100 people are 4,950 pairs. So the upper tail of their scores is a generalised Pareto
distribution (peaks over threshold: Pickands 1975; Coles, An Introduction to Statistical Modeling
of Extreme Values, 2001, chapter 4). Where the tail begins comes from the gallery, how fast it falls
from the gallery and from the model's calibration, which is the prior: ten people move it little, a
thousand decide it. What is given is an upper bound, so few people give a strict threshold:

- of where the tail lies: a jackknife that leaves out groups of people, not pairs, as all pairs of
  one person err together;
- of how it falls: the posterior over a grid of scale and shape.

All this is done on *nearness*, -log(1 - cosine), not on the cosine. People who look more alike than
the calibration's lie higher and closer together: seven before one webcam have a mean of 0.74 where
Labeled Faces in the Wild has 0.63, and three quarters of its standard deviation; their nearness is
only moved. And no threshold then comes out at 1 or above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH = 0.001
BINS = round(2 / WIDTH)
"""Scores are counted in bins of WIDTH from -1 to 1: a cosine's thousandth decides nothing."""
GROUPS = 20
"""Of people, each left out once; fewer people are left out one by one."""
CONFIDENCE = 0.95
"""Of the upper bound, one-sided."""
FEWEST_PEOPLE = 3
"""Below, a gallery's own scores say nothing and the calibration alone decides."""

# How galleries differ from the calibration. Measured: seven people before one webcam lie two of
# the calibration's standard deviations above it, so a gallery that is not known may lie 1.2 off.
LOCATION_SD = 1.2
LOG_SCALE_SD = 0.15
SHAPE_SD = 0.05
# A gallery that looks *less* alike than the calibration's people is believed by n / (n + 20).
PEOPLE_OF_THE_PRIOR = 20
# Pairs of one person share this part of the scores' variance, about (Labeled Faces in the Wild).
PERSON_SHARE = 0.1
# A pair of so many may be anything, such as one person enrolled twice; it must not move the tail.
STRAY = 1e-6
_TAIL_PAIRS, _SMALLEST_TAIL, _LARGEST_TAIL = 200, 5e-4, 0.25
_GRID = 25
_LOWEST_RATE = 1e-15
_NEAREST = 1e-6
_EDGES: Floats = -np.log(np.maximum(1 - (np.arange(BINS + 1) * WIDTH - 1), _NEAREST))
"""Nearness at the lower edge of each bin, and at the upper one of the last."""


class TailError(ValueError):
    """Nothing can be solved from what there is; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The scores of pairs of two people that the model came with, as quantiles.

    rates: (K,) falling false match rates, one picture against one; nearness: (K,) where they are.
    """

    rates: tuple[float, ...]
    nearness: tuple[float, ...]

    @classmethod
    def read(cls, calibration: Mapping[str, Any]) -> Calibration:
        """From a model's calibration with `thresholds` by rate. Raises TailError."""
        points = {float(r): float(s) for r, s in calibration.get("thresholds", {}).items()}
        mean = calibration.get("impostor", {}).get("mean")
        if mean is not None:
            points[0.5] = float(mean)
        rates = sorted(points, reverse=True)
        scores = [points[rate] for rate in rates]
        if len(rates) < 2 or any(b <= a for a, b in pairwise(scores)):
            raise TailError(
                "The model's calibration has no thresholds that rise as the false match rate "
                "falls. Make one with: python -m recognition evaluate calibrate"
            )
        return cls(tuple(rates), tuple(nearness(score) for score in scores))

    def score_at(self, rate: float) -> float:
        """The cosine reached with this rate."""
        return cosine(self.nearness_at(rate))

    def nearness_at(self, rate: float) -> float:
        """The nearness reached with this rate: straight in its normal deviate between points."""
        deviates = [_deviate(known) for known in self.rates]
        wanted = _deviate(rate)
        after = min(max(int(np.searchsorted(deviates, wanted)), 1), len(deviates) - 1)
        low, high = deviates[after - 1], deviates[after]
        part = (wanted - low) / (high - low)
        return self.nearness[after - 1] + part * (self.nearness[after] - self.nearness[after - 1])

    @property
    def spread(self) -> float:
        """The standard deviation of the nearness, from its upper half."""
        rise = self.nearness_at(1e-3) - self.nearness_at(0.16)
        return rise / (_deviate(1e-3) - _deviate(0.16))

    def tail_beyond(self, fraction: float) -> tuple[float, float]:
        """Scale and shape of the Pareto tail beyond the nearness with this rate; least squares."""
        rates = np.geomspace(fraction, min(1e-6, fraction / 1e3), 40)[1:]
        excess = np.array([self.nearness_at(rate) for rate in rates])
        excess -= self.nearness_at(fraction)
        fits = []
        for shape in np.linspace(-0.4, 0.2, 61).tolist():
            reach = _reach(rates / fraction, np.array(shape))
            scale = float(reach @ excess / (reach @ reach))
            fits.append((float(((scale * reach - excess) ** 2).sum()), scale, shape))
        _, scale, shape = min(fits)
        return scale, shape


@dataclass(frozen=True, slots=True, eq=False)
class Impostors:
    """Scores between different people of one gallery, as a search takes them.

    A template of one person is the probe, the best of another's templates is the score; all
    ordered pairs of people weigh the same.

    people: in the gallery.
    templates: of a person, on average.
    counts: (BINS,) ordered pairs of people by score.
    without: (G, BINS) the same without each group of people.
    """

    people: int
    templates: float
    counts: Floats
    without: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """One tail of nearness: where it begins; scale, shape and weight of each point of the grid."""

    start: float
    fraction: float
    scales: Floats
    shapes: Floats
    weights: Floats

    def at(self, rate: float) -> tuple[float, float]:
        """Mean and standard deviation of the nearness with this rate, over the posterior."""
        ratio = np.array(min(rate / self.fraction, 1.0))
        scores = self.start + self.scales * _reach(ratio, self.shapes)
        mean = float(self.weights @ scores)
        return mean, math.sqrt(float(self.weights @ (scores - mean) ** 2))


@dataclass(frozen=True, eq=False)
class Tail:
    """The tail of a gallery's impostor scores, from `fit`; scores are cosines."""

    people: int
    spread: float
    fits: tuple[_Fit, ...]
    """Of everybody, then without each group; without any people the calibration's alone."""

    def score_at(self, rate: float, *, bound: bool = True) -> float:
        """The score that one other person reaches with this chance; its upper bound if asked."""
        every, *without = (fit.at(rate) for fit in self.fits)
        if not bound:
            return cosine(every[0])
        normal = NormalDist().inv_cdf(CONFIDENCE)
        prior = normal * LOCATION_SD * self.spread
        location = prior
        if without:
            count = len(without)
            left_out = np.array([mean for mean, _ in without])
            jackknife = math.sqrt((count - 1) * float(left_out.var()))
            least = self.spread * math.sqrt(4 * PERSON_SHARE / self.people)
            sampled = max(_student(count - 1) * jackknife, normal * least)
            location = sampled * prior / math.hypot(sampled, prior)
        return cosine(every[0] + math.hypot(location, normal * every[1]))

    def threshold(self, fpir: float, people: int, *, bound: bool = True) -> float:
        """The threshold at which a search of a stranger among `people` accepts at most `fpir`."""
        return self.score_at(pair_rate(fpir, people), bound=bound)

    def fpir(self, threshold: float, people: int, *, bound: bool = True) -> float:
        """How often a stranger is taken for one of `people` at a threshold, at most if `bound`.

        Never more than the rate at which the tail begins says, and that is said of all lower
        thresholds: this is about doors, not about the middle of the scores.
        """
        low, high = math.log(_LOWEST_RATE), math.log(self.fits[0].fraction)
        if self.score_at(math.exp(high), bound=bound) >= threshold:
            return search_rate(math.exp(high), people)
        for _ in range(40):
            middle = (low + high) / 2
            reached = self.score_at(math.exp(middle), bound=bound) <= threshold
            low, high = (low, middle) if reached else (middle, high)
        return search_rate(math.exp(high), people)

    @cached_property
    def summary(self) -> dict[str, float | int]:
        """What was fitted, in numbers for the record."""
        fit = self.fits[0]
        return {
            "people": self.people,
            "start": round(cosine(fit.start), 5),
            "fraction": round(fit.fraction, 6),
            "scale": round(float(fit.weights @ fit.scales), 6),
            "shape": round(float(fit.weights @ fit.shapes), 4),
            "groups_left_out": len(self.fits) - 1,
            "confidence": CONFIDENCE,
        }


def fit(impostors: Impostors | None, calibration: Calibration) -> Tail:
    """Fit the tail of a gallery; None, or fewer than FEWEST_PEOPLE, leaves the calibration."""
    people = 0 if impostors is None else impostors.people
    if impostors is None or people < FEWEST_PEOPLE:
        fraction = 1e-2
        templates = 1.0 if impostors is None else impostors.templates
        start = calibration.nearness_at(_single(fraction, templates))
        prior = _prior(calibration, fraction)
        return Tail(people, calibration.spread, (_Fit(start, fraction, *prior),))
    pairs = people * (people - 1) / 2
    fraction = min(max(_TAIL_PAIRS / pairs, _SMALLEST_TAIL), _LARGEST_TAIL)
    prior = _prior(calibration, fraction)
    known = calibration.nearness_at(_single(fraction, impostors.templates))
    fits = tuple(
        _fit_one(counts, fraction, prior, known, people)
        for counts in (impostors.counts, *impostors.without)
        if counts.sum() > 0
    )
    return Tail(people, calibration.spread, fits)


def nearness(score: float) -> float:
    """-log(1 - cosine), rising with it; a cosine of 1 counts as one in a million below."""
    return -math.log(max(1 - score, _NEAREST))


def cosine(near: float) -> float:
    """The cosine with this nearness."""
    return -math.expm1(-near)


def pair_rate(fpir: float, people: int) -> float:
    """The rate for one comparison that gives this one for a search among `people`."""
    return -math.expm1(math.log1p(-fpir) / max(people, 1))


def search_rate(rate: float, people: int) -> float:
    """The other way round: 1 - (1 - rate)^people."""
    return -math.expm1(max(people, 1) * math.log1p(-rate))


def count_scores(scores: Sequence[float] | Floats) -> Floats:
    """(BINS,) how many scores fall into each bin."""
    return np.bincount(bin_of(np.asarray(scores, dtype=np.float64)), minlength=BINS).astype(float)


def bin_of(scores: NDArray[Any]) -> NDArray[np.int64]:
    """The bin of each score; what lies outside of -1 to 1 counts as the nearest inside."""
    return np.clip(np.floor((scores + 1) / WIDTH), 0, BINS - 1).astype(np.int64)


def share_below(counts: Floats, threshold: float) -> float | None:
    """The share of counted scores below a threshold, to the bin; None where there are none."""
    total = float(counts.sum())
    if total <= 0:
        return None
    return float(counts[: int(bin_of(np.array(threshold + WIDTH / 2)))].sum()) / total


def wilson(hits: float, trials: float, deviate: float = 1.96) -> tuple[float, float]:
    """The interval of a share (Wilson 1927), 95 % where not told otherwise; 0..1."""
    if trials <= 0:
        return 0.0, 1.0
    share, room = hits / trials, deviate**2 / trials
    middle = (share + room / 2) / (1 + room)
    half = deviate * math.sqrt(share * (1 - share) / trials + room / trials / 4) / (1 + room)
    return max(0.0, middle - half), min(1.0, middle + half)


def _prior(calibration: Calibration, fraction: float) -> tuple[Floats, Floats, Floats]:
    """Grid of scales and shapes about the calibration's tail, with their prior weights."""
    scale, shape = calibration.tail_beyond(fraction)
    steps = np.linspace(-3, 3, _GRID)
    log_scales, shapes = np.meshgrid(
        math.log(scale) + LOG_SCALE_SD * steps, shape + SHAPE_SD * steps, indexing="ij"
    )
    weights = np.exp(-0.5 * (steps[:, None] ** 2 + steps**2)).ravel()
    return np.exp(log_scales).ravel(), shapes.ravel(), weights / weights.sum()


def _fit_one(
    counts: Floats,
    fraction: float,
    prior: tuple[Floats, Floats, Floats],
    known: float,
    people: int,
) -> _Fit:
    """The tail beyond the score that `fraction` of the counted pairs reach."""
    scales, shapes, weights = prior
    above = np.cumsum(counts[::-1])[::-1] / counts.sum()
    first = int(np.flatnonzero(above >= fraction)[-1])  # the bin in which the tail begins
    inside = counts[first] / counts.sum()
    part = min(1.0, (fraction - (above[first] - inside)) / inside)
    start = nearness((first + 1 - part) * WIDTH - 1)
    used = np.arange(first + 1, BINS)[counts[first + 1 :] > 0]
    # A pair of people is counted twice, once from each side, and says one thing.
    times = counts[used] / 2
    lower, upper = ((_EDGES[used + more] - start)[:, None] for more in (0, 1))
    chance = _survival(lower, scales, shapes) - _survival(upper, scales, shapes)
    fitted = times @ np.log((1 - STRAY) * chance + STRAY)
    posterior = np.log(weights) + fitted
    posterior = np.exp(posterior - posterior.max())
    if start < known:
        start += (known - start) * PEOPLE_OF_THE_PRIOR / (people + PEOPLE_OF_THE_PRIOR)
    return _Fit(start, fraction, scales, shapes, posterior / posterior.sum())


def _single(rate: float, templates: float) -> float:
    """The rate of one picture against one where the best of some templates reaches `rate`."""
    return -math.expm1(math.log1p(-rate) / max(templates, 1.0))


def _survival(excess: Floats, scales: Floats, shapes: Floats) -> Floats:
    """(B, K) chance to exceed (B, 1) excesses for each of K scales and shapes."""
    safe = np.where(np.abs(shapes) < 1e-6, 1e-6, shapes)
    inner = np.maximum(1 + safe * excess / scales, 0.0)
    with np.errstate(divide="ignore"):
        survival: Floats = np.where(inner > 0, inner ** (-1 / safe), 0.0)
    return survival


def _reach(ratio: Floats, shapes: Floats) -> Floats:
    """How many scales beyond its start a tail has fallen to `ratio` of its rate there."""
    safe = np.where(np.abs(shapes) < 1e-6, 1e-6, shapes)
    reach: Floats = np.expm1(-safe * np.log(ratio)) / safe
    return reach


def _deviate(rate: float) -> float:
    """Rising as the rate falls."""
    return -NormalDist().inv_cdf(min(max(rate, _LOWEST_RATE), 1 - 1e-9))


def _student(freedom: int) -> float:
    """Student's t at CONFIDENCE (Cornish-Fisher expansion, Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(CONFIDENCE)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
