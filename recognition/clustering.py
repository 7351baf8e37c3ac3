"""Whose visits are one person's: clusters of unit vectors (NumPy only, pure).

Where nobody knows how many people there are, clusters are found by density (DBSCAN: Ester and
others, 1996): two visits are linked if they are as alike as two people hardly ever are, and who is
linked is one person. Where the number is given, by spherical K-means (Dhillon and Modha, 2001).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recognition.search import Vectors, blocks

WRONG_LINKS = 1.0
"""Links of two people that are to be expected among all pairs of visits, at most."""
LOOSEST_RATE = 1e-6
"""However few visits there are: their people may be more alike than a calibration's."""
FEWEST = 2
"""Visits that are a person who came again."""
NOBODY = -1
_RESTARTS, _ROUNDS = 4, 30

Labels = NDArray[np.int64]
ScoreAt = Callable[[float], float]
"""The cosine that a false match rate of two strangers has, as the model's calibration or a site's
own scores tell (`accesscontrol.score_tail`)."""


def group(vectors: Vectors, score_at: ScoreAt | None, people: int | None = None) -> Labels:
    """Whose each vector (N, D) of length 1 is, as for a site's unknown visitors.

    Args:
        vectors: faces, or visits.
        score_at: how alike two people are, for `link_score`.
        people: how many there are, where that is known.

    Returns:
        (N,) by number if `people` is given, else by density; where nobody can say what alike is,
        all NOBODY.
    """
    if people is not None:
        return by_number(vectors, people)
    if score_at is None:
        return np.full(len(vectors), NOBODY, np.int64)
    return by_density(vectors, link_score(score_at, len(vectors)))


def link_score(score_at: ScoreAt, visits: int) -> float:
    """The cosine from which two visits are taken for one person's.

    The more visits, the more pairs can be wrong: the false match rate asked for is WRONG_LINKS
    over the number of pairs, and never above LOOSEST_RATE.

    Args:
        score_at: how alike two people are.
        visits: how many are compared.
    """
    pairs = max(visits * (visits - 1) / 2, 1.0)
    return score_at(min(LOOSEST_RATE, WRONG_LINKS / pairs))


def by_density(vectors: Vectors, link: float, fewest: int = FEWEST) -> Labels:
    """Cluster without knowing how many people there are.

    Args:
        vectors: (N, D) float32 of length 1; N may be 0.
        link: cosine from which two are neighbours.
        fewest: neighbours, itself among them, that make a vector a part of a cluster's middle.

    Returns:
        (N,) the cluster of each, from 0 in the order of their first members; NOBODY for a vector
        that is in none. A vector at the edge of several belongs to that of its nearest neighbour.
    """
    count = len(vectors)
    near = np.zeros(count, np.int64)
    for start, scores in blocks(vectors, vectors):
        near[start : start + len(scores)] = (scores >= link).sum(axis=1)
    middle = np.flatnonzero(near >= fewest)
    roots = np.arange(len(middle))
    inner = vectors[middle]
    for _, scores in blocks(inner, inner):
        for row in scores >= link:
            met = roots[row]
            if met.min() != met.max():
                roots[np.isin(roots, met)] = met.min()
    labels = np.full(count, NOBODY, np.int64)
    labels[middle] = roots
    edge = np.flatnonzero((near < fewest) & (near > 1))
    for start, scores in blocks(vectors[edge], inner) if len(inner) else ():
        best = scores.argmax(axis=1)
        reached = scores[np.arange(len(best)), best] >= link
        labels[edge[start : start + len(best)][reached]] = roots[best[reached]]
    return _numbered(labels)


def by_number(vectors: Vectors, people: int, *, seed: int = 0) -> Labels:
    """Deal vectors (N, D) of length 1 out among `people` clusters, as alike within as can be.

    The best of a few beginnings, each drawn far apart (k-means++: Arthur and Vassilvitskii, 2007)
    with a fixed seed. No more clusters than vectors; (N,) labels as in `by_density`, none NOBODY.
    """
    if len(vectors) == 0:
        return np.zeros(0, np.int64)
    random = np.random.default_rng(seed)
    people = min(max(people, 1), len(vectors))
    tries = [_deal(vectors, _far_apart(vectors, people, random)) for _ in range(_RESTARTS)]
    _, labels = max(tries, key=lambda one: one[0])
    return _numbered(labels)


def middles(vectors: Vectors, labels: Labels) -> Vectors:
    """The mean direction of each cluster, (K, D) of length 1; `labels` run from 0 to K - 1."""
    inside = labels != NOBODY
    return _unit(_sums(vectors[inside], labels[inside], int(labels.max(initial=NOBODY)) + 1))


def _numbered(labels: Labels) -> Labels:
    """The same clusters, numbered from 0 in the order of their first members."""
    inside = labels != NOBODY
    names, first, which = np.unique(labels[inside], return_index=True, return_inverse=True)
    order = np.empty(len(names), np.int64)
    order[np.argsort(first)] = np.arange(len(names))
    numbered = np.full(len(labels), NOBODY, np.int64)
    numbered[inside] = order[which]
    return numbered


def _far_apart(vectors: Vectors, people: int, random: np.random.Generator) -> Vectors:
    """Beginnings (K, D): of a few drawn far from the others the one that is near to most."""
    chosen = [int(random.integers(len(vectors)))]
    distance = np.clip(1 - vectors @ vectors[chosen[0]], 0, None).astype(np.float64)
    drawn = 2 + int(math.log(people))
    while len(chosen) < people:
        total = float(distance.sum())
        # Only copies of what is chosen are left where all distances are 0.
        chance = distance / total if total > 0 else None
        found = random.choice(len(vectors), size=drawn, p=chance)
        left = np.minimum(distance[:, None], np.clip(1 - vectors @ vectors[found].T, 0, None))
        best = int(left.sum(axis=0).argmin())
        chosen.append(int(found[best]))
        distance = left[:, best]
    return vectors[chosen]


def _deal(vectors: Vectors, centres: Vectors) -> tuple[float, Labels]:
    """Lloyd's rounds from these beginnings: the sum of cosines with the own centre, and labels."""
    labels = np.full(len(vectors), NOBODY, np.int64)
    for _ in range(_ROUNDS):
        scores = vectors @ centres.T
        dealt = scores.argmax(axis=1)
        # A centre that nobody is nearest to takes over whoever is farthest from theirs.
        empty = np.setdiff1d(np.arange(len(centres)), dealt)
        if len(empty):
            lonely = np.argsort(scores.max(axis=1), kind="stable")[: len(empty)]
            dealt[lonely] = empty
        if np.array_equal(dealt, labels):
            break
        labels = dealt
        centres = _unit(_sums(vectors, labels, len(centres)))
    return float((vectors * centres[labels]).sum()), labels


def _sums(vectors: Vectors, labels: Labels, count: int) -> Vectors:
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    return sums


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled
