"""A light change of an embedder's vectors: what a fine-tune may learn on top of any embedder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Adapter(nn.Module):
    """Unit vectors v to the unit vectors along v + change(v), of the same dimension.

    As it begins it changes nothing (residual adapters: Houlsby et al., 2019, arXiv:1902.00751).

    Args:
        dimension: D of the vectors.
        hidden: of the layer in between; 0 for a change that is linear.
    """

    def __init__(self, dimension: int, hidden: int = 0) -> None:
        super().__init__()
        self.dimension, self.hidden = dimension, hidden
        self.change: nn.Module
        if hidden:
            self.change = nn.Sequential(
                nn.Linear(dimension, hidden, bias=False),
                nn.PReLU(hidden),
                nn.Linear(hidden, dimension, bias=False),
            )
            last = self.change[2]
        else:
            self.change = last = nn.Linear(dimension, dimension, bias=False)
        nn.init.zeros_(last.get_parameter("weight"))

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, D) float32 of length 1, to the same.

        In double precision: sums come out in another last bit when a batch lays them out
        differently, and this is lost again in float32. A face's vector is the same, bit by bit,
        in whichever batch.
        """
        precise = vectors.double()
        changed = precise + self._changed(precise)
        return functional.normalize(changed, dim=1).to(vectors.dtype)

    def _changed(self, vectors: Tensor) -> Tensor:
        weights = {name: value.double() for name, value in self.change.named_parameters()}
        changed: Tensor = torch.func.functional_call(self.change, weights, (vectors,))
        return changed
