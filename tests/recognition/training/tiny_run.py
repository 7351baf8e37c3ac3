"""A run of its own process: `python -m tests.recognition.training.tiny_run FOLDER '{...}'`.

The JSON is the configuration, and what is said here about the run:
  hold: the number of the batch at which the process says "holding" and waits for ever;
  seed, rows: of the data;
  norm, dropout: of the model;
  watched: whether it is validated;
  limit: the most bytes that a file may have.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from pathlib import Path

import torch
from torch import nn

from recognition.training.ranks import joined, leave
from recognition.training.trainer import Batch, TrainingError, train
from tests.recognition.training.tiny import TinyBatches, TinyModel, tiny_config


class Held(TinyBatches):
    """Batches of which one never comes."""

    def __init__(self, hold: int | None, rows: int, seed: int) -> None:
        super().__init__(rows, seed)
        self.hold = hold

    def at(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        if step == self.hold and rank == 0:
            sys.stdout.write(f"holding {os.getpid()}\n")
            sys.stdout.flush()
            threading.Event().wait()
        return super().at(step, rank, ranks)


class Said:
    """Messages to stdout."""

    def say(self, message: str) -> None:
        sys.stdout.write(f"{message}\n")
        sys.stdout.flush()

    def stepped(self, step: int, steps: int, figures: object) -> None:
        pass


def watched(model: nn.Module) -> dict[str, float]:
    """Accuracy and loss on rows never trained on; random numbers are used up on the way."""
    torch.randn(3)
    values, labels = TinyBatches(64, 99).at(0)
    losses = model(values, labels)
    return {"accuracy": float((model.layers(values).argmax(1) == labels).float().mean())} | {  # type: ignore[operator]
        "loss": float(losses["loss"])
    }


def main() -> int:
    """Train as told."""
    folder, told = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(1)
    batches = Held(told.pop("hold", None), told.pop("rows", 8), told.pop("seed_of_data", 1))
    model = TinyModel(dropout=told.pop("dropout", 0.2), norm=told.pop("norm", True))
    validate = watched if told.pop("watched", False) else None
    limit = told.pop("limit", None)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with joined("cpu"):
        try:
            train(model, batches, tiny_config(**told), folder, validate=validate, listener=Said())
        except TrainingError as error:
            sys.stdout.write(f"error: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    leave(main())
