"""What is no embedder is refused with its reason, and everything stays as it was."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor

from recognition.embed import MobileFaceNet
from recognition.iresnet import IResNet
from recognition.weights import WeightsError
from tests.recognition.importer import held, loaded, take_in
from tests.recognition.onnx_files import as_bytes, node, onnx_model, small_arcface


def changed(model: ModelProto, name: str, value: float) -> ModelProto:
    for tensor in model.graph.initializer:
        if tensor.name == name:
            array = numpy_helper.to_array(tensor).copy()
            array.flat[0 if np.isnan(value) else slice(None)] = value
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    return model


def mixing() -> ModelProto:
    """Takes from each face what all have in common: a batch decides what one face gives."""
    model = small_arcface(batch="N")
    model.graph.node[-1].output[0] = "own"
    model.graph.node.extend(
        [
            node("ReduceMean", "own", "all", axes=[0], keepdims=1),
            node("Sub", "own all", "apart"),
            node("Sigmoid", "apart", "out"),
        ]
    )
    return model


def state_file(**changes: Tensor | None) -> bytes:
    torch.manual_seed(0)
    state = {**MobileFaceNet().state_dict(), **changes}
    return safetensors.torch.save({name: t for name, t in state.items() if t is not None})


def header(value: str, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value.encode()


HUGE = '{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
LAST = list(MobileFaceNet().state_dict())[-1]

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "an empty file": (lambda: b"", "no ONNX file"),
    "garbage": (lambda: b"garbage" * 100, "no ONNX file"),
    "a cut ONNX file": (lambda: as_bytes(small_arcface())[:-100], "cut off or damaged"),
    "a pickle": (lambda: pickle.dumps({"w": 1}), "safetensors.torch.save_file"),
    "a zipped pickle": (lambda: b"PK\x03\x04" + b"\0" * 100, "is a pickle"),
    "weights that are no numbers": (
        lambda: as_bytes(changed(small_arcface(), "w1", float("nan"))),
        "no numbers",
    ),
    "infinite weights": (
        lambda: as_bytes(changed(small_arcface(), "w1", float("inf"))),
        "no numbers",
    ),
    "a variance below zero": (
        lambda: as_bytes(changed(small_arcface(), "c_variance", -1.0)),
        "zero or no numbers",
    ),
    "weights that are all zero": (
        lambda: as_bytes(changed(small_arcface(), "fc", 0.0)),
        "the same embedding",
    ),
    "a dimension of 63": (lambda: as_bytes(small_arcface(dimension=63)), "63 numbers"),
    "a classifier of 1025": (lambda: as_bytes(small_arcface(dimension=1025)), "classifier"),
    "faces that depend on each other": (
        lambda: as_bytes(mixing()),
        "depends on the others|zero|same",
    ),
    "a picture with its channels": (
        lambda: as_bytes(onnx_model([node("Flatten", "x", "out")], {})),
        "37632 numbers",
    ),
    "an iresnet of another depth": (
        lambda: safetensors.torch.save({"conv1.weight": torch.zeros(1)}),
        "no network that is known",
    ),
    "a missing tensor": (lambda: state_file(**{LAST: None}), "no network that is known"),
    "a tensor of another shape": (
        lambda: state_file(**{"layers.0.weight": torch.zeros(9, 9, 9, 9)}),
        "do not fit mobilefacenet",
    ),
    "a tensor of no numbers": (
        lambda: state_file(**{"layers.0.bias": torch.full((64,), float("nan"))}),
        "no numbers",
    ),
    "quantised tensors": (
        lambda: state_file(**{"layers.0.bias": torch.zeros(64, dtype=torch.int8)}),
        "quantised",
    ),
    "a safetensors header beyond the file": (lambda: header(HUGE), "no safetensors file"),
    "a safetensors header that is no JSON": (lambda: header("{nonsense"), "no safetensors file"),
    "a safetensors header of 2^60 bytes": (lambda: header("{}", 2**60), "no ONNX file"),
    "a cut safetensors file": (lambda: state_file()[:-5], "no safetensors file"),
    "a safetensors file without anything": (lambda: safetensors.torch.save({}), "no network"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_why_and_leaves_everything_as_it_was(
    bare_home: Path, tmp_path: Path, arcface_file: Path, case: str
) -> None:
    take_in(bare_home, arcface_file, name="earlier")
    before = held(bare_home)
    make, reason = REFUSED[case]
    path = tmp_path / "hostile"
    path.write_bytes(make())
    with pytest.raises(WeightsError, match=reason):
        take_in(bare_home, path)
    assert held(bare_home) == before
    assert loaded(bare_home, "earlier")


def test_an_iresnet_with_a_wrong_layer_is_refused(bare_home: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = IResNet("iresnet18", 64).state_dict()
    state["layer3.1.conv2.weight"] = torch.zeros(1, 1, 3, 3)
    path = tmp_path / "net.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(WeightsError, match="do not fit iresnet18"):
        take_in(bare_home, path)
    assert list(held(bare_home)) == ["manifest.json"]
