"""Takes in a company's own embedder: reads the file, proves that it embeds, and writes it down.

The file is trusted in nothing. Whatever is wrong with it, nothing is written, and the models that
are there stay as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from recognition.embed import MobileFaceNet, embed
from recognition.fetch import models_folder
from recognition.imported import (
    BUILT_IN,
    NAME,
    Description,
    Feeding,
    build,
    calibration_file,
    entries,
    pack,
    unpack,
    weights_file,
)
from recognition.iresnet import architecture_of, dimension_of
from recognition.onnx_node import GraphError
from recognition.packages import locked, write_atomically
from recognition.types import ModelInfo
from recognition.weights import EXTRAS, MANIFEST, MODELS, WeightsError

LARGEST_FILE = 512 * 1024 * 1024
SMALLEST_DIMENSION, LARGEST_DIMENSION = 64, 1024
"""Of embeddings. The database would take 16,000; beyond 1024 no face network gains anything."""
_SAME = 0.9999
"""Cosine from which on two pictures that differ in everything count as one: it does not look."""
_BATCH_TOLERANCE = 1e-4
_DUST = 1e-30

_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x80\x8a")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an import is asked for.

    name: by which `--embedder` and GATEHOUSE_EMBEDDER find it.
    licence: under which its owner gives the weights, for the record.
    version: None takes the first eight digits of what identifies it.
    channels, mean, scale: how it is fed; None takes what its kind is usually fed with.
    """

    name: str
    licence: str
    version: str | None = None
    channels: str | None = None
    mean: float | None = None
    scale: float | None = None


def import_model(home: Path, file: Path, wanted: Wanted, say: Callable[[str], None]) -> ModelInfo:
    """Add an ONNX or safetensors file to the installation's models; twice is as good as once.

    Raises:
        WeightsError: it cannot be used, with the reason; nothing was written.
    """
    models = models_folder(home)
    _manifest(models)
    _check_words(wanted)
    content = _read(file)
    source = hashlib.sha256(content).hexdigest()
    try:
        description, state = (
            _from_state(_read_state(content), wanted)
            if _is_safetensors(file, content)
            else _from_onnx(content, wanted)
        )
        del content  # half a gigabyte, perhaps
        _check_finite(state)
        state = {name: _without_dust(tensor) for name, tensor in state.items()}
        packed = pack(description, state)
        del state
        say("checking it on known pictures")
        net = build(*unpack(packed))
        _check_embeddings(net, description.dimension)
    except GraphError as error:
        raise WeightsError(f"{file} cannot be imported: {error}.") from error
    info = _info(wanted, description, source)
    say(f"{file.name} has the SHA-256 {source}")
    with locked(home / "models.lock", say):
        add_entry(models, info, packed, source)
    return info


def forget_model(home: Path, name: str, say: Callable[[str], None]) -> None:
    """Remove an imported model with its calibration; what the database knows of it stays.

    Raises:
        WeightsError: there is none of this name.
    """
    models = models_folder(home)
    with locked(home / "models.lock", say):
        kept = entries(models)
        if name not in kept:
            known = ", ".join(sorted(kept)) or "none"
            raise WeightsError(f"No model was imported as {name}; imported are: {known}.")
        _refuse_if_needed(kept, name)
        del kept[name]
        _write_entries(models, kept)
        for path in (weights_file(models, name), calibration_file(models, name)):
            path.unlink(missing_ok=True)


def _refuse_if_needed(kept: Mapping[str, Mapping[str, Any]], name: str) -> None:
    parent = kept[name]["model"]["sha256"]
    children = [n for n, e in kept.items() if e.get("parent", {}).get("sha256") == parent]
    if children:
        raise WeightsError(
            f"{', '.join(sorted(children))} was fine-tuned on top of {name} and needs it. Forget "
            "that first."
        )


def check_name(name: str) -> None:
    """Raise WeightsError unless a model of a company's own can have this name."""
    taken = {*BUILT_IN, *MODELS, *EXTRAS, *(name for extra in EXTRAS.values() for name in extra)}
    if not NAME.fullmatch(name) or name in taken:
        raise WeightsError(
            f"{name!r} cannot be the model's name: it has up to 40 small letters, digits, "
            f"dots, dashes and underlines, and is none of ours ({', '.join(sorted(taken))})."
        )


