"""How well an embedder tells people apart whom it never learnt from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recognition.embed import embed
from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.metrics import (
    Bools,
    Floats,
    Ints,
    accept_rate,
    bootstrap_interval,
    cross_validate,
    det_curve,
    equal_error_rate,
    threshold_at_fmr,
)
from recognition.training.embedding import EmbeddingModel
from recognition.training.faces import Faces

FMR = 1e-2
_FOLDS = 5
_MOST_GENUINE = 15  # of one person: who has many images shall not be most of the figure
_MOST_IMAGES = 40
_IMPOSTORS = 8  # for each genuine pair
_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Rows of faces to compare, always the same for the same faces.

    first, second: (N,) rows. fold: (N,): both people of a pair are of one fold.
    same: (N,) whether genuine. balanced: (N,) those of which accuracy is taken: all genuine ones
        and as many of two people.
    people: the two people's names of each pair.
    """

    first: Ints
    second: Ints
    fold: Ints
    same: Bools
    balanced: Bools
    people: Sequence[tuple[str, str]]


def draw_pairs(faces: Faces, seed: int = 0) -> Pairs:
    """Genuine pairs, at most 15 of a person, and up to eight times as many impostors, by fold.

    Raises:
        DatasetError: a fold has no pair of one person or of two.
    """
    random = np.random.default_rng(seed)
    whose = faces.whose.numpy()
    fold_of = random.permutation(len(faces.people)) % max(2, min(_FOLDS, len(faces.people) // 2))
    rows: list[Ints] = []
    for fold in np.unique(fold_of):
        members = np.flatnonzero(fold_of[whose] == fold)
        genuine = _genuine(whose, members, random)
        impostors = _impostors(whose, members, _IMPOSTORS * len(genuine), random)
        if not len(genuine) or not len(impostors):
            raise DatasetError(
                f"{len(faces.people)} people with {len(whose)} images are too few to measure on: "
                "several people need two images or more."
            )
        rows += [genuine, impostors]
    first, second = np.concatenate(rows).T
    # Of a fold first the genuine pairs come, then impostors, of which as many count for accuracy.
    sizes = [len(part) for part in rows]
    kept = [min(size, sizes[place - place % 2]) for place, size in enumerate(sizes)]
    balanced = [np.arange(size) < keep for size, keep in zip(sizes, kept, strict=True)]
    names = np.array(faces.people)
    return Pairs(
        first,
        second,
        fold_of[whose[first]],
        whose[first] == whose[second],
        np.concatenate(balanced),
        list(zip(names[whose[first]].tolist(), names[whose[second]].tolist(), strict=True)),
    )


def _genuine(whose: Ints, members: Ints, random: np.random.Generator) -> Ints:
    """(M, 2) rows: of each person up to so many pairs."""
    found = []
    for person in np.unique(whose[members]):
        own = random.permutation(np.flatnonzero(whose == person))[:_MOST_IMAGES]
        pairs = np.stack(np.triu_indices(len(own), 1), 1)
        found.append(own[random.permutation(pairs)[:_MOST_GENUINE]])
    return np.concatenate(found)


def _impostors(whose: Ints, members: Ints, wanted: int, random: np.random.Generator) -> Ints:
    """(M, 2) rows of two people each, none twice; fewer than wanted where few are drawn."""
    drawn = np.sort(random.choice(members, (3 * wanted + 100, 2)), 1)
    drawn = drawn[whose[drawn[:, 0]] != whose[drawn[:, 1]]]
    _, places = np.unique(drawn, axis=0, return_index=True)
    chosen: Ints = drawn[np.sort(places)][:wanted]
    return chosen


@torch.inference_mode()
def vectors(network: nn.Module, pixels: Tensor) -> NDArray[np.float32]:
    """(N, D) unit vectors of faces (N, 3, 112, 112) uint8, as the engine makes them.

    Args:
        network: in evaluation mode, on any device.
    """
    device = next(network.parameters()).device
    parts = []
    for start in range(0, len(pixels), _BATCH):
        batch = pixels[start : start + _BATCH].to(device)
        parts.append(embed(network, batch.float()).float().cpu())
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found


def compare(network: nn.Module, faces: Faces, pairs: Pairs) -> Floats:
    """(N,) cosines of the pairs."""
    unit = vectors(network, faces.pixels).astype(np.float64)
    scores: Floats = (unit[pairs.first] * unit[pairs.second]).sum(1)
    return scores


def accuracy_of(scores: Floats, pairs: Pairs) -> tuple[float, Floats]:
    """Mean accuracy of the folds, each at the others' best threshold; and who was right, 0 or 1."""
    chosen = pairs.balanced
    found = cross_validate(scores[chosen], pairs.same[chosen], pairs.fold[chosen])
    right = np.zeros(len(scores))
    right[chosen] = found.right
    return float(np.mean(found.accuracies)), right


def tar_of(scores: Floats, pairs: Pairs, weights: Floats | None = None) -> float:
    """TAR at FMR 1e-2; NaN for weights that leave no pair of a kind."""
    same = pairs.same
    if weights is None:
        weights = np.ones(len(scores))
    if not weights[same].any() or not weights[~same].any():
        return math.nan
    threshold = threshold_at_fmr(scores[~same], FMR, weights[~same])
    return accept_rate(scores[same], threshold, weights[same])


def figures_of(scores: Floats, pairs: Pairs) -> dict[str, float]:
    """accuracy, tar at FMR 1e-2, and eer."""
    curve = det_curve(scores[pairs.same], scores[~pairs.same])
    return {
        "accuracy": accuracy_of(scores, pairs)[0],
        "tar": tar_of(scores, pairs),
        "eer": equal_error_rate(curve),
    }


def validation(faces: Faces) -> Callable[[nn.Module], dict[str, float]]:
    """What the engine calls to see how an `EmbeddingModel` does on these people."""
    pairs = draw_pairs(faces)

    def validate(model: nn.Module) -> dict[str, float]:
        if not isinstance(model, EmbeddingModel):
            raise TypeError(f"{type(model).__name__} is no EmbeddingModel")
        return figures_of(compare(model.network, faces, pairs), pairs)

    return validate


def intervals(
    runs: Sequence[Floats], pairs: Pairs, *, against: Sequence[Floats] = ()
) -> dict[str, tuple[float, float] | None]:
    """95 % intervals over people of the mean over runs; with `against`, of the mean's gain on it.

    Args:
        runs: (N,) scores of each run. against: those of other runs.
    """
    right = np.mean([accuracy_of(one, pairs)[1] for one in runs], 0)
    if against:
        right = right - np.mean([accuracy_of(one, pairs)[1] for one in against], 0)

    def drawn_accuracy(weights: Floats) -> float:
        counted = weights * pairs.balanced
        return float(np.average(right, weights=counted)) if counted.any() else math.nan

    def drawn_tar(weights: Floats) -> float:
        own = float(np.mean([tar_of(one, pairs, weights) for one in runs]))
        other = [tar_of(one, pairs, weights) for one in against]
        return own - float(np.mean(other)) if other else own

    rounds = 300
    return {
        "accuracy": bootstrap_interval(drawn_accuracy, pairs.people, rounds=rounds),
        "tar": bootstrap_interval(drawn_tar, pairs.people, rounds=rounds),
    }
