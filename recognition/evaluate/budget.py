"""Whether a threshold solved from some people keeps others out: the test of `score_tail`.

People are dealt into two halves. A gallery is drawn from one of them and its threshold solved from
it alone; everybody of the other half is a stranger who is searched in it. The calibration, which
the solver starts from, is made of the solving half, too, so that nothing of the strangers is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accesscontrol.score_tail import Calibration, Tail, fit, pair_rate, wilson
from recognition.evaluate.calibration import calibrate, thresholds_by_rate, unfit_for_a_door
from recognition.evaluate.metrics import Floats
from recognition.pair_scores import pair_scores
from recognition.types import ModelInfo

TARGETS = ("1e-2", "3e-3", "1e-3")
"""False positive identification rates that thresholds are solved for."""
HALVINGS = 10
DRAWS = 20
"""Galleries of each size."""

Embeddings = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Portraits:
    """Embedded images: (N, D) of length 1, (N,) people as numbers, (N,) files."""

    embeddings: Embeddings
    people: NDArray[np.int64]
    paths: Sequence[Path]

    def of(self, members: NDArray[np.int64]) -> Portraits:
        """Those of some people."""
        rows = np.flatnonzero(np.isin(self.people, members))
        paths = [self.paths[row] for row in rows.tolist()]
        return Portraits(self.embeddings[rows], self.people[rows], paths)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One gallery, its tail and the scores of those who were searched in it.

    strangers: (S,) best score of each image of a stranger.
    own, other: (M,) best scores of held-out images of the gallery's people, with their own
        templates and with everybody else's; empty where none were held out.
    by_calibration: the threshold that the calibration alone would give at each target.
    """

    size: int
    tail: Tail
    strangers: Floats
    own: Floats
    other: Floats
    by_calibration: dict[str, float]

    def threshold(self, target: str, *, bound: bool) -> float:
        """As solved for this gallery."""
        return self.tail.threshold(float(target), self.size, bound=bound)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried: galleries' sizes in people, how often, and the calibration to start from.

    shipped: of the model; None to make one of each solving half.
    """

    sizes: Sequence[int]
    model: ModelInfo
    shipped: Mapping[str, Any] | None = None
    halvings: int = HALVINGS
    draws: int = DRAWS
    seed: int = 0


def halves(portraits: Portraits, plan: Plan) -> list[Trial]:
    """Both halves of each halving as gallery and as strangers, one image a person held out."""
    random = np.random.default_rng(plan.seed)
    everybody = np.unique(portraits.people)
    trials = []
    for _ in range(plan.halvings):
        dealt = random.permutation(everybody)
        middle = len(dealt) // 2
        for solving, strange in (
            (dealt[:middle], dealt[middle:]),
            (dealt[middle:], dealt[:middle]),
        ):
            calibration = _calibration(portraits.of(solving), plan)
            trials.append(_try(portraits, solving, strange, calibration, hold_out=True))
    return trials


def galleries(portraits: Portraits, size: int, plan: Plan) -> list[Trial]:
    """Galleries of `size` people of one half; of more than half the people where it takes them."""
    random = np.random.default_rng([plan.seed, size])
    everybody = np.unique(portraits.people)
    trials = []
    for _ in range(plan.draws):
        dealt = random.permutation(everybody)
        solving = dealt[: max(size, len(dealt) // 2)]
        calibration = _calibration(portraits.of(solving), plan)
        strange = dealt[len(solving) :]
        trials.append(_try(portraits, solving[:size], strange, calibration, hold_out=False))
    return trials


def summarise(
    portraits: Portraits,
    plan: Plan,
    headline: Sequence[Trial],
    by_size: Mapping[int, Sequence[Trial]],
) -> dict[str, Any]:
    """The figures, ready for JSON."""
    people, each = np.unique(portraits.people, return_counts=True)
    return {
        "people": len(people),
        "images": len(portraits.people),
        "people_with_several_images": int((each > 1).sum()),
        "calibration": "of the solving half" if plan.shipped is None else "shipped with the model",
        "halves": {target: at_target(headline, target) for target in TARGETS},
        "by_size": {
            str(size): {target: at_target(trials, target) for target in TARGETS}
            for size, trials in by_size.items()
        },
    }


def at_target(trials: Sequence[Trial], target: str) -> dict[str, Any]:
    """Predicted against observed, pooled over trials; the first trials search everybody once."""
    once = trials[:2]
    hits, searches = _false_positives(once, target)
    mated = sum(len(trial.own) for trial in trials)
    figures: dict[str, Any] = {
        "predicted": float(target),
        "trials": len(trials),
        "first_two": {
            "searches": searches,
            "false_positives": hits,
            "fpir": hits / searches,
            "interval95": wilson(hits, searches),
        },
        "bound": _observed(trials, [t.threshold(target, bound=True) for t in trials], target),
        "estimate": _observed(trials, [t.threshold(target, bound=False) for t in trials], target),
        "calibration_alone": _observed(trials, [t.by_calibration[target] for t in trials], target),
    }
    if mated:
        figures["mated_searches"] = mated
    return figures


def _observed(trials: Sequence[Trial], thresholds: Sequence[float], target: str) -> dict[str, Any]:
    """How many strangers each trial's threshold let in, pooled and at worst."""
    rates = [
        float((trial.strangers >= threshold).mean())
        for trial, threshold in zip(trials, thresholds, strict=True)
    ]
    return {
        "threshold": _mean(thresholds),
        "threshold_range": [round(min(thresholds), 5), round(max(thresholds), 5)],
        "fpir": float(np.average(rates, weights=[len(trial.strangers) for trial in trials])),
        "fpir_worst": max(rates),
        "over_target": sum(rate > float(target) for rate in rates),
        "searches": sum(len(trial.strangers) for trial in trials),
        **_missed(trials, thresholds),
    }