def _check_words(wanted: Wanted) -> None:
    check_name(wanted.name)
    if not 0 < len(wanted.licence.strip()) <= 200 or not wanted.licence.isprintable():
        raise WeightsError("The licence is a line of up to 200 letters.")
    version = wanted.version
    if version is not None and not (0 < len(version.strip()) <= 50 and version.isprintable()):
        raise WeightsError("The version is a line of up to 50 letters.")
    if wanted.channels not in (None, "RGB", "BGR"):
        raise WeightsError("The channels are RGB or BGR.")
    mean, scale = wanted.mean, wanted.scale
    if mean is not None and not 0 <= mean <= 255:
        raise WeightsError("The mean lies between 0 and 255, for example 127.5.")
    if scale is not None and not 1e-3 <= scale <= 1e3:
        raise WeightsError("The scale lies between 0.001 and 1000, for example 127.5.")


def _read(file: Path) -> bytes:
    try:
        if not file.is_file():
            raise WeightsError(f"{file} is no file.")
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise WeightsError(f"{file} cannot be read: {error.strerror}.") from error
    if len(content) > LARGEST_FILE:
        raise WeightsError(
            f"{file} is larger than {LARGEST_FILE >> 20} MB. Save the weights as float16."
        )
    if content.startswith(_PICKLES):
        raise WeightsError(
            f"{file} is a pickle, as torch.save writes it: a program that could do anything, so it "
            "is not opened here. Where you trust it, convert it: safetensors.torch.save_file("
            "torch.load(FILE, weights_only=True, map_location='cpu'), 'model.safetensors')."
        )
    return content


def _is_safetensors(file: Path, content: bytes) -> bool:
    """By its name, or as it begins with the length of a header in JSON."""
    begins = content[8:9] == b"{" and int.from_bytes(content[:8], "little") < len(content)
    return begins or file.suffix == ".safetensors"


def _from_onnx(content: bytes, wanted: Wanted) -> tuple[Description, dict[str, Tensor]]:
    from recognition.onnx_file import read_onnx  # of all commands only this one needs onnx

    graph, weights, dimension = read_onnx(content)
    usual = Feeding()
    first = next(node for node in graph.nodes if graph.input in node.inputs)
    if first.op in ("Sub", "Mul", "Div", "Add"):
        usual = Feeding(mean=0.0, scale=1.0)  # it normalises by itself
    return Description("onnx", _feeding(wanted, usual), dimension, graph.to_json()), weights


def _read_state(content: bytes) -> dict[str, Tensor]:
    try:
        state = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise GraphError(
            f"it is no safetensors file, or is cut off or damaged ({error})"
        ) from error
    # Counters of training, which say nothing about faces.
    wanted = {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}
    if not all(tensor.is_floating_point() for tensor in wanted.values()):
        raise GraphError("it holds integers: quantised weights are not known")
    return {name: tensor.to(torch.float32).contiguous() for name, tensor in wanted.items()}


def _from_state(state: dict[str, Tensor], wanted: Wanted) -> tuple[Description, dict[str, Tensor]]:
    ours = MobileFaceNet().state_dict()
    if state.keys() == ours.keys():
        name, usual, dimension = "mobilefacenet", Feeding(scale=128.0), _rows(state[list(ours)[-1]])
    else:
        found = architecture_of(state)
        if found is None:
            raise GraphError(
                "its names are those of no network that is known here: MobileFaceNet as in "
                "recognition/embed.py, IResNet-18, -34, -50 or -100 as InsightFace names its "
                "parts (conv1.weight, layer1.0.bn1.weight, ..., fc.weight, features.weight). "
                "Export another network as ONNX"
            )
        name, usual, dimension = found, Feeding(), dimension_of(state)
    if not SMALLEST_DIMENSION <= dimension <= LARGEST_DIMENSION:
        raise GraphError(_wrong_dimension(dimension))
    return Description(name, _feeding(wanted, usual), dimension), state


def _rows(tensor: Tensor) -> int:
    """How many a tensor has; 0 for a single number."""
    return len(tensor) if tensor.ndim else 0


def _feeding(wanted: Wanted, usual: Feeding) -> Feeding:
    return Feeding(
        wanted.channels or usual.channels,
        usual.mean if wanted.mean is None else wanted.mean,
        usual.scale if wanted.scale is None else wanted.scale,
    )


