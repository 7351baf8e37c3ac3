"""Checkpoints: all that a run needs to go on, as safetensors and JSON, never a pickle.

A checkpoint is two files, `00001200.safetensors` and `00001200.json`. The JSON holds the SHA-256 of
the other and is written last: a checkpoint without it was never finished and does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from recognition.packages import write_atomically
from recognition.training.config import TrainingError

FORMAT = 1


class CheckpointError(TrainingError):
    """A checkpoint that cannot be read or written."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The state of a run after `step` steps.

    tensors: by path, such as "model/backbone.weight"; on the CPU.
    facts: what is no tensor, ready for JSON.
    """

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors whose paths begin with "name/", by the rest of it."""
        start = f"{name}/"
        return {
            path.removeprefix(start): value
            for path, value in self.tensors.items()
            if path.startswith(start)
        }


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, object]) -> None:
    """Write `path`.safetensors and, once that is on the disk, `path`.json which vouches for it.

    Raises:
        CheckpointError: it cannot be written; what was there before is as it was.
    """
    content = safetensors.torch.save(
        {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    )
    vouching = {"format": FORMAT, **facts, "sha256": hashlib.sha256(content).hexdigest()}
    try:
        _write(path.with_suffix(".safetensors"), content)
        _write(
            path.with_suffix(".json"),
            (json.dumps(vouching, indent=2, allow_nan=False) + "\n").encode(),
        )
    except OSError as error:
        raise CheckpointError(
            f"{path.name} could not be written to {path.parent}: {error.strerror}. Make room there "
            "and run again: it goes on from the last checkpoint."
        ) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        facts: dict[str, Any] = json.loads(path.with_suffix(".json").read_bytes())
        known, expected = facts["format"] == FORMAT, facts["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path.name}.json cannot be read") from error
    if not known:
        raise CheckpointError(f"{path.name} is of another version of this program")
    try:
        content = path.with_suffix(".safetensors").read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path.name}.safetensors cannot be read") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise CheckpointError(f"{path.name}.safetensors was changed since it was written")
    try:
        return safetensors.torch.load(content), facts
    except SafetensorError as error:
        raise CheckpointError(f"{path.name}.safetensors cannot be read: {error}") from error


class Checkpoints:
    """The checkpoints in a folder, the newest few of which are kept."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def steps(self) -> list[int]:
        """Of which steps there are checkpoints, newest first, whole or not."""
        found = (path.stem for path in self._folder.glob("*.json"))
        return sorted((int(name) for name in found if name.isdecimal()), reverse=True)

    def write(self, checkpoint: Checkpoint) -> None:
        """Write one, then remove those that are older than the newest few.

        Raises:
            CheckpointError: it cannot be written. Those that were there still are.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        write_tensors(
            self._path(checkpoint.step),
            checkpoint.tensors,
            {**checkpoint.facts, "step": checkpoint.step},
        )
        kept = {f"{step:08d}" for step in self.steps()[: self._keep]}
        for path in self._folder.iterdir():
            # Older ones, and what a kill left half written.
            if path.stem not in kept:
                path.unlink()

    def read(self, step: int) -> Checkpoint:
        """That of a step.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        tensors, facts = read_tensors(self._path(step))
        if facts.get("step") != step:
            raise CheckpointError(f"{self._path(step).name} is of another step")
        return Checkpoint(step, tensors, facts)

    def _path(self, step: int) -> Path:
        return self._folder / f"{step:08d}"


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, by "number/what"."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {
        f"{number}/{what}": value
        for number, memory in state.items()
        for what, value in memory.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser back what `optimiser_tensors` took down."""
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        number, what = path.split("/")
        state.setdefault(int(number), {})[what] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and on the disk when this returns."""
    write_atomically(path, content)
    for kept in (path, path.parent):
        descriptor = os.open(kept, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
