"""Which of several processes this is, and what they tell each other.

Processes are started by `recognition.training.launch`, or by torch's own `torchrun`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from recognition.training.config import TrainingError

_PATIENCE = timedelta(hours=2)  # that the others have while the first validates


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's number and how many there are: 0 of 1 where there is one only.

    device: where tensors that are exchanged must lie.
    """

    rank: int
    count: int
    device: torch.device

    @classmethod
    def here(cls, device: torch.device) -> Ranks:
        """As the process group says, if one was joined."""
        if not dist.is_available() or not dist.is_initialized():
            return cls(0, 1, device)
        return cls(dist.get_rank(), dist.get_world_size(), device)

    def agree(self, refusal: TrainingError | None) -> None:
        """Raise what the first process has to refuse, in all of them.

        Raises:
            TrainingError: it refuses.
        """
        if self.of_first(int(refusal is not None)):
            raise refusal or TrainingError("the first process cannot go on; see its message")

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def of_first(self, number: int) -> int:
        """The first process's number, to all."""
        if self.count == 1:
            return number
        told = torch.tensor([number], dtype=torch.int64, device=self.device)
        dist.broadcast(told, 0)
        return int(told.item())

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes of a tensor of one shape, to all."""
        if self.count == 1:
            return values
        total = values.to(self.device)
        dist.all_reduce(total)
        return total / self.count

    def gathered(self, value: Tensor) -> list[Tensor]:
        """Each process's tensor of one shape, on the CPU, by rank; to all."""
        if self.count == 1:
            return [value.cpu()]
        own = value.to(self.device)
        all_of_them = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(all_of_them, own)
        return [one.cpu() for one in all_of_them]


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the other processes, if this was started as one of several; the device to train on.

    Args:
        device: "cpu", "cuda", which becomes each process's own, or one in particular.

    Raises:
        TrainingError: there are more processes than devices.
    """
    if not dist.is_torchelastic_launched():
        yield device
        return
    on_cuda = torch.device(device).type == "cuda"
    if on_cuda:
        own, there = dist.get_node_local_rank(), torch.cuda.device_count()
        if own >= there:
            raise TrainingError(f"processes: there are {there} CUDA devices here, one for each")
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if on_cuda else "gloo", timeout=_PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def leave(status: int) -> NoReturn:
    """End this process; as one of several at once, without the interpreter's finalisation.

    DistributedDataParallel keeps gloo's threads alive beyond `destroy_process_group`, and while
    the interpreter is finalised they now and then abort a process (status 134) whose training has
    ended well (pytorch/pytorch#179291).
    """
    if dist.is_torchelastic_launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    raise SystemExit(status)


def own_device(device: str) -> torch.device:
    """The device that a name means to this process."""
    found = torch.device(device)
    if found.type != "cuda" or ":" in device:
        return found
    if not torch.cuda.is_available():
        raise TrainingError("device: there is no CUDA here; use cpu")
    return torch.device("cuda", torch.cuda.current_device())