def _check_finite(state: dict[str, Tensor]) -> None:
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise GraphError(f"its weights {name[:60]!r} hold values that are no numbers")


def _without_dust(tensor: Tensor) -> Tensor:
    """Weights too small to matter as zeros.

    Training drives the weights of channels that nothing needs towards zero. Below 1.2e-38 numbers
    lose their normal form, and a processor takes some hundred times as long for each: a file in
    use was four times as slow for them.
    """
    return torch.where(tensor.abs() < _DUST, torch.zeros_like(tensor), tensor)


def _known_faces() -> Tensor:
    """(3, 3, 112, 112), 0..255: soft patterns, always the same, that differ in everything."""
    random = torch.Generator().manual_seed(7)
    coarse = torch.rand((3, 3, 8, 8), generator=random) * 255
    return functional.interpolate(coarse, size=(112, 112), mode="bilinear")


@torch.inference_mode()
def _check_embeddings(net: nn.Module, dimension: int) -> None:
    """Refuse a network whose vectors are no embeddings of what it is shown."""
    if not SMALLEST_DIMENSION <= dimension <= LARGEST_DIMENSION:
        raise GraphError(_wrong_dimension(dimension))
    faces = _known_faces()
    together = embed(net, faces)
    alone = torch.cat([embed(net, face[None]) for face in faces])
    if together.shape != (len(faces), dimension):
        raise GraphError(f"it gives {list(together.shape)} for {len(faces)} faces")
    if not bool(torch.isfinite(together).all()) or float(together.norm(dim=1).min()) < 0.5:
        raise GraphError("its embeddings of known pictures are zero or no numbers")
    apart = (together @ together.T).fill_diagonal_(-1)
    if not float(apart.max()) < _SAME:
        raise GraphError("it gives the same embedding for different pictures")
    difference = float((together - alone).abs().max())
    if not difference <= _BATCH_TOLERANCE:
        raise GraphError(
            f"a face's embedding depends on the others in its batch, by {difference:.2g}"
        )


def _wrong_dimension(dimension: int) -> str:
    return (
        f"its embeddings have {dimension} numbers; {SMALLEST_DIMENSION} to {LARGEST_DIMENSION} are "
        "expected. The classifier that it was trained with must not be part of it"
    )


def _info(wanted: Wanted, description: Description, source: str) -> ModelInfo:
    """What it is registered as: another way to feed the same weights is another model."""
    feeding = description.feeding
    words = [source, feeding.channels, repr(feeding.mean), repr(feeding.scale)]
    sha256 = hashlib.sha256(" ".join(words).encode()).hexdigest()
    version = (wanted.version or sha256[:8]).strip()
    return ModelInfo(wanted.name, version, sha256, wanted.licence.strip(), description.dimension)


def add_entry(
    models: Path, info: ModelInfo, packed: bytes, source: str, more: Mapping[str, Any] | None = None
) -> None:
    """Write a checked model's file and its entry in the manifest.

    Args:
        packed: as `imported.pack` gives it.
        source: SHA-256 of the file that it came from.
        more: to be kept in the entry.

    Raises:
        WeightsError: the same model has another name, or another model has this one.
    """
    kept = entries(models)
    for name, entry in kept.items():
        if entry["model"]["sha256"] == info.sha256 and name != info.name:
            raise WeightsError(f"The same model was imported before, as {name}.")
    earlier = kept.get(info.name)
    if earlier is not None and earlier["model"] != asdict(info):
        raise WeightsError(
            f"Another model was imported as {info.name}. Take another name, since templates and "
            f"thresholds go by it, or first run `python -m recognition forget-model {info.name}`."
        )
    path = weights_file(models, info.name)
    write_atomically(path, packed)
    kept[info.name] = {
        "file": path.name,
        "sha256": hashlib.sha256(packed).hexdigest(),
        "source_sha256": source,
        "model": asdict(info),
        **(more or {}),
    }
    _write_entries(models, kept)


def _manifest(models: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((models / MANIFEST).read_text())
        manifest["imported"] = entries(models)
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(
            f"There are no models in {models} to add one to. "
            "Run `python -m recognition fetch-models` first."
        ) from error
    return manifest


def _write_entries(models: Path, kept: dict[str, dict[str, Any]]) -> None:
    manifest = {**_manifest(models), "imported": kept}
    write_atomically(models / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
