"""Compares the people of one gallery with each other, as a search at the door would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accesscontrol.score_tail import BINS, GROUPS, Impostors, bin_of
from recognition.search import best_by_person, blocks

PROBES = 5_000
"""Templates that are searched at most, as evenly from all people as they come: minutes of work
for a gallery of 100,000 would tell no more."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PairScores:
    """What a gallery's templates score.

    impostors: between different people.
    nearest: (BINS,) each probe's best score among all other people: searches of a stranger who
        looks like one of the gallery.
    genuine: (BINS,) each probe's best score among its own person's other templates.
    with_several: people with more than one template, whom `genuine` is from.
    """

    impostors: Impostors
    nearest: Floats
    genuine: Floats
    with_several: int


def pair_scores(
    embeddings: NDArray[np.float32], people: NDArray[np.int64], *, probes: int = PROBES
) -> PairScores:
    """Search templates among all others.

    Args:
        embeddings: (T, D) float32 of length 1, rotated or not; T may be 0.
        people: (T,) whose template each is.
        probes: templates searched at most.
    """
    order = np.argsort(people, kind="stable")
    vectors = embeddings[order].astype(np.float32)
    _, first, person, templates = np.unique(
        people[order], return_index=True, return_inverse=True, return_counts=True
    )
    count = len(first)
    groups = max(1, min(count, GROUPS))
    found = _Found(count, groups)
    searched = _drawn(person, first, probes)
    weights = 1 / np.bincount(person[searched], minlength=max(count, 1))[person[searched]]
    for start, scores in blocks(vectors[searched], vectors):
        rows = searched[start : start + len(scores)]
        scores[np.arange(len(rows)), rows] = -2  # a template says nothing of itself
        best = best_by_person(scores, first)
        found.add(best, person[rows], templates, weights[start : start + len(scores)])
    return found.result(float(templates.mean()) if count else 0.0, int((templates > 1).sum()))


def _drawn(person: NDArray[np.int64], first: NDArray[np.int64], probes: int) -> NDArray[np.int64]:
    """Rows to search: everybody's first template, then everybody's second, up to `probes`."""
    turn = np.arange(len(person)) - first[person] if len(person) else np.zeros(0, np.int64)
    # People in an order that has nothing to do with when they were enrolled.
    shuffled = np.random.default_rng(0).permutation(max(len(first), 1))
    order = np.lexsort((shuffled[person], turn))
    return np.sort(order[:probes])


class _Found:
    """Counts, block by block."""

    def __init__(self, people: int, groups: int) -> None:
        self._people = people
        self._groups = groups
        self._by_groups = np.zeros(groups * groups * BINS)
        self._nearest = np.zeros(BINS)
        self._genuine = np.zeros(BINS)

    def add(
        self,
        best: NDArray[np.float32],
        person: NDArray[np.int64],
        templates: NDArray[np.int64],
        weights: Floats,
    ) -> None:
        """Best scores (R, P) of R probes with every person."""
        if self._people < 2:
            self._count_genuine(best, person, templates)
            return
        rows = np.arange(len(person))
        self._count_genuine(best, person, templates)
        others = np.ones(best.shape, dtype=np.bool_)
        others[rows, person] = False
        bins = bin_of(best)
        group = np.arange(self._people) % self._groups
        keys = (group[person][:, None] * self._groups + group) * BINS + bins
        self._by_groups += np.bincount(
            keys[others],
            weights=np.broadcast_to(weights[:, None], best.shape)[others],
            minlength=len(self._by_groups),
        )
        highest = np.where(others, best, -2).max(axis=1)
        self._nearest += np.bincount(bin_of(highest), minlength=BINS)

    def _count_genuine(
        self,
        best: NDArray[np.float32],
        person: NDArray[np.int64],
        templates: NDArray[np.int64],
    ) -> None:
        several = templates[person] > 1
        own = best[np.flatnonzero(several), person[several]]
        self._genuine += np.bincount(bin_of(own), minlength=BINS)

    def result(self, templates: float, with_several: int) -> PairScores:
        table = self._by_groups.reshape(self._groups, self._groups, BINS)
        total = table.sum(axis=(0, 1))
        diagonal = table[np.arange(self._groups), np.arange(self._groups)]
        without = total - table.sum(axis=0) - table.sum(axis=1) + diagonal
        impostors = Impostors(self._people, templates, total, np.maximum(without, 0))
        return PairScores(impostors, self._nearest, self._genuine, with_several)
