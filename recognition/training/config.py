"""What a training run is told: one frozen value, which its folder and its checkpoints carry."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

Precision = Literal["float32", "bfloat16", "float16"]
Optimiser = Literal["adamw", "sgd"]

MAY_CHANGE = frozenset({"checkpoint_every", "keep", "prefetch"})
"""Fields that decide nothing about what is learnt: a run may be resumed with others."""


class TrainingError(Exception):
    """Why a training run cannot begin or go on. The message says what to do."""


class DivergedError(TrainingError):
    """A loss, a gradient, a weight or a validation figure that is no number any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    steps: updates of the weights; each takes `accumulate` batches, whose gradients are averaged.
    learning_rate: at the top, after `warmup` steps of a straight rise; from there it falls in half
        a cosine to `floor` times it at the last step.
    weight_decay: of what has two dimensions or more; never of biases, slopes and norms.
    optimiser: "adamw", or "sgd" with Nesterov's momentum of 0.9.
    precision: of the arithmetic in the model's forward pass; weights are float32. "float16" scales
        the loss (`GradScaler`), and is meant for CUDA.
    ema: what is kept of the moving average of weights at each step, 0.99..0.9999; 0: no average.
    clip: largest norm of the gradient, 0: any.
    validate_every: steps between calls of `validate`, 0: never.
    watch: the figure of `validate` that decides about the best weights and the early stop.
    patience: calls of `validate` without a better figure before training stops; 0: it never does.
    checkpoint_every, keep: steps between checkpoints; how many are kept, at least 1.
    log_every: steps after which losses are fetched from the device, checked and written.
    prefetch: threads that make batches ahead; 0: they are made when they are needed.
    device: "cpu", "cuda" or "cuda:1"; with several processes "cuda" is each process's own.
    deterministic: the same bits from the same run, at some cost of speed on CUDA.
    about: what else makes this run what it is, ready for JSON: the backbone's name, the loss and
        its margin. It is compared at a resume and shown in the report.
    """

    steps: int
    learning_rate: float
    warmup: int = 0
    floor: float = 0.01
    weight_decay: float = 0.0
    optimiser: Optimiser = "adamw"
    accumulate: int = 1
    precision: Precision = "float32"
    ema: float = 0.0
    clip: float = 0.0
    seed: int = 0
    validate_every: int = 0
    watch: str = ""
    higher_is_better: bool = True
    patience: int = 0
    checkpoint_every: int = 500
    keep: int = 2
    log_every: int = 10
    prefetch: int = 2
    device: str = "cpu"
    deterministic: bool = True
    about: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises TrainingError: a value that cannot be meant."""
        for name in ("steps", "accumulate", "checkpoint_every", "keep", "log_every"):
            self._demand(getattr(self, name) >= 1, f"{name} must be at least 1")
        for name in ("warmup", "weight_decay", "clip", "validate_every", "patience", "prefetch"):
            self._demand(getattr(self, name) >= 0, f"{name} must not be negative")
        self._demand(
            math.isfinite(self.learning_rate) and self.learning_rate > 0,
            "learning_rate must be above 0",
        )
        self._demand(0 <= self.floor <= 1, "floor is a part of the learning rate, 0..1")
        self._demand(0 <= self.ema < 1, "ema must be at least 0 and below 1")
        self._demand(self.warmup < self.steps, "warmup must be shorter than the run")
        self._demand(self.precision in get_args(Precision), f"no precision {self.precision!r}")
        self._demand(self.optimiser in get_args(Optimiser), f"no optimiser {self.optimiser!r}")
        self._demand(
            not self.validate_every or bool(self.watch),
            "validate_every needs watch: the figure that decides which weights are the best",
        )
        self._demand(not self.patience or self.validate_every > 0, "patience needs validate_every")

    def _demand(self, fulfilled: bool, message: str) -> None:
        if not fulfilled:
            raise TrainingError(f"the training's configuration: {message}")

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Of `to_json`.

        Raises:
            TrainingError: unknown or missing fields, or values that cannot be meant.
        """
        unknown = set(values) - {one.name for one in fields(cls)}
        if unknown:
            raise TrainingError(
                f"the training's configuration: unknown fields {', '.join(sorted(unknown))}"
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise TrainingError(f"the training's configuration: {error}") from error


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What decides about the result and differs between two configurations, "steps: 10, now 20"."""
    names = sorted((set(one) | set(other)) - MAY_CHANGE)
    return [
        f"{name}: {one.get(name)!r}, now {other.get(name)!r}"
        for name in names
        if one.get(name) != other.get(name)
    ]
