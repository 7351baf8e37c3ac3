"""A light change of an embedder's vectors: what a fine-tune may learn on top of any embedder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_STEEPNESS = 10
"""Of the gate: a unit vector has small numbers, and weights begin near zero."""


class Adapter(nn.Module):
    """Unit vectors v to the unit vectors along v + change(v), of the same dimension.

    As it begins it changes nothing (residual adapters: Houlsby et al., 2019, arXiv:1902.00751).
    With a gate the change is times sigmoid(gate(v)): a vector tells how the head is turned, and
    what is learnt of profiles leaves other faces alone (after Cao et al., 2018, arXiv:1803.00839,
    where the yaw is measured).

    Args:
        dimension: D of the vectors.
        hidden: of the layer in between; 0 for a change that is linear.
        gated: whether there is a gate.
    """

    def __init__(self, dimension: int, hidden: int = 0, *, gated: bool = False) -> None:
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
        self.gate = nn.Linear(dimension, 1) if gated else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

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
        changed = _precise(self.change, vectors)
        if self.gate is None:
            return changed
        return changed * torch.sigmoid(_STEEPNESS * _precise(self.gate, vectors))


def _precise(net: nn.Module, vectors: Tensor) -> Tensor:
    weights = {name: value.double() for name, value in net.named_parameters()}
    found: Tensor = torch.func.functional_call(net, weights, (vectors,))
    return found
