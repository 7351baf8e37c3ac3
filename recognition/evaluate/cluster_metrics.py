"""How well clusters agree with people, as pure functions of two labellings.

All are computed from the counts of each cluster's visits by person. A visit in no cluster (NOBODY)
is one by itself. People may count several times, or not at all (`jackknife_interval`): a pair of
two people's visits then counts as often as both together, one of a person's own as often as that
person, who is nobody else for being counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recognition.clustering import NOBODY, Labels

Floats = NDArray[np.float64]
People = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Precision: of what was put together, how much belongs together. Recall: the other way round.

    Both 0..1, and 1 where there is nothing to be wrong about.
    """

    precision: float
    recall: float

    @property
    def f(self) -> float:
        """Their harmonic mean, 0 where both are."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Visits by cluster and person, as a sparse table of its K cells that are not 0.

    cluster, person: (K,) numbers from 0. visits: (K,) in the cell. times: (P,) how often each
    person counts.
    """

    cluster: NDArray[np.int64]
    person: NDArray[np.int64]
    visits: Floats
    times: Floats

    @classmethod
    def of(cls, labels: Labels, people: People, times: Floats | None = None) -> Counted:
        """From clusters (N,) and people (N,).

        Args:
            labels: of each visit, NOBODY where it is in none.
            people: whose each is.
            times: (P,) how often each person counts, in the order of their numbers; once each
                where not given.
        """
        _, cluster = np.unique(_alone(labels), return_inverse=True)
        names, person = np.unique(people, return_inverse=True)
        codes, visits = np.unique(cluster * max(len(names), 1) + person, return_counts=True)
        each = np.ones(len(names)) if times is None else times
        return cls(*np.divmod(codes, max(len(names), 1)), visits.astype(np.float64), each)

    def with_times(self, times: Floats) -> Counted:
        """The same visits, people counted otherwise."""
        return Counted(self.cluster, self.person, self.visits, times)


def pairwise(table: Counted) -> Agreement:
    """Over pairs of visits: were they put together, and are they one person's?"""
    own = table.times[table.person]
    together = (own * table.visits * (table.visits - 1) / 2).sum()
    # Of two people: all pairs of a cluster, less those within what is counted of one person.
    weighted = own * table.visits
    clusters = np.bincount(table.cluster, weighted)
    within = np.bincount(table.cluster, weighted**2, minlength=len(clusters))
    mixed = float((clusters**2 - within).sum()) / 2
    of_person = np.bincount(table.person, table.visits, minlength=len(table.times))
    true = (table.times * of_person * (of_person - 1) / 2).sum()
    return Agreement(_share(together, together + mixed), _share(together, true))


def b_cubed(table: Counted) -> Agreement:
    """The same for each visit's own cluster and person, averaged over visits.

    So that who comes often does not outweigh the others. Bagga and Baldwin (1998); of the measures
    for clusters the one that Amigó et al. (2009) find to satisfy all that one should ask of them.
    """
    own = table.times[table.person]
    weighted = own * table.visits
    others = np.bincount(table.cluster, weighted)[table.cluster] - weighted
    of_person = np.bincount(table.person, table.visits, minlength=len(table.times))
    precision = (weighted * table.visits / (table.visits + others)).sum()
    recall = (weighted * table.visits / of_person[table.person]).sum()
    return Agreement(_share(precision, weighted.sum()), _share(recall, weighted.sum()))


def nmi(table: Counted) -> float:
    """Mutual information of clusters and people, over the arithmetic mean of their entropies; 0..1.

    Strehl and Ghosh (2002) took the geometric mean; the arithmetic one makes it the V-measure of
    Rosenberg and Hirschberg (2007). 1 where both have one group only. It is not corrected for
    chance: many small clusters score high, whatever is in them.
    """
    weighted = table.times[table.person] * table.visits
    total = weighted.sum()
    if not total:
        return 1.0
    joint = _entropy(weighted / total)
    clusters = _entropy(np.bincount(table.cluster, weighted) / total)
    people = _entropy(np.bincount(table.person, weighted) / total)
    if clusters + people <= 0:
        return 1.0
    return min(1.0, max(0.0, 2 * (clusters + people - joint) / (clusters + people)))


def _entropy(shares: Floats) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0


def _alone(labels: Labels) -> Labels:
    """Each that is in no cluster gets one of its own."""
    numbered = labels.copy()
    nobody = np.flatnonzero(labels == NOBODY)
    numbered[nobody] = labels.max(initial=0) + 1 + np.arange(len(nobody))
    return numbered
