"""Whether a fine-tuned model may take its parent's place: better where it should be, not worse
elsewhere, and measured well enough for a door.

Everything is measured on people whom the fine-tune has not seen, before and after on the same
pairs. What cannot be measured counts as failed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from itertools import product

import numpy as np
import torch
from torch import Tensor

from recognition.evaluate.calibration import calibrate, unfit_for_a_door
from recognition.evaluate.datasets import Pair
from recognition.evaluate.metrics import (
    Bools,
    Floats,
    Ints,
    accept_rate,
    bootstrap_interval,
    cross_validate,
    threshold_at_fmr,
)
from recognition.training.subjects import Subjects
from recognition.types import ModelInfo

FEWEST_PEOPLE = 10
"""Held out: a bootstrap of fewer people says nothing of others."""
LARGEST_LOSS = 0.1
"""Percentage points of accuracy on the general set."""
LARGEST_POSSIBLE_LOSS = 0.5
"""The same, which the measurement must exclude with 95 % confidence: of a general set that is too
small to tell, anything could be said."""
ONE_SIDED = (0.05, 0.95)
"""Quantiles of the bootstrap: either bound is one of a one-sided 95 % confidence."""
ROUNDS = 2000
_FOLDS = 10
_MOST_STRANGERS = 200_000  # pairs
_FEWEST_IN_FOLD = 6  # people: of three, pairs of two people are few and alike
_MOST_OF_ONE = 60  # pairs of one person: who has a hundred photos is one person still
_FMR = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Pairs of rows of some subjects.

    first, second, fold: (P,) int64. people: (P,) of each pair's two.
    others: (Q, 2) int64, pairs of two people, from which the true accept rate's threshold is taken.
    """

    first: Ints
    second: Ints
    fold: Ints
    people: tuple[tuple[str, str], ...]
    others: Ints

    @property
    def same(self) -> Bools:
        """(P,) whether a pair is of one person."""
        return np.array([one == other for one, other in self.people], dtype=np.bool_)

    @property
    def count(self) -> int:
        """Of people."""
        return len({name for pair in self.people for name in pair})


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """reasons: why the model is not handed over; none if it is. figures: ready for JSON.

    calibration: as `evaluate.calibration.calibrate` gives it; None where there is none.
    """

    reasons: tuple[str, ...]
    figures: Mapping[str, object]
    calibration: Mapping[str, object] | None

    @property
    def passed(self) -> bool:
        """Whether the model may be handed over."""
        return not self.reasons


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a model is judged on: subjects, their vectors before and after, and pairs of them.

    before, after: (N, D) float32.
    """

    subjects: Subjects
    before: Tensor
    after: Tensor
    trial: Trial


def draw_trial(
    subjects: Subjects, *, first: str = "*", second: str = "*", folds: int = _FOLDS, seed: int = 0
) -> Trial:
    """Pairs of a photo that matches `first` with one that matches `second`; always the same.

    People are dealt into folds. A fold has its people's own pairs, at most 60 of one person, and
    as many pairs of two of its people.
    """
    draw = random.Random(seed)  # noqa: S311 (the same pairs each time, no secret)
    names = subjects.everybody
    folds = max(2 if len(names) >= 4 else 1, min(folds, len(names) // _FEWEST_IN_FOLD))
    rows: list[tuple[int, int, int]] = []
    for fold in range(folds):
        members = set(names[fold * len(names) // folds : (fold + 1) * len(names) // folds])
        own = [row for row, person in enumerate(subjects.people) if person in members]
        left = [row for row in own if fnmatch(subjects.names[row], first)]
        right = [row for row in own if fnmatch(subjects.names[row], second)]
        every = sorted({(min(pair), max(pair)) for pair in product(left, right)})
        rows += [(a, b, fold) for a, b in _balanced(every, subjects.people, draw)]
    left = [row for row, name in enumerate(subjects.names) if fnmatch(name, first)]
    right = [row for row, name in enumerate(subjects.names) if fnmatch(name, second)]
    return _trial(rows, subjects, _strangers(left, right, subjects, seed))


def _strangers(left: Sequence[int], right: Sequence[int], subjects: Subjects, seed: int) -> Ints:
    """(Q, 2): all pairs of two people, or many of them."""
    a, b = (side.ravel() for side in np.meshgrid(left, right, indexing="ij"))
    whose = subjects.labels.numpy()
    every = np.flatnonzero(whose[a] != whose[b])
    if len(every) > _MOST_STRANGERS:
        every = np.random.default_rng(seed).choice(every, _MOST_STRANGERS, replace=False)
    pairs: Ints = np.stack([a[every], b[every]], 1).astype(np.int64)
    return pairs


def _balanced(
    every: Sequence[tuple[int, int]], people: Sequence[str], draw: random.Random
) -> list[tuple[int, int]]:
    own: dict[str, list[tuple[int, int]]] = {}
    others = []
    for a, b in every:
        if people[a] != people[b]:
            others.append((a, b))
        elif a != b:
            own.setdefault(people[a], []).append((a, b))
    same = [
        pair for pairs in own.values() for pair in draw.sample(pairs, min(len(pairs), _MOST_OF_ONE))
    ]
    return same + draw.sample(others, min(len(others), len(same)))


def listed_trial(subjects: Subjects, pairs: Sequence[Pair]) -> Trial:
    """The pairs of a list, as `evaluate.datasets.read_pairs` gives it, whose faces were found."""
    keys = zip(subjects.people, subjects.names, strict=True)
    row = {key: place for place, key in enumerate(keys)}
    stems = {(person, name.rpartition(".")[0]): place for (person, name), place in row.items()}
    rows = []
    for pair in pairs:
        found = [
            row.get((one.person, one.file))
            if one.file
            else stems.get((one.person, f"{one.person}_{one.number:04d}"))
            for one in (pair.first, pair.second)
        ]
        if found[0] is not None and found[1] is not None:
            rows.append((found[0], found[1], pair.fold))
    return _trial(rows, subjects)


def _trial(
    rows: Sequence[tuple[int, int, int]], subjects: Subjects, others: Ints | None = None
) -> Trial:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    people = tuple((subjects.people[a], subjects.people[b]) for a, b, _ in table.tolist())
    if others is None:
        others = table[[one != other for one, other in people], :2]
    return Trial(table[:, 0], table[:, 1], table[:, 2], people, others)


def judge(site: Ground, general: Ground | None, model: ModelInfo, data: str) -> Verdict:
    """Judge a fine-tuned model.

    Args:
        site: people of the site who were held out.
        general: people who stand for everybody else, neither trained nor replayed on.
        model: what the fine-tuned model would be registered as.
        data: the general set's name, for the calibration.
    """
    broken = _broken([ground for ground in (site, general) if ground is not None])
    if broken:
        return Verdict((broken,), {}, None)
    figures: dict[str, object] = {}
    reasons = [_judge_site(site, figures)]
    calibration = None
    if general is None or len(general.subjects.everybody) < 2:
        reasons.append(
            "there is no general set, so that neither what it has lost on other people nor its "
            "calibration can be measured: give --general, photos of 500 or more people"
        )
    else:
        reasons.append(_judge_general(general, figures))
        people = general.subjects.people
        calibration = calibrate(general.after.numpy(), people, model, data)
        unfit = unfit_for_a_door(calibration)
        if unfit is not None:
            reasons.append(f"it cannot be calibrated on the general set: {unfit}")
    found = tuple(reason for reason in reasons if reason is not None)
    return Verdict(found, figures, calibration)


def _broken(grounds: Sequence[Ground]) -> str | None:
    """What is wrong with the vectors themselves."""
    for ground in grounds:
        if not bool(torch.isfinite(ground.after).all()):
            return "some of its vectors are no numbers"
        if float((ground.after.norm(dim=1) - 1).abs().max()) > 1e-3:
            return "some of its vectors are not of length 1"
        middle = ground.after.double().mean(0)
        spread = float((ground.after.double() - middle).square().sum(1).mean())
        if spread < 0.01:
            return f"its vectors have collapsed into one (their variance is {spread:.2g} of 1)"
    return None


def _judge_site(ground: Ground, figures: dict[str, object]) -> str | None:
    if ground.trial.count < FEWEST_PEOPLE or not _whole(ground.trial):
        return (
            f"only {ground.trial.count} people with two photos or more could be held out: too few "
            f"to tell whether it is better; it takes {FEWEST_PEOPLE}"
        )
    found = compare(ground)
    figures["site"] = found.to_json()
    accepted = [round(rates["tar_1e-3"], 2) for rates in (found.before, found.after)]
    if found.at_least > 0 and accepted[1] < accepted[0]:
        return (
            "at a threshold as doors have, of a false match rate of 1e-3, it accepts fewer of the "
            f"people held out: {accepted[1]} % of the pairs, before {accepted[0]} %"
        )
    if found.at_least > 0:
        return None
    return (
        f"it is not significantly better on the {ground.trial.count} people held out: "
        f"{found.gain:+.2f} points of accuracy, with 95 % confidence {found.at_least:+.2f} or more"
    )


def _judge_general(ground: Ground, figures: dict[str, object]) -> str | None:
    if ground.trial.count < FEWEST_PEOPLE or not _whole(ground.trial):
        return (
            f"only {ground.trial.count} people of the general set have pairs: too few to tell what "
            f"it has lost; it takes {FEWEST_PEOPLE}"
        )
    found = compare(ground)
    figures["general"] = found.to_json()
    if found.gain >= -LARGEST_LOSS and found.at_least >= -LARGEST_POSSIBLE_LOSS:
        return None
    return (
        f"it loses on the general set: {found.gain:+.2f} points of accuracy, with 95 % confidence "
        f"{found.at_least:+.2f} or more, where {-LARGEST_LOSS:+.1f} and "
        f"{-LARGEST_POSSIBLE_LOSS:+.1f} are allowed"
    )


def _whole(trial: Trial) -> bool:
    same = trial.same
    return bool(same.any() and (~same).any() and len(np.unique(trial.fold)) >= 2)


@dataclass(frozen=True, slots=True)
class Compared:
    """Two models on the same pairs, in percent.

    before, after: accuracy, and the true accept rate at a false match rate of 1e-3.
    gain: of accuracy, in points. at_least, at_most: its bounds, each of a one-sided confidence of
        95 %, by a bootstrap over people of the difference pair by pair.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    gain: float
    at_least: float
    at_most: float
    people: int
    pairs: int

    def to_json(self) -> dict[str, object]:
        """The figures, rounded."""
        bounds = {"gain_at_least": self.at_least, "gain_at_most": self.at_most}
        rounded = {name: round(value, 4) for name, value in {"gain": self.gain, **bounds}.items()}
        found = {"before": dict(self.before), "after": dict(self.after)}
        return {**found, **rounded, "people": self.people, "pairs": self.pairs}


def compare(ground: Ground) -> Compared:
    """Measure both models on pairs of at least two folds, some of one person and some of two."""
    trial, same = ground.trial, ground.trial.same
    right: list[Bools] = []
    figures: list[dict[str, float]] = []
    for vectors in (ground.before, ground.after):
        table = vectors.double().numpy()
        scores: Floats = (table[trial.first] * table[trial.second]).sum(1)
        right.append(cross_validate(scores, same, trial.fold).right)
        one, other = trial.others.T
        threshold = threshold_at_fmr((table[one] * table[other]).sum(1), _FMR)
        shares = {"accuracy": right[-1].mean(), "tar_1e-3": accept_rate(scores[same], threshold)}
        figures.append({name: round(100 * float(share), 4) for name, share in shares.items()})
    change = 100 * (right[1].astype(np.float64) - right[0])
    bounds = bootstrap_interval(
        partial(_weighted, change), trial.people, rounds=ROUNDS, quantiles=ONE_SIDED
    )
    low, high = bounds or (-100.0, 100.0)
    count = trial.count
    before, after = figures
    return Compared(before, after, float(change.mean()), low, high, count, len(trial.people))


def _weighted(change: Floats, weights: Floats) -> float:
    return float(np.average(change, weights=weights))
