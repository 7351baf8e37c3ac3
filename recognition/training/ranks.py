"""Which of several processes this is, and what they tell each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


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
