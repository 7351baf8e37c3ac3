"""A company's own embedders: how they lie among the models, and how they are loaded.

Each is one safetensors file, `imported-NAME.safetensors`, whose metadata says how to build and feed
its network, and an entry under "imported" in the models' manifest, with the file's SHA-256.
`recognition.importing` writes them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from recognition.embed import MobileFaceNet
from recognition.graph_net import Graph, GraphNet
from recognition.iresnet import IResNet
from recognition.onnx_node import GraphError
from recognition.types import ModelInfo
from recognition.weights import MANIFEST, WeightsError, load_into

BUILT_IN = ("mobilefacenet", "fused")
"""Embedders that `--embedder` knows without any import."""
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_METADATA = "gatehouse"
_OUR_MEAN, _OUR_SCALE = 127.5, 128.0
"""How `recognition.embed` normalises the values that it hands a network."""


@dataclass(frozen=True, slots=True)
class Feeding:
    """What a network takes: (v - mean) / scale of values 0..255, channels in this order."""

    channels: str = "RGB"
    mean: float = 127.5
    scale: float = 127.5


@dataclass(frozen=True, slots=True)
class Description:
    """How to build an imported network.

    architecture: "onnx", "mobilefacenet", "tuned", or one of `iresnet.BLOCKS`.
    dimension: of its embeddings.
    graph: of an "onnx" one, ready for JSON.
    parent, parent_sha256: of a "tuned" one (`recognition.tuned`): what it was learnt on top of, by
        the name that loads it.
    hidden: of a "tuned" one's adapter.
    """

    architecture: str
    feeding: Feeding
    dimension: int
    graph: dict[str, Any] | None = None
    parent: str = ""
    parent_sha256: str = ""
    hidden: int = 0


class ImportedNet(nn.Module):
    """A network behind the values and the order of channels that it was trained with."""

    def __init__(self, net: nn.Module, feeding: Feeding) -> None:
        super().__init__()
        self.net = net
        self._gain = _OUR_SCALE / feeding.scale
        self._offset = (_OUR_MEAN - feeding.mean) / feeding.scale
        self._reversed = feeding.channels == "BGR"

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, 112, 112) float32, RGB as `embed.normalise` gives it, to (N, D)."""
        if self._reversed:
            faces = faces.flip(1)
        output: Tensor = self.net(faces * self._gain + self._offset)
        return output


def build(description: Description, state: Mapping[str, Tensor]) -> ImportedNet:
    """The network with its weights, in evaluation mode.

    Raises:
        GraphError: the weights are not those of the architecture.
    """
    if description.graph is not None:
        net: nn.Module = GraphNet(Graph.from_json(description.graph), state)
    else:
        with torch.device("meta"):  # no memory until its weights are known to fit
            net = (
                MobileFaceNet(description.dimension)
                if description.architecture == "mobilefacenet"
                else IResNet(description.architecture, description.dimension)
            )
        try:
            net.load_state_dict(state, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise GraphError(
                f"the weights do not fit {description.architecture}: {reason}"
            ) from error
    return ImportedNet(net, description.feeding).eval().requires_grad_(requires_grad=False)


def pack(description: Description, state: dict[str, Tensor]) -> bytes:
    """The content of a model's file."""
    metadata = {_METADATA: json.dumps(asdict(description))}
    return safetensors.torch.save(state, metadata)


def unpack(content: bytes) -> tuple[Description, dict[str, Tensor]]:
    """What `pack` was given; SafetensorError, ValueError, KeyError or TypeError for other bytes."""
    state = safetensors.torch.load(content)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    fields = json.loads(header["__metadata__"][_METADATA])
    return Description(**{**fields, "feeding": Feeding(**fields["feeding"])}), state


def load_embedder(models: Path, name: str) -> tuple[nn.Module, ModelInfo]:
    """The embedder of this name, imported or ours; of "fused" the first one.

    Raises:
        WeightsError: it is not there, or was changed.
    """
    if name not in BUILT_IN:
        return load_imported(models, name)
    net = MobileFaceNet()
    return net, load_into(net, models, "mobilefacenet")


def load_imported(models: Path, name: str) -> tuple[ImportedNet, ModelInfo]:
    """An imported embedder, not a fine-tuned one, and what it is registered as.

    Raises:
        WeightsError: there is none of this name, or its file is missing or was changed.
    """
    description, state, model = read_imported(models, name)
    try:
        return build(description, state), model
    except GraphError as error:
        raise WeightsError(broken(models, name, "is damaged or of another version")) from error


def read_imported(models: Path, name: str) -> tuple[Description, dict[str, Tensor], ModelInfo]:
    """The file of an imported or fine-tuned embedder; raises WeightsError as `load_imported`."""
    entry = entries(models).get(name)
    if entry is None:
        known = ", ".join([*BUILT_IN, *sorted(entries(models))])
        raise WeightsError(
            f"There is no embedder called {name} in {models}; there are: {known}. Add one with "
            "`python -m recognition import-model`."
        )
    try:
        content = weights_file(models, name).read_bytes()
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise WeightsError(broken(models, name, "was changed since it was imported"))
        return *unpack(content), ModelInfo(**entry["model"])
    except OSError as error:
        raise WeightsError(broken(models, name, "cannot be read")) from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(broken(models, name, "is damaged or of another version")) from error


def entries(models: Path) -> dict[str, dict[str, Any]]:
    """The manifest's entries of imported models by name; none where there is no manifest."""
    try:
        found = json.loads((models / MANIFEST).read_text()).get("imported", {})
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def weights_file(models: Path, name: str) -> Path:
    """Where an imported model's weights lie."""
    return models / f"imported-{name}.safetensors"


def calibration_file(models: Path, name: str) -> Path:
    """Where `evaluate calibrate` writes an imported model's calibration."""
    return models / f"imported-{name}.calibration.json"


def keep_imported(old: Path, new: Path) -> None:
    """Take the imported models over into a folder that replaces the models' one.

    Args:
        old: may be missing or damaged; what can be read of it is kept.
        new: has its own manifest already.
    """
    kept = entries(old)
    if not kept:
        return
    for name in kept:
        for source in (weights_file(old, name), calibration_file(old, name)):
            if source.is_file():
                shutil.copy2(source, new / source.name)
    manifest = json.loads((new / MANIFEST).read_text())
    manifest["imported"] = kept
    (new / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def broken(models: Path, name: str, reason: str) -> str:
    """The message that says so, and what to do."""
    return (
        f"The embedder {name} in {models} cannot be used: its file {reason}. Import it again: "
        f"`python -m recognition forget-model {name}`, then `import-model`."
    )
