"""By which rule each parameter learns, and how fast at which step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from recognition.training.config import Optimiser, TrainConfig

_MOMENTUM = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class OwnRule:
    """Parameters that do not learn as the configuration says.

    The default is plain gradient descent at a rate that stays: a class centre's own
    (`recognition.training.losses.CentreLoss`).

    scheduled: whether warm-up and cosine go for this rate, too, and the gradient is clipped
        together with the others'.
    """

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    optimiser: Optimiser = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    scheduled: bool = False


@runtime_checkable
class HasOwnRules(Protocol):
    """A model some of whose parameters learn by rules of their own."""

    def own_rules(self) -> Sequence[OwnRule]:
        """Each parameter in at most one of them."""
        ...


def schedule(step: int, config: TrainConfig) -> float:
    """By what the learning rate is multiplied at a step, 0..steps - 1.

    A straight rise over the warm-up's steps, the first of them not 0; from 1 down to the floor in
    half a cosine (Loshchilov and Hutter, 2017, "SGDR", without restarts).
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    along = (step - config.warmup) / max(1, config.steps - 1 - config.warmup)
    return config.floor + (1 - config.floor) * (1 + math.cos(math.pi * min(1.0, along))) / 2


class Rules:
    """The optimisers of a model: the configuration's, and those for its own rules.

    Attributes:
        optimisers: in an order that depends on the model and the configuration alone.
        clipped: the parameters whose gradients are clipped together.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        own = list(model.own_rules()) if isinstance(model, HasOwnRules) else []
        apart = {id(value) for rule in own for value in rule.parameters}
        rest = [value for value in model.parameters() if value.requires_grad]
        rest = [value for value in rest if id(value) not in apart]
        self._config = config
        self.optimisers: list[torch.optim.Optimizer] = []
        self._scheduled: list[tuple[torch.optim.Optimizer, float]] = []
        self.clipped: list[nn.Parameter] = []
        usual = OwnRule(
            rest,
            config.learning_rate,
            config.optimiser,
            _MOMENTUM,
            config.weight_decay,
            scheduled=True,
        )
        for rule in (usual, *own):
            self._add(rule)

    def _add(self, rule: OwnRule) -> None:
        values = [value for value in rule.parameters if value.requires_grad]
        if not values:
            return
        optimiser = _optimiser(rule, values)
        self.optimisers.append(optimiser)
        if rule.scheduled:
            self._scheduled.append((optimiser, rule.learning_rate))
            self.clipped += values

    def set_rates(self, step: int) -> float:
        """Set all rates for a step; that of the configuration."""
        share = schedule(step, self._config)
        for optimiser, rate in self._scheduled:
            for group in optimiser.param_groups:
                group["lr"] = share * rate
        return share * self._config.learning_rate

    def clear_gradients(self) -> None:
        """Before a step."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)

    def limit_gradients(self) -> Tensor:
        """Clip the gradients to the configuration's norm; the norm that they had, a scalar."""
        if self._config.clip:
            return nn.utils.clip_grad_norm_(self.clipped, self._config.clip)
        return nn.utils.get_total_norm(_gradients(self.clipped))


def _optimiser(rule: OwnRule, values: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    groups = [
        {
            "params": [value for value in values if value.ndim >= 2],
            "weight_decay": rule.weight_decay,
        },
        {"params": [value for value in values if value.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if rule.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rule.learning_rate)
    return torch.optim.SGD(
        groups, lr=rule.learning_rate, momentum=rule.momentum, nesterov=rule.momentum > 0
    )


def _gradients(values: Iterable[nn.Parameter]) -> list[Tensor]:
    return [value.grad for value in values if value.grad is not None]
