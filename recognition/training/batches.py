"""Which images a training step is shown: some images each of some people."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def identity_batches(
    labels: Tensor, *, people: int, images: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Batches of P people with K images each, without end, everybody equally often.

    Within a round every person comes once, in random order; a person's images come in random
    order, each once before any comes again, so that people with many images do not outweigh those
    with few, and no image is left out. Who has less than K images is shown some of them twice.

    Args:
        labels: (N,) int64, whose image each is.
        people: P, at most as many as there are.
        images: K.

    Yields:
        (P * K,) int64 rows, person after person.

    Raises:
        ValueError: there are fewer than P people.
    """
    whose = torch.unique(labels)
    if len(whose) < people:
        raise ValueError(f"a batch of {people} people cannot be made of {len(whose)}")
    decks = {int(person): _deck(labels, int(person), generator) for person in whose}
    waiting: list[int] = []
    while True:
        if len(waiting) < people:
            # Who waits from the last round goes first; nobody twice in one batch.
            fresh = whose[torch.randperm(len(whose), generator=generator)].tolist()
            waiting += sorted(fresh, key=lambda person: person in waiting)
        chosen, waiting = waiting[:people], waiting[people:]
        yield torch.tensor([next(decks[person]) for person in chosen for _ in range(images)])


def _deck(labels: Tensor, person: int, generator: torch.Generator) -> Iterator[int]:
    """The person's images, shuffled anew each time all were dealt."""
    own = (labels == person).nonzero()[:, 0]
    while True:
        yield from own[torch.randperm(len(own), generator=generator)].tolist()
