"""One step of training: forward, backward, update, average."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from recognition.training.averaging import MovingAverage
from recognition.training.config import TrainConfig, TrainingError
from recognition.training.prefetch import Batch
from recognition.training.ranks import Ranks
from recognition.training.rules import Rules

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, eq=False)
class Stepped:
    """What one step gave, still on the device: reading it would make the device wait.

    losses: scalars by name, means over the step's batches.
    gradient: norm of the gradient before clipping.
    items: images, or whatever a batch's first tensor has rows of, in this process.
    """

    losses: dict[str, Tensor]
    gradient: Tensor
    rate: float
    items: int


class Stepper:
    """Brings a model to the device and makes steps with it.

    The model's `forward(*batch)` returns a dict of scalars, of which "loss" is made smaller. With
    several processes the gradients are the mean of theirs (DistributedDataParallel); batch norm's
    statistics stay each process's own, and those of the first are kept.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, ranks: Ranks) -> None:
        device = ranks.device
        self.model = model.to(device).train()
        self.config = config
        self.rules = Rules(model, config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        self.average = MovingAverage(model, config.ema) if config.ema else None
        self._forward: nn.Module = model
        self.ranks = ranks
        if ranks.count > 1:
            ids = [device.index] if device.index is not None else None
            self._forward = DistributedDataParallel(model, device_ids=ids)
            if self.average is not None:  # the first process's weights were just given to all
                self.average.load(model.state_dict())

    def step(self, number: int, batches: Sequence[Batch]) -> Stepped:
        """Update the weights once.

        Args:
            number: of the step, from 0.
            batches: on the device; the gradient is the mean of theirs.
        """
        rate = self.rules.set_rates(number)
        self.rules.clear_gradients()
        losses: dict[str, Tensor] = {}
        for place, batch in enumerate(batches):
            last = place == len(batches) - 1
            for name, value in self._backward(batch, 1 / len(batches), share=last).items():
                losses[name] = losses[name] + value if name in losses else value
        for optimiser in self.rules.optimisers:
            self.scaler.unscale_(optimiser)
        gradient = self.rules.limit_gradients()
        for optimiser in self.rules.optimisers:
            self.scaler.step(optimiser)
        self.scaler.update()
        if self.average is not None:
            self.average.update(number)
        return Stepped(losses, gradient.detach(), rate, sum(len(batch[0]) for batch in batches))

    def _backward(self, batch: Batch, weight: float, *, share: bool) -> dict[str, Tensor]:
        """Add a batch's gradient; the processes exchange theirs only if `share`."""
        alone = isinstance(self._forward, DistributedDataParallel) and not share
        with self._forward.no_sync() if alone else nullcontext():  # type: ignore[operator]
            dtype = _DTYPES[self.config.precision]
            with torch.autocast(self.ranks.device.type, dtype, enabled=dtype != torch.float32):
                losses: dict[str, Tensor] = self._forward(*batch)
            if "loss" not in losses:
                raise TrainingError('the model\'s forward must return a dict with "loss"')
            torch.autograd.backward(self.scaler.scale(losses["loss"] * weight))
        return {name: value.detach().float() * weight for name, value in losses.items()}

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """The model as it would be used: in evaluation mode, with the averaged weights if any.

        Afterwards it is as it was, and so are torch's random numbers.
        """
        averaged = self.average.in_place_of_weights(self.model) if self.average else nullcontext()
        devices = [self.ranks.device] if self.ranks.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices), averaged:
            self.model.eval()
            try:
                yield self.model
            finally:
                self.model.train()


@contextmanager
def reproducible(config: TrainConfig) -> Iterator[None]:
    """Within, torch takes only such ways to compute as give the same bits each time, if asked."""
    before = torch.are_deterministic_algorithms_enabled()
    searching = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(config.deterministic or before, warn_only=True)
    torch.backends.cudnn.benchmark = not config.deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = searching
