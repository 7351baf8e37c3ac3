"""The training engine: everything here that learns weights learns them by `train`.

A run lives in a folder. Killed at any moment, it goes on from its last checkpoint when it is called
again with the same model, data and configuration, and comes to the same weights to the bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import nn

from recognition.training.config import DivergedError, TrainConfig, TrainingError
from recognition.training.journal import Journal
from recognition.training.prefetch import Batch, Batches, batches_ahead
from recognition.training.ranks import Ranks, own_device
from recognition.training.rules import HasOwnRules, OwnRule
from recognition.training.run_report import write_run_report
from recognition.training.run_state import RunState, Standing, only_one_in
from recognition.training.stepping import Stepped, Stepper, reproducible

__all__ = [
    "SILENT",
    "Batch",
    "Batches",
    "DivergedError",
    "HasOwnRules",
    "Listener",
    "OwnRule",
    "TrainConfig",
    "Trained",
    "TrainingError",
    "Validate",
    "train",
]

Validate = Callable[[nn.Module], dict[str, float]]
"""Is given the model in evaluation mode, with averaged weights if there are any, on the device."""

WITHOUT_TENSORBOARD = (
    "TensorBoard is not installed (package tensorboard): the curves are in metrics.jsonl and, at "
    "the end, in report.html"
)
_SMALLEST_SCALE = 2.0**-20  # float16's loss scale falls there only if every gradient overflows


class Listener(Protocol):
    """Is told how a run goes, in the first process only."""

    def say(self, message: str) -> None:
        """Something happened that a person should know."""
        ...

    def stepped(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        """So many steps are made; the newest losses and speed."""
        ...


class _Silent:
    def say(self, message: str) -> None:
        pass

    def stepped(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        pass


SILENT: Listener = _Silent()


@dataclass(frozen=True, slots=True)
class Trained:
    """How a run ended.

    steps: made in all.
    ended: whether all steps were made, or validation no longer got better.
    best_step, validation: after which step the kept weights were taken, and their figures (none
        without validation).
    weights: path of the weights' safetensors.
    """

    steps: int
    ended: Literal["finished", "stopped early"]
    best_step: int
    validation: Mapping[str, float]
    weights: Path


def train(
    model: nn.Module,
    batches: Batches,
    config: TrainConfig,
    folder: Path,
    *,
    validate: Validate | None = None,
    listener: Listener = SILENT,
) -> Trained:
    """Train a model, or go on with the run that the folder holds.

    Args:
        model: `forward(*batch)` returns a dict of scalars, of the same names each time, with
            "loss", the one that is made smaller; the network and its loss are in it. Parameters
            that learn by rules of their own it names by `own_rules` (`HasOwnRules`). Random
            numbers it takes from torch's global generator (`torch.default_generator`), whose state
            checkpoints carry. It is changed: in the end it holds the best weights by the watched
            figure, or the last ones (averaged if there is an average) where nothing is watched, in
            evaluation mode.
        batches: see `Batches`.
        folder: of the run; made if missing.
        validate: called every `validate_every` steps and at the end, in the first process only.
        listener: is told of progress.

    With several processes (see `recognition.training.ranks`) each calls this with the same
    arguments; the gradients are averaged over them, and the first alone writes and validates.

    Raises:
        TrainingError: the folder's run has another configuration, data or model, or no whole
            checkpoint; another process works there; a checkpoint cannot be written.
        DivergedError: a loss or gradient became no number. The last checkpoint is from before that.
    """
    if config.validate_every and validate is None:
        raise TrainingError("validate_every is set, but there is nothing to validate with")
    ranks = Ranks.here(own_device(config.device))
    with only_one_in(folder, ranks), reproducible(config):
        return _Run(model, batches, config, folder, ranks).go(validate, listener)


class _Run:
    def __init__(
        self, model: nn.Module, batches: Batches, config: TrainConfig, folder: Path, ranks: Ranks
    ) -> None:
        self.batches, self.config, self.folder, self.ranks = batches, config, folder, ranks
        torch.manual_seed(config.seed * 1_000_003 + ranks.rank)
        self.stepper = Stepper(model, config, ranks)
        self.state = RunState(self.stepper, batches.fingerprint, folder, ranks)
        self.pending: list[tuple[int, Stepped]] = []
        self.latest: dict[str, float] = {}

    def go(self, validate: Validate | None, listener: Listener) -> Trained:
        """All steps that are left."""
        standing = self.state.resume(listener.say if self.ranks.first else SILENT.say)
        if not standing.ended:
            journal = Journal(self.folder, standing.step) if self.ranks.first else None
            if journal is not None and not journal.has_events:
                listener.say(WITHOUT_TENSORBOARD)
            try:
                self._learn(standing, validate, _Told(journal, listener))
            finally:
                if journal is not None:
                    journal.close()
        trained = self._result(standing)
        if self.ranks.first:
            end = {**asdict(trained), "weights": trained.weights.name}
            write_run_report(self.folder, end)
        return trained

    def _learn(self, standing: Standing, validate: Validate | None, told: _Told) -> None:
        config, clock = self.config, _Clock()
        numbers = range(standing.step * config.accumulate, config.steps * config.accumulate)
        stream = batches_ahead(
            self.batches,
            numbers,
            threads=config.prefetch,
            ranks=self.ranks,
            device=self.ranks.device,
        )
        with closing(stream):
            while not standing.ended:
                with clock.waiting():
                    taken = list(islice(stream, config.accumulate))
                stepped = self.stepper.step(standing.step, taken)
                standing.step += 1
                clock.items += stepped.items * self.ranks.count
                self.pending.append((standing.step, stepped))
                self._after_step(standing, validate, told, clock)

    def _after_step(
        self, standing: Standing, validate: Validate | None, told: _Told, clock: _Clock
    ) -> None:
        config, step = self.config, standing.step
        last = step == config.steps
        validates = config.validate_every > 0 and (last or step % config.validate_every == 0)
        keeps = last or step % config.checkpoint_every == 0
        if validates or keeps or step % config.log_every == 0:
            self._log(clock, told)
        if validates and validate is not None:
            self._validate(standing, validate, told)
        if last:
            standing.ended = "finished"
        if keeps or standing.ended:
            self._keep(standing, told)
        if validates or keeps:
            clock.start()

    def _log(self, clock: _Clock, told: _Told) -> None:
        """Fetch what was pending, check that all of it are numbers, and write it down."""
        names = sorted(self.pending[0][1].losses)
        rows = torch.stack(
            [
                torch.stack([*(stepped.losses[name] for name in names), stepped.gradient.float()])
                for _, stepped in self.pending
            ]
        )
        figures = self.ranks.mean(rows).tolist()
        for (step, stepped), (*losses, gradient) in zip(self.pending, figures, strict=True):
            self._check(step, dict(zip(names, losses, strict=True)), gradient)
            self.latest = dict(zip(names, losses, strict=True))
            more = {"gradient": gradient} if math.isfinite(gradient) else {}
            told.add(step, "losses", self.latest, rate=stepped.rate, **more)
        step = self.pending[-1][0]
        speed = clock.speed()
        self.pending.clear()
        told.add(step, "speed", speed)
        told.stepped(step, self.config.steps, {**self.latest, **speed})

    def _check(self, step: int, losses: Mapping[str, float], gradient: float) -> None:
        wrong = [name for name, value in losses.items() if not math.isfinite(value)]
        scaled = self.stepper.scaler.is_enabled()
        if not math.isfinite(gradient) and not scaled:
            wrong.append("gradient")
        if wrong:
            raise DivergedError(
                f"at step {step} no number any more: {', '.join(wrong)}. Training stopped; what is "
                f"kept in {self.folder} is from before. A lower learning rate, a longer warm-up or "
                "clip may help, in another folder."
            )
        if scaled and self.stepper.scaler.get_scale() < _SMALLEST_SCALE:
            raise DivergedError(
                f"by step {step} every gradient overflowed in float16; use bfloat16 or float32"
            )

    def _validate(self, standing: Standing, validate: Validate, told: _Told) -> None:
        if self.ranks.first:
            with self.stepper.evaluating() as model:
                figures = {name: float(value) for name, value in validate(model).items()}
            self._judge(standing, figures)
            told.add(standing.step, "validation", figures)
            watched = figures[self.config.watch]
            told.say(f"step {standing.step}: {self.config.watch} {watched:.5g}")
            if standing.best_step == standing.step:
                self.state.keep_weights(standing)
        standing.best_step = self.ranks.of_first(standing.best_step)
        standing.without_gain = self.ranks.of_first(standing.without_gain)
        if self.config.patience and standing.without_gain >= self.config.patience:
            standing.ended = "stopped early"

    def _judge(self, standing: Standing, figures: dict[str, float]) -> None:
        """Whether these figures are the best so far."""
        watch = self.config.watch
        if watch not in figures:
            raise TrainingError(f"validation gave no {watch!r}, but {', '.join(figures)}")
        wrong = [name for name, value in figures.items() if not math.isfinite(value)]
        if wrong:
            raise DivergedError(
                f"at step {standing.step} validation gave no number: {', '.join(wrong)}"
            )
        best = standing.validation.get(watch)
        gain = 0.0 if best is None else figures[watch] - best
        if best is None or (gain > 0 if self.config.higher_is_better else gain < 0):
            standing.best_step, standing.validation = standing.step, figures
            standing.without_gain = 0
        else:
            standing.without_gain += 1

    def _keep(self, standing: Standing, told: _Told) -> None:
        if standing.ended and not self.config.validate_every:
            standing.best_step = standing.step
            if self.ranks.first:
                self.state.keep_weights(standing)
        told.keep()
        self.state.write(standing, self.latest)

    def _result(self, standing: Standing) -> Trained:
        model = self.stepper.model
        model.load_state_dict(self.state.kept_weights(standing))
        model.eval()
        return Trained(
            standing.step,
            standing.ended or "finished",
            standing.best_step,
            standing.validation,
            self.state.weights.with_suffix(".safetensors"),
        )


class _Told:
    """Where figures and messages go: the journal and the listener, in the first process."""

    def __init__(self, journal: Journal | None, listener: Listener) -> None:
        self._journal, self._listener = journal, listener

    def add(self, step: int, kind: str, figures: Mapping[str, float], **more: float) -> None:
        if self._journal is not None:
            self._journal.add(step, kind, figures, **more)

    def keep(self) -> None:
        if self._journal is not None:
            self._journal.keep()

    def say(self, message: str) -> None:
        if self._journal is not None:
            self._listener.say(message)

    def stepped(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        if self._journal is not None:
            self._listener.stepped(step, steps, figures)


class _Clock:
    """How many items a second are trained on, and which part of the time is waited for them."""

    def __init__(self) -> None:
        self.items = 0
        self._waited = 0.0
        self._began = time.perf_counter()

    def start(self) -> None:
        """Count from now."""
        self.items, self._waited, self._began = 0, 0.0, time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within, the time is one of waiting."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def speed(self) -> dict[str, float]:
        """Since the last time; then count from now."""
        seconds = max(1e-9, time.perf_counter() - self._began)
        found = {"items_per_second": self.items / seconds, "waiting": self._waited / seconds}
        self.start()
        return found
