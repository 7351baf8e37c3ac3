"""Which images a training step is shown: some images each of some people."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Integers = NDArray[np.int64]


class IdentityBatches:
    """Batches of P people with K images each, without end, everybody equally often.

    Within a round every person comes once, in random order, and nobody twice in one batch; a
    person's images come in random order, each once before any comes again, so that people with
    many images do not outweigh those with few, and no image is left out. Who has less than K
    images is shown some of them twice.

    A batch depends on the seed and its number alone, whatever was asked for before: rounds and
    decks are shuffled by generators of their own.

    Args:
        labels: (N,) int64, whose image each is.
        people: P, at most as many as there are.
        images: K.
        seed: at least 0.

    Raises:
        ValueError: there are fewer than P people.
    """

    def __init__(self, labels: Tensor, *, people: int, images: int, seed: int) -> None:
        whose, place = torch.unique(labels.cpu(), return_inverse=True)
        if len(whose) < people:
            raise ValueError(f"a batch of {people} people cannot be made of {len(whose)}")
        counts = torch.bincount(place, minlength=len(whose))
        order = place.argsort(stable=True).numpy()
        self._own = np.split(order, counts.cumsum(0)[:-1].numpy())
        self._people, self._images, self._seed = people, images, seed
        # After so many rounds a batch begins with a round again: no round before it matters.
        self._cycle = people // gcd(len(whose), people)
        self._rounds = lru_cache(maxsize=4)(self._shuffled_rounds)

    def rows(self, number: int) -> Tensor:
        """The rows of a batch, (P * K,) int64, person after person.

        Args:
            number: of the batch, from 0.
        """
        turns = range(number * self._people, (number + 1) * self._people)
        rows = [row for turn in turns for row in self._turn(*divmod(turn, len(self._own)))]
        return torch.tensor(rows)

    def _turn(self, round_: int, place: int) -> list[int]:
        """The images of whoever comes at this place of a round."""
        cycle, within = divmod(round_, self._cycle)
        person = int(self._rounds(cycle)[within][place])
        own = self._own[person]
        first = round_ * self._images
        dealt = (divmod(card, len(own)) for card in range(first, first + self._images))
        return [int(self._deck(person, deck)[card]) for deck, card in dealt]

    def _deck(self, person: int, deck: int) -> Integers:
        random = np.random.default_rng((self._seed, 1, person, deck))
        return random.permutation(self._own[person])

    def _shuffled_rounds(self, cycle: int) -> list[Integers]:
        """The order of people in each round of a cycle, which fills whole batches."""
        rounds: list[Integers] = []
        for number in range(self._cycle):
            random = np.random.default_rng((self._seed, 0, cycle * self._cycle + number))
            fresh = random.permutation(len(self._own))
            begun = number * len(self._own) % self._people
            if begun:  # by the last people of the round before: others fill that batch
                waiting = np.isin(fresh, rounds[-1][-begun:])
                fresh = np.concatenate([fresh[~waiting], fresh[waiting]])
            rounds.append(fresh)
        return rounds
