"""A model and data small enough to be trained within a test."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.training.trainer import Batch, OwnRule, TrainConfig


class TinyModel(nn.Module):
    """Four numbers to two classes, by way of batch norm and dropout."""

    def __init__(self, *, dropout: float = 0.2, norm: bool = True, seed: int = 7) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            nn.Linear(4, 8),
            nn.BatchNorm1d(8) if norm else nn.Identity(),
            nn.PReLU(8),
            nn.Dropout(dropout),
            nn.Linear(8, 2),
        )

    def forward(self, values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.layers(values)
        loss = functional.cross_entropy(logits, labels)
        size = logits.square().mean()
        return {"loss": loss + 0.01 * size, "softmax": loss, "size": size}


class WithCentre(TinyModel):
    """Has one parameter that learns by plain gradient descent at a rate of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(4))

    def own_rules(self) -> list[OwnRule]:
        return [OwnRule([self.centre], 0.5)]

    def forward(self, values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        losses = super().forward(values, labels)
        away = (self.centre - values.mean(0)).square().sum() / 2
        return {**losses, "loss": losses["loss"] + away}


class TinyBatches:
    """Eight random rows to each number; the label says whether their sum is above 0."""

    def __init__(self, rows: int = 8, seed: int = 1, spoilt: int = -1) -> None:
        self.rows, self.seed, self.spoilt = rows, seed, spoilt

    @property
    def fingerprint(self) -> str:
        return f"tiny {self.rows} {self.seed}"

    def at(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        values = torch.randn(self.rows, 4, generator=chance)
        if step == self.spoilt:
            values = values / 0
        return values[rank::ranks], (values.sum(1) > 0).long()[rank::ranks]


def tiny_config(**changed: object) -> TrainConfig:
    """Twelve quick steps."""
    values: dict[str, object] = {
        "steps": 12,
        "learning_rate": 0.05,
        "warmup": 3,
        "checkpoint_every": 5,
        "log_every": 4,
        "prefetch": 0,
        **changed,
    }
    return TrainConfig.from_json(values)


class Heard:
    """Keeps what a run said."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.steps: list[int] = []

    def say(self, message: str) -> None:
        self.messages.append(message)

    def stepped(self, step: int, steps: int, figures: object) -> None:
        self.steps.append(step)
