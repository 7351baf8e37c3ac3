"""What a run's folder holds, and how a run goes on from it.

config.json            what the run is: configuration, data fingerprint, processes, machine
checkpoints/           the newest few checkpoints (`recognition.training.checkpoint`)
weights.safetensors    the best weights so far, or the last ones where nothing is watched; vouched
                       for by weights.json
metrics.jsonl, events/ figures (`recognition.training.journal`)
report.html            written at the end
lock                   held by the process that trains
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recognition.packages import write_atomically
from recognition.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    Checkpoints,
    optimiser_tensors,
    read_tensors,
    restore_optimiser,
    write_tensors,
)
from recognition.training.config import DivergedError, TrainingError, differences
from recognition.training.machine import machine
from recognition.training.ranks import Ranks
from recognition.training.stepping import Stepper

Say = Callable[[str], None]


@dataclass(slots=True, eq=False)
class Standing:
    """How far a run is.

    step: steps made.
    ended: how, once it has.
    best_step, validation: after which step the best weights were taken, and their figures.
    without_gain: validations since then.
    """

    step: int = 0
    ended: Literal["finished", "stopped early"] | None = None
    best_step: int = 0
    validation: dict[str, float] = field(default_factory=dict)
    without_gain: int = 0


class RunState:
    """Writes and reads the state of a run.

    Args:
        stepper: holds everything that changes while training.
        data: fingerprint of the batches.
    """

    def __init__(self, stepper: Stepper, data: str, folder: Path, ranks: Ranks) -> None:
        self._stepper, self._folder, self._ranks = stepper, folder, ranks
        self._checkpoints = Checkpoints(folder / "checkpoints", stepper.config.keep)
        self.weights = folder / "weights"
        self._identity: dict[str, Any] = {
            "config": stepper.config.to_json(),
            "data": data,
            "model": shape_digest(stepper.model),
            "processes": ranks.count,
        }

    def resume(self, say: Say) -> Standing:
        """Restore the newest whole checkpoint, or begin.

        Raises:
            TrainingError: the folder's run is another one, or none of its checkpoints is whole.
        """
        found: Checkpoint | None = None
        refusal: TrainingError | None = None
        if self._ranks.first:
            for path in self._folder.glob(".partial-*"):  # a kill left it half written
                path.unlink()
            try:
                self._recognise()
                found = self._newest_whole(say)
            except TrainingError as error:
                refusal = error
        self._ranks.agree(refusal)
        step = self._ranks.of_first(-1 if found is None else found.step)
        if step < 0:
            return Standing()
        if found is None:
            found = self._checkpoints.read(step)
        self._restore(found)
        standing = Standing(**found.facts["standing"])
        if standing.ended:
            say(f"this run has {standing.ended} at step {step}")
        else:
            say(f"going on from step {step}")
            if found.facts["threads"] != torch.get_num_threads():
                say(
                    f"with {torch.get_num_threads()} threads instead of {found.facts['threads']} "
                    "sums are rounded otherwise: the last bits of the weights may differ"
                )
        return standing

    def write(self, standing: Standing, losses: Mapping[str, float]) -> None:
        """Write a checkpoint; every process must call it.

        Raises:
            DivergedError: the weights hold what is no number; nothing was written.
            CheckpointError: it could not be written; earlier ones still are there.
        """
        randoms = self._random_states()
        if not self._ranks.first:
            return
        tensors = self._tensors()
        for path, value in tensors.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise DivergedError(
                    f"by step {standing.step} {path} holds what is no number. Training stopped; "
                    f"what is kept in {self._folder} is from before."
                )
        facts = {
            **self._identity,
            "standing": asdict(standing),
            "losses": dict(losses),
            "scaler": self._stepper.scaler.state_dict(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        self._checkpoints.write(Checkpoint(standing.step, {**tensors, **randoms}, facts))

    def keep_weights(self, standing: Standing) -> None:
        """Write the weights as they would be used, as the best so far."""
        with self._stepper.evaluating() as model:
            write_tensors(
                self.weights,
                model.state_dict(),
                {**self._identity, "step": standing.step, "validation": standing.validation},
            )

    def kept_weights(self, standing: Standing) -> dict[str, Tensor]:
        """The best weights, as the run ended with them.

        Raises:
            CheckpointError: they are missing, damaged or of another step.
        """
        state, facts = read_tensors(self.weights)
        if facts.get("step") != standing.best_step:
            raise CheckpointError(
                f"{self.weights}.safetensors is not of step {standing.best_step}, the best one"
            )
        return state

    def _recognise(self) -> None:
        """See that the folder's run is this one; if it has none, it is now."""
        path = self._folder / "config.json"
        try:
            self._compare(json.loads(path.read_bytes()))
        except FileNotFoundError:
            facts = {**self._identity, "machine": machine(self._ranks.device)}
            write_atomically(path, (json.dumps(facts, indent=2) + "\n").encode())
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{path} is damaged; train into another folder") from error

    def _compare(self, other: Mapping[str, Any]) -> None:
        changed = differences(other["config"], self._identity["config"])
        if changed:
            raise self._refusal("configuration", "; ".join(changed))
        for name, what in (("data", "data"), ("model", "model"), ("processes", "processes")):
            if other[name] != self._identity[name]:
                raise self._refusal(what, f"{name}: {other[name]}, now {self._identity[name]}")

    def _refusal(self, what: str, changed: str) -> TrainingError:
        return TrainingError(
            f"the run in {self._folder} has another {what} ({changed}). Go on with the former, or "
            "train into another folder."
        )

    def _newest_whole(self, say: Say) -> Checkpoint | None:
        steps = self._checkpoints.steps()
        for step in steps:
            try:
                found = self._checkpoints.read(step)
            except CheckpointError as error:
                say(f"the checkpoint of step {step} is of no use: {error}")
                continue
            self._compare(found.facts)
            return found
        if steps:
            raise CheckpointError(
                f"no checkpoint in {self._folder} is whole; bring one back from a copy, or train "
                "into another folder"
            )
        return None

    def _tensors(self) -> dict[str, Tensor]:
        stepper = self._stepper
        tensors = {f"model/{name}": value for name, value in stepper.model.state_dict().items()}
        if stepper.average is not None:
            tensors |= {f"average/{name}": value for name, value in stepper.average.state.items()}
        for number, optimiser in enumerate(stepper.rules.optimisers):
            for path, value in optimiser_tensors(optimiser).items():
                tensors[f"optimiser/{number}/{path}"] = value
        return tensors

    def _random_states(self) -> dict[str, Tensor]:
        device = self._ranks.device
        states = {"cpu": torch.get_rng_state()}
        if device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(device)
        return {
            f"random/{kind}/{rank}": state
            for kind, own in states.items()
            for rank, state in enumerate(self._ranks.gathered(own))
        }

    def _restore(self, checkpoint: Checkpoint) -> None:
        stepper, rank = self._stepper, self._ranks.rank
        stepper.model.load_state_dict(checkpoint.part("model"))
        if stepper.average is not None:
            stepper.average.load(checkpoint.part("average"))
        for number, optimiser in enumerate(stepper.rules.optimisers):
            restore_optimiser(optimiser, checkpoint.part(f"optimiser/{number}"))
        stepper.scaler.load_state_dict(checkpoint.facts["scaler"])
        torch.set_rng_state(checkpoint.tensors[f"random/cpu/{rank}"])
        if self._ranks.device.type == "cuda":
            torch.cuda.set_rng_state(checkpoint.tensors[f"random/cuda/{rank}"], self._ranks.device)


def shape_digest(model: nn.Module) -> str:
    """Digest of the names, shapes and types of what a model's state holds."""
    lines = (
        f"{name} {tuple(value.shape)} {value.dtype}" for name, value in model.state_dict().items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@contextmanager
def only_one_in(folder: Path, ranks: Ranks) -> Iterator[None]:
    """Hold the folder's lock, which the system releases however the process ends.

    Raises:
        TrainingError: another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refusal: TrainingError | None = None
    with (folder / "lock").open("a") as file:
        if ranks.first:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                refusal = TrainingError(f"another process trains in {folder}; let it end first")
        ranks.agree(refusal)
        yield
