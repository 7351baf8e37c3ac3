"""Clusters of visits: by density against a naive oracle, by number, and where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recognition import search
from recognition.clustering import (
    NOBODY,
    Labels,
    by_density,
    by_number,
    group,
    link_score,
    middles,
)
from recognition.search import Vectors


def unit(vectors: NDArray[np.float64]) -> Vectors:
    scaled: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def crowd(people: int, times: int, *, spread: float = 0.4, seed: int = 0) -> tuple[Vectors, Labels]:
    """Visits in mixed order, and whose they are; two of one person have a cosine of about 0.86."""
    random = np.random.default_rng(seed)
    faces = unit(random.standard_normal((people, 64)))
    owners = random.permutation(np.repeat(np.arange(people), times))
    noise = unit(random.standard_normal((len(owners), 64)))
    return unit((faces[owners] + spread * noise).astype(np.float64)), owners


def same(one: Labels, other: Labels) -> bool:
    """Whether two groupings are the same but for the clusters' numbers."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def naive_dbscan(vectors: Vectors, link: float, fewest: int) -> tuple[Labels, NDArray[np.bool_]]:
    """By the book: grow a cluster from each core point; and which points are core ones."""
    near = [set(np.flatnonzero(vectors @ v >= link).tolist()) for v in vectors]
    core = np.array([len(found) >= fewest for found in near], np.bool_)
    labels = np.full(len(vectors), NOBODY, np.int64)
    for seed in range(len(vectors)):
        if not core[seed] or labels[seed] != NOBODY:
            continue
        name, frontier = labels.max() + 1, [seed]
        labels[seed] = name
        while frontier:
            point = frontier.pop()
            for other in near[point]:
                if core[point] and labels[other] == NOBODY:
                    labels[other] = name
                    frontier.append(other)
    return labels, core


class TestByDensity:
    def test_people_who_come_again_are_one_cluster_each(self) -> None:
        vectors, owners = crowd(12, 5)
        assert same(by_density(vectors, 0.6), owners)

    def test_who_came_once_is_in_none(self) -> None:
        vectors, _ = crowd(20, 1)
        assert set(by_density(vectors, 0.6)) == {NOBODY}

    @pytest.mark.parametrize("fewest", [2, 3, 5])
    @pytest.mark.parametrize("link", [0.2, 0.45, 0.6, 0.8])
    def test_it_is_dbscan(self, link: float, fewest: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search, "_BLOCK", 700)  # several blocks
        vectors, _ = crowd(25, 6, spread=0.9)
        found = by_density(vectors, link, fewest)
        naive, core = naive_dbscan(vectors, link, fewest)
        assert same(found[core], naive[core])
        assert ((found == NOBODY) == (naive == NOBODY)).all()
        for edge in np.flatnonzero(~core & (found != NOBODY)):
            scores = np.where(core, vectors @ vectors[edge], -1)
            assert found[edge] == found[scores.argmax()], "an edge goes with its nearest"

    def test_clusters_are_numbered_by_their_first_members(self) -> None:
        labels = by_density(*crowd(8, 4)[:1], 0.6)
        firsts = [int(np.flatnonzero(labels == label)[0]) for label in range(8)]
        assert firsts == sorted(firsts)

    def test_a_chain_is_one_cluster_though_its_ends_are_unlike(self) -> None:
        angles = np.linspace(0, np.pi / 2, 12)
        chain = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        assert set(by_density(unit(chain), 0.98)) == {0}

    def test_the_same_face_all_day_is_one_cluster(self) -> None:
        vectors = np.repeat(unit(np.ones((1, 64))), 3_000, axis=0)
        assert set(by_density(vectors, 0.6)) == {0}

    @pytest.mark.parametrize("count", [0, 1])
    def test_nothing_to_compare_is_no_trouble(self, count: int) -> None:
        labels = by_density(unit(np.ones((count, 64))), 0.6)
        assert labels.tolist() == [NOBODY] * count

    def test_the_order_of_visits_changes_nothing(self) -> None:
        vectors, _ = crowd(10, 4, spread=0.9)
        order = np.random.default_rng(1).permutation(len(vectors))
        assert same(by_density(vectors, 0.5)[order], by_density(vectors[order], 0.5))


class TestByNumber:
    def test_told_the_true_number_it_finds_the_people(self) -> None:
        vectors, owners = crowd(6, 8)
        assert same(by_number(vectors, 6), owners)

    def test_it_is_the_same_each_time(self) -> None:
        vectors, _ = crowd(6, 8, spread=1.2)
        assert (by_number(vectors, 4) == by_number(vectors, 4)).all()

    def test_everybody_belongs_to_somebody(self) -> None:
        vectors, _ = crowd(10, 3)
        labels = by_number(vectors, 3)
        assert sorted(set(labels.tolist())) == [0, 1, 2]

    @pytest.mark.parametrize("people", [5, 500])
    def test_no_more_people_than_visits(self, people: int) -> None:
        vectors, _ = crowd(5, 1)
        assert sorted(by_number(vectors, people)) == [0, 1, 2, 3, 4]

    def test_fewer_faces_than_people_asked_for(self) -> None:
        vectors = np.repeat(unit(np.eye(2, 64)), 10, axis=0)
        labels = by_number(vectors, 4)
        assert len(labels) == 20
        assert not set(labels[:10].tolist()) & set(labels[10:].tolist())

    def test_nobody_is_no_trouble(self) -> None:
        assert len(by_number(np.zeros((0, 64), np.float32), 3)) == 0


class TestTheLink:
    def test_it_rises_with_the_number_of_pairs_that_can_be_wrong(self) -> None:
        asked: list[float] = []
        for visits in (2, 100, 10_000):
            link_score(lambda rate: asked.append(rate) or 0.5, visits)  # type: ignore[func-returns-value]
        assert asked == [1e-6, 1e-6, pytest.approx(1 / (10_000 * 9_999 / 2))]

    @pytest.mark.parametrize("visits", [0, 1])
    def test_nobody_to_compare_is_no_trouble(self, visits: int) -> None:
        assert link_score(lambda rate: rate, visits) == 1e-6


class TestGroup:
    def test_told_the_number_it_deals_by_that_and_asks_nobody_what_alike_is(self) -> None:
        vectors, owners = crowd(6, 8)
        assert same(group(vectors, None, 6), owners)
        assert same(group(vectors, lambda _: 0.0, 6), owners)

    def test_otherwise_it_links_by_the_rate_of_so_many_pairs(self) -> None:
        vectors, owners = crowd(12, 5)
        asked: list[float] = []

        def score_at(rate: float) -> float:
            asked.append(rate)
            return 0.6

        assert same(group(vectors, score_at), owners)
        assert asked == [1e-6]

    def test_where_nobody_can_say_what_alike_is_nobody_is_grouped(self) -> None:
        vectors, _ = crowd(3, 5)
        assert set(group(vectors, None)) == {NOBODY}


def test_the_middle_of_a_cluster_is_its_mean_direction() -> None:
    vectors = unit(np.array([[1.0, 0], [0, 1], [0, 1], [-1, 0]]))
    found = middles(vectors, np.array([0, 0, 1, NOBODY]))
    assert found == pytest.approx(unit(np.array([[1.0, 1], [0, 1]])))
    assert middles(vectors, np.full(4, NOBODY)).shape == (0, 2)