def _missed(trials: Sequence[Trial], thresholds: Sequence[float]) -> dict[str, float]:
    """FNIR where images were held out: below the threshold, or another person leads."""
    missed = np.concatenate(
        [
            np.where(trial.own > trial.other, trial.own, -1) < threshold
            for trial, threshold in zip(trials, thresholds, strict=True)
        ]
    )
    return {"fnir": float(missed.mean())} if len(missed) else {}


def _false_positives(trials: Sequence[Trial], target: str) -> tuple[int, int]:
    hits = sum(
        int((trial.strangers >= trial.threshold(target, bound=True)).sum()) for trial in trials
    )
    return hits, sum(len(trial.strangers) for trial in trials)


def _try(
    portraits: Portraits,
    enrolled: NDArray[np.int64],
    strange: NDArray[np.int64],
    calibration: Calibration,
    *,
    hold_out: bool,
) -> Trial:
    mine = portraits.of(enrolled)
    held = _last_of_several(mine.people) if hold_out else np.zeros(len(mine.people), np.bool_)
    templates, owners = mine.embeddings[~held], mine.people[~held]
    impostors = pair_scores(templates, owners).impostors
    scores = mine.embeddings[held] @ templates.T
    same = mine.people[held][:, None] == owners
    strangers = portraits.of(strange).embeddings @ templates.T
    return Trial(
        size=len(enrolled),
        tail=fit(impostors, calibration),
        strangers=strangers.max(axis=1).astype(np.float64),
        own=np.where(same, scores, -1).max(axis=1, initial=-1).astype(np.float64),
        other=np.where(same, -1, scores).max(axis=1, initial=-1).astype(np.float64),
        by_calibration={
            target: calibration.score_at(pair_rate(float(target), len(enrolled)))
            for target in TARGETS
        },
    )


def _last_of_several(people: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Each person's last image, if there are others to enrol."""
    _, numbers, counts = np.unique(people, return_inverse=True, return_counts=True)
    last = np.zeros(len(counts), np.int64)
    last[numbers] = np.arange(len(people))
    held = np.zeros(len(people), np.bool_)
    held[last[counts > 1]] = True
    return held


def _calibration(solving: Portraits, plan: Plan) -> Calibration:
    """Of the solving half, or the shipped one. Raises ValueError where the half is too small."""
    if plan.shipped is not None:
        return Calibration.read(plan.shipped)
    names = [str(number) for number in solving.people]
    made: dict[str, Any] = calibrate(solving.embeddings, names, plan.model, "")
    reason = unfit_for_a_door(made)
    if reason is not None:
        raise ValueError(f"{reason} Give --calibration shipped.")
    return Calibration.read({**made, "thresholds": thresholds_by_rate(made)})


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 5)
