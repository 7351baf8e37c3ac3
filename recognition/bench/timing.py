"""Clocks, memory, and one core for everything that is compared."""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from recognition.bench.frames import BenchError

Action = Callable[[], object]


def times_ms(actions: Mapping[str, Action], rounds: int, device: torch.device) -> dict[str, float]:
    """Milliseconds of each action, the best median of three thirds of the rounds.

    The actions take turns, so that none has the machine at a better moment than another; another
    process that runs for a while does not count as ours.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    warm_up = min(3, rounds)
    for turn in range(warm_up + rounds):
        for name, action in actions.items():
            _finish(device)
            start = time.perf_counter()
            action()
            _finish(device)
            if turn >= warm_up:
                times[name].append(1000 * (time.perf_counter() - start))
    third = -(-rounds // 3)
    return {
        name: round(
            min(statistics.median(all_[at : at + third]) for at in range(0, rounds, third)), 3
        )
        for name, all_ in times.items()
    }


@contextmanager
def one_core() -> Iterator[bool]:
    """Keep this thread, and the processes and threads that it starts, on one core meanwhile.

    Yields:
        Whether the system can do that; where it cannot, nothing is changed.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})  # the first core serves most of the interrupts
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)


def resident_mb() -> float:
    """This process's memory.

    Raises:
        BenchError: the system does not tell it.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError as error:
        raise BenchError("resident memory can be read on Linux only") from error
    return pages * resource.getpagesize() / 2**20


def peak_memory_mb() -> float:
    """The most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024 * 1024), 1)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
