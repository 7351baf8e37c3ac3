"""Agreement of clusters with people: against loops that say the definitions, and by hand."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from recognition.clustering import NOBODY
from recognition.evaluate.cluster_metrics import Counted, b_cubed, nmi, pairwise

Visits = list[tuple[int, int]]
"""Cluster and person of each."""
VISITS = st.lists(st.tuples(st.integers(NOBODY, 4), st.integers(0, 4)), min_size=1, max_size=25)


def counted(visits: Visits, times: NDArray[np.float64] | None = None) -> Counted:
    labels, people = np.array(visits, np.int64).T
    return Counted.of(labels, people, times)


def together(one: int, other: int, visits: Visits) -> bool:
    return one == other or NOBODY != visits[one][0] == visits[other][0]


def naive_pairwise(visits: Visits) -> tuple[float, float]:
    pairs = list(combinations(range(len(visits)), 2))
    put = {pair for pair in pairs if together(*pair, visits)}
    true = {(a, b) for a, b in pairs if visits[a][1] == visits[b][1]}
    right = len(put & true)
    return right / len(put) if put else 1.0, right / len(true) if true else 1.0


def naive_b_cubed(visits: Visits) -> tuple[float, float]:
    """Amigó et al. (2009), section 4.3: averages over items of the items they share both with."""
    precision, recall = 0.0, 0.0
    numbers = range(len(visits))
    for item in numbers:
        put = {other for other in numbers if together(item, other, visits)}
        true = {other for other in numbers if visits[other][1] == visits[item][1]}
        precision += len(put & true) / len(put)
        recall += len(put & true) / len(true)
    return precision / len(visits), recall / len(visits)


def naive_nmi(visits: Visits) -> float:
    clusters = [str(c) if c != NOBODY else f"alone {n}" for n, (c, _) in enumerate(visits)]
    people = [person for _, person in visits]
    total = len(visits)
    shared = 0.0
    for (cluster, person), both in Counter(zip(clusters, people, strict=True)).items():
        expected = clusters.count(cluster) * people.count(person) / total
        shared += both / total * math.log(both / expected)
    entropies = [
        -sum(n / total * math.log(n / total) for n in Counter(names).values())
        for names in (clusters, people)
    ]
    return 2 * shared / sum(entropies) if sum(entropies) > 1e-12 else 1.0


def values(table: Counted) -> list[float]:
    pairs, visits = pairwise(table), b_cubed(table)
    return [pairs.precision, pairs.recall, visits.precision, visits.recall, nmi(table)]


@given(visits=VISITS)
@settings(max_examples=200, deadline=None)
def test_all_are_as_counted_one_by_one(visits: Visits) -> None:
    naive = [*naive_pairwise(visits), *naive_b_cubed(visits), naive_nmi(visits)]
    assert values(counted(visits)) == pytest.approx(naive, abs=1e-9)


@given(visits=VISITS)
@settings(max_examples=100, deadline=None)
def test_names_and_order_do_not_count(visits: Visits) -> None:
    renamed = [(c if c == NOBODY else 90 - c, 7 * p) for c, p in reversed(visits)]
    assert values(counted(visits)) == pytest.approx(values(counted(renamed)))


@given(visits=VISITS)
@settings(max_examples=100, deadline=None)
def test_what_is_exchanged_exchanges_precision_and_recall(visits: Visits) -> None:
    visits = [(c, p) for c, p in visits if c != NOBODY] or [(0, 0)]
    there, back = counted(visits), counted([(p, c) for c, p in visits])
    for measure in (pairwise, b_cubed):
        assert measure(there).precision == pytest.approx(measure(back).recall)
    assert nmi(there) == pytest.approx(nmi(back), abs=1e-9)


class TestByHand:
    PEOPLE = (0, 0, 0, 1, 1, 2)

    def table(self, *labels: int) -> Counted:
        return counted(list(zip(labels, self.PEOPLE, strict=True)))

    def test_what_is_right_is_one(self) -> None:
        table = self.table(5, 5, 5, 2, 2, NOBODY)
        assert pairwise(table).f == b_cubed(table).f == nmi(table) == 1

    def test_each_alone_is_never_wrong_and_finds_no_pair(self) -> None:
        table = self.table(*[NOBODY] * 6)
        assert (pairwise(table).precision, pairwise(table).recall) == (1, 0)
        assert pairwise(table).f == 0
        # Of their people's visits each finds itself: (3 * 1/3 + 2 * 1/2 + 1) / 6.
        assert b_cubed(table).precision == 1
        assert b_cubed(table).recall == pytest.approx(1 / 2)
        people = -(3 * math.log(3 / 6) + 2 * math.log(2 / 6) + math.log(1 / 6)) / 6
        assert nmi(table) == pytest.approx(2 * people / (people + math.log(6)))

    def test_nobody_is_a_cluster_of_one_each_and_not_one_of_all(self) -> None:
        alone, named = self.table(NOBODY, NOBODY, NOBODY, 3, 3, 3), self.table(4, 5, 6, 3, 3, 3)
        for measure in (pairwise, b_cubed):
            assert measure(alone) == measure(named)
        assert nmi(alone) == nmi(named)

    def test_all_in_one_finds_every_pair_and_tells_nothing(self) -> None:
        table = self.table(*[0] * 6)
        assert pairwise(table).recall == b_cubed(table).recall == 1
        assert pairwise(table).precision == pytest.approx(4 / 15)
        assert b_cubed(table).precision == pytest.approx((3 * 3 + 2 * 2 + 1) / 36)
        assert nmi(table) == 0

    def test_one_person_in_one_cluster_is_all_that_there_is_to_know(self) -> None:
        table = counted([(0, 0)] * 4)
        assert pairwise(table).f == b_cubed(table).f == nmi(table) == 1

    def test_two_people_in_one_cluster(self) -> None:
        table = self.table(0, 0, 0, 0, 0, 1)
        assert (pairwise(table).precision, pairwise(table).recall) == (0.4, 1)
        assert b_cubed(table).precision == pytest.approx((3 * 3 / 5 + 2 * 2 / 5 + 1) / 6)

    def test_a_large_mixed_cluster_hurts_pairs_more_than_visits(self) -> None:
        visits = [(0, 0)] * 20 + [(0, 1)] * 20 + [(n, n) for n in range(2, 40)]
        assert pairwise(counted(visits)).precision < 0.5 < 0.7 < b_cubed(counted(visits)).precision

    def test_nothing_at_all_is_not_wrong(self) -> None:
        empty = Counted.of(np.zeros(0, np.int64), np.zeros(0, np.int64))
        assert pairwise(empty).f == b_cubed(empty).f == nmi(empty) == 1


class TestPeopleCounted:
    @given(visits=VISITS, data=st.data())
    @settings(max_examples=100, deadline=None)
    def test_a_pair_counts_as_often_as_both_together(
        self, visits: Visits, data: st.DataObject
    ) -> None:
        names = sorted({person for _, person in visits})
        times = {name: data.draw(st.integers(0, 3)) for name in names}
        table = counted(visits, np.array([float(times[name]) for name in names]))
        put, right, true = 0, 0, 0
        for a, b in combinations(range(len(visits)), 2):
            one, other = visits[a][1], visits[b][1]
            count = times[one] if one == other else times[one] * times[other]
            put += count * together(a, b, visits)
            right += count * (together(a, b, visits) and one == other)
            true += count * (one == other)
        found = pairwise(table)
        assert found.precision == pytest.approx(right / put if put else 1.0)
        assert found.recall == pytest.approx(right / true if true else 1.0)

    @given(visits=VISITS)
    @settings(max_examples=50, deadline=None)
    def test_who_does_not_count_is_as_if_not_there(self, visits: Visits) -> None:
        names = sorted({person for _, person in visits})
        left = [visit for visit in visits if visit[1] != names[0]]
        if not left:
            return
        times = np.array([0.0] + [1.0] * (len(names) - 1))
        expected = values(counted(left))
        assert values(counted(visits, times)) == pytest.approx(expected, abs=1e-9)

    def test_a_person_counted_twice_is_still_nobody_else(self) -> None:
        table = counted([(0, 0), (0, 0), (1, 1)], np.array([2.0, 1.0]))
        assert pairwise(table).precision == b_cubed(table).precision == 1
