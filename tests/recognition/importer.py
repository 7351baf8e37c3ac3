"""Importing a model into an installation, and looking at what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recognition.imported import load_imported
from recognition.importing import Wanted, import_model
from recognition.types import ModelInfo

EMPTY_MANIFEST = '{"format": 1, "models": {"mobilefacenet": "as it was"}}'


def quiet(message: str) -> None:
    """Progress is for people."""


def faces(count: int = 3) -> Tensor:
    """(count, 3, 112, 112), 0..255, always the same noise."""
    random = torch.Generator().manual_seed(1)
    return torch.rand((count, 3, 112, 112), generator=random) * 255


def take_in(home: Path, path: Path, **wanted: Any) -> ModelInfo:
    """Import the file, as `ours` unless another name is given."""
    return import_model(home, path, Wanted(**{"name": "ours", "licence": "own", **wanted}), quiet)


def held(home: Path) -> dict[str, bytes]:
    """Everything in the models' folder."""
    return {path.name: path.read_bytes() for path in (home / "models").iterdir()}


def loaded(home: Path, name: str = "ours") -> torch.nn.Module:
    """An imported network."""
    return load_imported(home / "models", name)[0]


@torch.inference_mode()
def fed(net: torch.nn.Module, values: Tensor) -> Tensor:
    """What the network gives for values as it wants them."""
    output: Tensor = net.eval()(values)
    return output
