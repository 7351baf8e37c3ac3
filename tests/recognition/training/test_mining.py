"""Which triplets count, each rule beside a loop that says it in words."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recognition.training.losses import squared_distances
from recognition.training.mining import (
    Miner,
    RandomTriplets,
    all_triplets,
    hard_triplets,
    semi_hard_triplets,
)

Triplet = tuple[int, int, int]


def batch(seed: int = 0, people: int = 5, images: int = 4) -> tuple[Tensor, Tensor]:
    """Squared distances of random unit vectors, in random order of people, and labels."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(people * images, 3, generator=generator, dtype=torch.float64)
    labels = torch.arange(people).repeat(images)[
        torch.randperm(people * images, generator=generator)
    ]
    return squared_distances(functional.normalize(features)), labels


def rows(triplets: Tensor) -> list[Triplet]:
    return [(a, p, n) for a, p, n in triplets.tolist()]


def pairs(labels: Tensor) -> list[tuple[int, int]]:
    both = itertools.permutations(range(len(labels)), 2)
    return [(a, p) for a, p in both if labels[a] == labels[p]]


def others(labels: Tensor, anchor: int) -> list[int]:
    return [n for n in range(len(labels)) if labels[n] != labels[anchor]]


def test_all_triplets_are_each_pair_with_each_other_person() -> None:
    distances, labels = batch()
    expected = [(a, p, n) for a, p in pairs(labels) for n in others(labels, a)]
    assert sorted(rows(all_triplets(distances, labels))) == sorted(expected)
    assert len(expected) == 5 * 4 * 3 * 4 * 4


def test_random_triplets_take_each_pair_once_with_somebody_else() -> None:
    distances, labels = batch()
    found = rows(RandomTriplets(torch.Generator().manual_seed(1))(distances, labels))
    assert sorted((a, p) for a, p, _ in found) == sorted(pairs(labels))
    assert all(labels[n] != labels[a] for a, _, n in found)


def test_random_triplets_draw_all_negatives_equally_often() -> None:
    distances, labels = batch(people=3, images=2)
    miner = RandomTriplets(torch.Generator().manual_seed(1))
    drawn = torch.cat([miner(distances, labels) for _ in range(1_000)])
    of_first = drawn[drawn[:, 0] == 0][:, 2]
    counts = torch.bincount(of_first, minlength=6)[others(labels, 0)]
    assert counts.min() > 200
    assert counts.max() < 300


def test_random_triplets_of_one_seed_are_the_same() -> None:
    distances, labels = batch()
    first, second = (RandomTriplets(torch.Generator().manual_seed(7)) for _ in range(2))
    for _ in range(3):
        assert torch.equal(first(distances, labels), second(distances, labels))


def test_hard_triplets_take_the_farthest_positive_and_the_nearest_negative() -> None:
    distances, labels = batch()
    expected = []
    for a in range(len(labels)):
        positives = [p for anchor, p in pairs(labels) if anchor == a]
        farthest = max(positives, key=lambda p: float(distances[a, p]))
        nearest = min(others(labels, a), key=lambda n: float(distances[a, n]))
        expected.append((a, farthest, nearest))
    assert rows(hard_triplets(distances, labels)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_semi_hard_triplets_take_the_nearest_negative_beyond_the_positive(seed: int) -> None:
    distances, labels = batch(seed)
    expected = []
    for a, p in pairs(labels):
        farther = [n for n in others(labels, a) if distances[a, n] > distances[a, p]]
        if farther:
            expected.append((a, p, min(farther, key=lambda n: float(distances[a, n]))))
        else:
            expected.append((a, p, max(others(labels, a), key=lambda n: float(distances[a, n]))))
    assert sorted(rows(semi_hard_triplets(distances, labels))) == sorted(expected)


def test_where_all_negatives_are_nearer_the_farthest_of_them_is_taken() -> None:
    distances = torch.tensor([[0.0, 3.0, 1.0, 2.0], [3.0, 0, 1, 2], [1, 1, 0, 1], [2, 2, 1, 0]])
    found = rows(semi_hard_triplets(distances, torch.tensor([0, 0, 1, 2])))
    assert found == [(0, 1, 3), (1, 0, 3)]


@pytest.mark.parametrize(
    "miner",
    [all_triplets, hard_triplets, semi_hard_triplets, RandomTriplets(torch.Generator())],
)
@pytest.mark.parametrize(
    "labels",
    [[0, 0, 0], [0, 1, 2], [0]],
    ids=["one person", "nobody twice", "one image"],
)
def test_a_batch_without_triplets_has_none(miner: Miner, labels: list[int]) -> None:
    distances = torch.rand(len(labels), len(labels))
    assert miner(distances, torch.tensor(labels)).shape == (0, 3)


def test_a_person_with_one_image_is_nobodys_anchor_but_anybodys_negative() -> None:
    distances, _ = batch(people=3, images=1)
    labels = torch.tensor([0, 0, 1])
    for miner in (all_triplets, hard_triplets, semi_hard_triplets):
        assert sorted(rows(miner(distances, labels))) == [(0, 1, 2), (1, 0, 2)]
