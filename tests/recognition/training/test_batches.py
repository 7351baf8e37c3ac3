"""Batches hold K images each of P people, everybody equally often."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recognition.training.batches import IdentityBatches

# One person with many images, some with few, one with a single one.
LABELS = torch.tensor([4] * 50 + [1] * 3 + [2] * 4 + [9] * 5 + [7])


def batches(count: int, *, people: int = 3, images: int = 2, seed: int = 0) -> list[Tensor]:
    source = IdentityBatches(LABELS, people=people, images=images, seed=seed)
    return [source.rows(number) for number in range(count)]


def test_each_has_the_wanted_images_of_the_wanted_people() -> None:
    for rows in batches(50):
        people, counts = torch.unique(LABELS[rows], return_counts=True)
        assert len(people) == 3
        assert counts.tolist() == [2, 2, 2]


def test_everybody_comes_equally_often_however_many_images_they_have() -> None:
    shown = torch.cat(batches(100, people=2))  # 200 turns for five people
    _, counts = torch.unique(LABELS[shown], return_counts=True)
    assert counts.tolist() == [80] * 5


@pytest.mark.parametrize("people", [2, 3, 4, 5])
def test_within_any_round_nobody_comes_twice_before_all_came(people: int) -> None:
    turns = torch.cat([LABELS[rows][::2] for rows in batches(40, people=people)]).tolist()
    for start in range(0, len(turns) - 4, 5):
        assert len(set(turns[start : start + 5])) == 5


def test_all_images_of_a_person_come_before_any_comes_again() -> None:
    shown = torch.cat(batches(200)).tolist()
    own = [row for row in shown if LABELS[row] == 4]
    assert sorted(own[:50]) == list(range(50))
    assert own[:50] != list(range(50))


def test_who_has_too_few_images_is_shown_some_twice() -> None:
    shown = [row for rows in batches(10, people=5, images=3) for row in rows.tolist()]
    assert shown.count(62) == 30


def test_one_seed_gives_the_same_batches_another_gives_others() -> None:
    first, again, other = (torch.cat(batches(20, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_batch_is_the_same_whatever_was_asked_for_before() -> None:
    expected = batches(60)
    source = IdentityBatches(LABELS, people=3, images=2, seed=0)
    for number in (59, 3, 3, 41, 0):
        assert torch.equal(source.rows(number), expected[number])


@pytest.mark.parametrize("people", [1, 2, 3, 4, 5])
def test_nobody_is_twice_in_a_batch(people: int) -> None:
    for rows in batches(40, people=people):
        assert len(torch.unique(LABELS[rows])) == people


def test_orders_differ_from_round_to_round() -> None:
    turns = torch.cat([LABELS[rows][::2] for rows in batches(12, people=5)]).view(12, 5)
    assert len(torch.unique(turns, dim=0)) > 6


def test_more_people_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="6 people cannot be made of 5"):
        batches(1, people=6)
