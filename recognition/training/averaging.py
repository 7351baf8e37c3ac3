"""A moving average of a model's weights, which generalises better than its last ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average of all that a model's state holds (Polyak and Juditsky, 1992).

    Args:
        model: on its device; it must stay the same tensors.
        decay: what is kept of the average at each step, below 1.

    At step n it keeps min(decay, (1 + n) / (10 + n)) of itself, so that the random start is soon
    forgotten. Counters, which are integers, are taken over as they are.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        own = model.state_dict()
        self.state = {name: value.detach().clone() for name, value in own.items()}
        # The model's tensors change in place only: looking them up at each step takes longer.
        averaged = [name for name, value in own.items() if value.is_floating_point()]
        self._averages = [self.state[name] for name in averaged]
        self._weights = [own[name] for name in averaged]
        self._counters = [(self.state[name], own[name]) for name in own.keys() - set(averaged)]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        kept = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, self._weights, 1 - kept)
        for average, counter in self._counters:
            average.copy_(counter)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from an average that was kept."""
        for name, value in self.state.items():
            value.copy_(state[name])

    @contextmanager
    def in_place_of_weights(self, model: nn.Module) -> Iterator[None]:
        """Within, the model holds the average; afterwards its own weights again, to the bit."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.state)
        try:
            yield
        finally:
            model.load_state_dict(own)
