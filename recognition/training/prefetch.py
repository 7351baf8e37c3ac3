"""Makes batches ahead of the steps that take them, on threads, and brings them to the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from recognition.training.ranks import Ranks

Batch = tuple[Tensor, ...]


class Batches(Protocol):
    """What a model is trained on: a pure function of the number of a batch.

    Which images, in which order, how they are changed: all is derived from the own seed, the number
    and the rank, never from what was asked before. So a run resumes with the very batches that it
    would have had, and threads may ask for several at once, in any order.
    """

    @property
    def fingerprint(self) -> str:
        """A digest of the data and of how batches are made of them; another one, other batches."""
        ...

    def at(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The tensors, on the CPU, of one batch: what the model is called with.

        Args:
            step: the batch's number, from 0, without end. With gradient accumulation a step of the
                optimiser takes several.
            rank, ranks: which part of it: process `rank` of `ranks`. All parts are of one size.
        """
        ...


def batches_ahead(
    batches: Batches, numbers: range, *, threads: int, ranks: Ranks, device: torch.device
) -> Generator[Batch]:
    """The batches with these numbers, in order, on the device.

    Args:
        threads: that make batches while the device is busy; 0 makes each when it is asked for.

    Raises:
        whatever making a batch raises, where that batch would have come.
    """

    def make(number: int) -> Batch:
        batch = batches.at(number, ranks.rank, ranks.count)
        if device.type == "cuda":  # only pinned memory is copied while the device computes
            return tuple(tensor.pin_memory() for tensor in batch)
        return batch

    def brought(batch: Batch) -> Batch:
        return tuple(tensor.to(device, non_blocking=True) for tensor in batch)

    if not threads:
        for number in numbers:
            yield brought(make(number))
        return
    waiting: deque[Future[Batch]] = deque()
    upcoming = iter(numbers)
    with ThreadPoolExecutor(threads, thread_name_prefix="batches") as pool:
        try:
            for number in upcoming:
                waiting.append(pool.submit(make, number))
                if len(waiting) > 2 * threads:
                    yield brought(waiting.popleft().result())
            while waiting:
                yield brought(waiting.popleft().result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
