"""How fast a step is made with a data path, beside the same step on what already is on the device.

A device that trains should never wait for data: the ratio of the two says how far that is so.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, repeat

import torch
from torch import nn

from recognition.training.config import TrainConfig
from recognition.training.prefetch import Batch, Batches, batches_ahead
from recognition.training.ranks import Ranks, own_device
from recognition.training.stepping import Stepper, reproducible

_WARM_UP = 3  # steps before the first turn: memory, and the fastest ways to compute, are found


@dataclass(frozen=True, slots=True)
class Throughput:
    """Images a second, medians of the turns.

    fed: steps on batches as they come from the data path.
    ready: the same steps on one batch that lies on the device.
    data: the data path alone, nothing trained.
    ratio: median of each turn's fed / ready.
    turns: that ratio of each turn.
    """

    fed: float
    ready: float
    data: float
    ratio: float
    turns: tuple[float, ...]


def measure_throughput(
    model: nn.Module, batches: Batches, config: TrainConfig, *, steps: int, turns: int
) -> Throughput:
    """Measure one model's training step; its weights change.

    Fed and ready take turns, so that what else the machine does hits both.

    Args:
        config: its precision, device, accumulate, prefetch and average count.
        steps: measured in each turn of each.
    """
    ranks = Ranks.here(own_device(config.device))
    with reproducible(config):
        return _measure(Stepper(model, config, ranks), batches, steps=steps, turns=turns)


def _measure(stepper: Stepper, batches: Batches, *, steps: int, turns: int) -> Throughput:
    config, ranks = stepper.config, stepper.ranks
    ready = tuple(tensor.to(ranks.device) for tensor in batches.at(0, ranks.rank, ranks.count))
    _speed(stepper, repeat(ready), _WARM_UP)
    found = []
    for turn in range(turns):
        # What was made ahead before the clock starts must not count: those steps are not measured.
        ahead = 2 * config.prefetch + 1
        with closing(_stream(batches, config, ranks, turn * steps)) as stream:
            _speed(stepper, stream, ahead)
            fed = _speed(stepper, stream, steps)
        found.append((fed, _speed(stepper, repeat(ready), steps)))
    ratios = tuple(fed / on_device for fed, on_device in found)
    return Throughput(
        fed=statistics.median(fed for fed, _ in found),
        ready=statistics.median(on_device for _, on_device in found),
        data=_data_alone(batches, config, ranks, steps),
        ratio=statistics.median(ratios),
        turns=ratios,
    )


def _speed(stepper: Stepper, stream: Iterator[Batch], steps: int) -> float:
    """Items a second over so many steps."""
    began, items = _now(stepper.ranks.device), 0
    for _ in range(steps):
        batches: Sequence[Batch] = list(islice(stream, stepper.config.accumulate))
        items += stepper.step(0, batches).items
    return items / (_now(stepper.ranks.device) - began)


def _data_alone(batches: Batches, config: TrainConfig, ranks: Ranks, steps: int) -> float:
    ahead = 2 * config.prefetch + 1
    with closing(_stream(batches, config, ranks, 0)) as stream:
        for _ in islice(stream, ahead):
            pass
        began = _now(ranks.device)
        items = sum(len(batch[0]) for batch in islice(stream, steps * config.accumulate))
        return items / (_now(ranks.device) - began)


def _stream(
    batches: Batches, config: TrainConfig, ranks: Ranks, first: int
) -> Generator[Batch, None, None]:
    """Without an end in sight: making batches must not cease while it is measured."""
    return batches_ahead(
        batches,
        range(first, first + 2**40),
        threads=config.prefetch,
        ranks=ranks,
        device=ranks.device,
    )


def _now(device: torch.device) -> float:
    """Seconds, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
