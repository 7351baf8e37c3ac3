"""Turns the published weight files into state dicts of our networks."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from recognition.embed import MobileFaceNet
from recognition.minifasnet_conversion import minifasnet_state
from recognition.mtcnn import Mtcnn
from recognition.onnx_graph import read_convolutions
from recognition.pad import AntiSpoofingTree
from recognition.resnet29 import STAGES, ResNet29
from recognition.retinaface import RetinaFace
from recognition.shards import read_shards
from recognition.tflite_graph import Array, Layer, read_layers

State = dict[str, Tensor]

# Sides of the maps that are flattened into linear layers, by the layers' inputs: R-Net 64 and
# O-Net 128 channels of 3x3, the routing units 32 of 8x8. All other linear layers see 1x1.
_FLATTENED_SIDES = {64 * 3 * 3: 3, 128 * 3 * 3: 3, 32 * 8 * 8: 8}


class ConversionError(ValueError):
    """A file that is not the model it should be."""


def mtcnn_state(files: Mapping[str, bytes]) -> State:
    """State of `Mtcnn` from pnet.tflite, rnet.tflite and onet.tflite.

    The published networks see x and y swapped; swapping the kernels' axes instead lets ours see
    images as they are.
    """
    net = Mtcnn()
    for name in ("pnet", "rnet", "onet"):
        layers = [_transposed(layer) for layer in read_layers(files[f"{name}.tflite"])]
        _fill(net.get_submodule(name), layers, slope_factor=1.0)
    return net.state_dict()


def mobilefacenet_state(files: Mapping[str, bytes]) -> State:
    """State of `MobileFaceNet` from MobileFaceNet.tflite.

    The file writes PReLU as relu(x) + m (x - |x|), so the slope is 2 m.
    """
    net = MobileFaceNet()
    _fill(net, read_layers(files["MobileFaceNet.tflite"]), slope_factor=2.0)
    return net.state_dict()


def antispoofing_state(files: Mapping[str, bytes]) -> State:
    """State of `AntiSpoofingTree` from FaceAntiSpoofing.tflite."""
    net = AntiSpoofingTree()
    groups: dict[str, list[Layer]] = {}
    for layer in read_layers(files["FaceAntiSpoofing.tflite"]):
        groups.setdefault(layer.scope[0], []).append(layer)
    _fill(net.stem, groups.get("conv", []))
    parts = (("cru", net.units), ("tru", net.routes), ("sfl", net.leaves))
    for prefix, modules in parts:
        for index, module in enumerate(modules):
            _fill(module, groups.get(f"{prefix}_{index}" if index else prefix, []))
    return net.state_dict()


def resnet29_state(files: Mapping[str, bytes]) -> State:
    """State of `ResNet29` from face-api's face_recognition_model; its `fc` is (inputs, outputs).

    Each convolution is followed by a scale and an offset of its channels: folded into it.
    """
    try:
        tensors = read_shards(
            files["face_recognition_model-weights_manifest.json"],
            files["face_recognition_model.bin"],
        )
    except ValueError as error:
        raise ConversionError(f"face_recognition_model: {error}") from error
    net = ResNet29()
    try:
        _fill_scaled(net.stem, tensors, "conv32_down")
        for name, block in zip(_block_names(), net.blocks, strict=True):
            _fill_scaled(block.get_submodule("first"), tensors, f"{name}/conv1")
            _fill_scaled(block.get_submodule("second"), tensors, f"{name}/conv2")
        _copy(net.head.weight, tensors.pop("fc").T)
    except KeyError as error:
        raise ConversionError(f"face_recognition_model: there is no tensor {error}") from error
    if tensors:
        raise ConversionError(f"face_recognition_model: {len(tensors)} tensors too many")
    return net.state_dict()


def retinaface_state(files: Mapping[str, bytes]) -> State:
    """State of `RetinaFace` from the package's weights.py: a Python file that says
    `WEIGHTS = b"..."`, an ONNX file in between. Read as text, never run.

    The published network sees blue, green, red; swapping its first kernels lets ours see images
    as they are. Its outputs come class scores first, then boxes, then points, each for the finest
    map first.
    """
    try:
        convolutions = read_convolutions(_literal(files["weights.py"], "WEIGHTS"))
    except ValueError as error:
        raise ConversionError(f"retinaface: {error}") from error
    net = RetinaFace()
    places = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    if len(places) != len(convolutions):
        raise ConversionError(f"retinaface: {len(convolutions)} convolutions, not {len(places)}")
    for number, (place, found) in enumerate(zip(places, convolutions, strict=True)):
        _copy(place.weight, found.weight[:, ::-1] if number == 0 else found.weight)
        _copy(place.get_parameter("bias"), found.bias)
    return net.state_dict()


def _literal(source: bytes, name: str) -> bytes:
    """The bytes that a Python file assigns to `name`."""
    try:
        module = ast.parse(source)
        for statement in module.body:
            match statement:
                case ast.Assign([ast.Name(target)], ast.Constant(bytes() as value)):
                    if target == name:
                        return value
    except SyntaxError as error:
        raise ValueError("the file is not Python") from error
    raise ValueError(f"the file does not say what {name} is")


def _block_names() -> list[str]:
    """The file's names of the residual blocks, in order."""
    names = []
    for stage, (count, channels) in enumerate(STAGES):
        if stage == len(STAGES) - 1:
            names.append(f"conv{channels}_down_out")
        elif stage > 0:
            names.append(f"conv{channels}_down")
        plain = count - (stage > 0)
        names += [f"conv{channels}_{number}" for number in range(1, plain + 1)]
    return names


def _fill_scaled(module: nn.Module, tensors: dict[str, Array], name: str) -> None:
    """Fills a convolution, whose kernels lie in the file as (rows, columns, inputs, outputs)."""
    scale = tensors.pop(f"{name}/scale/weights")
    offset = tensors.pop(f"{name}/scale/biases")
    kernels = tensors.pop(f"{name}/conv/filters").transpose(3, 2, 0, 1)
    bias = tensors.pop(f"{name}/conv/bias")
    _copy(module.get_parameter("weight"), kernels * scale[:, None, None, None])
    _copy(module.get_parameter("bias"), bias * scale + offset)


CONVERTERS: dict[str, Callable[[Mapping[str, bytes]], State]] = {
    "mtcnn": mtcnn_state,
    "mobilefacenet": mobilefacenet_state,
    "antispoofing": antispoofing_state,
    "retinaface": retinaface_state,
    "resnet29": resnet29_state,
    "minifasnet": minifasnet_state,
}


def _transposed(layer: Layer) -> Layer:
    """The same layer for images whose x and y are swapped."""
    weight = layer.weight
    if layer.kind == "linear":
        side = _FLATTENED_SIDES.get(weight.shape[1], 1)
        square = weight.reshape(len(weight), side, side, -1)
        weight = square.swapaxes(1, 2).reshape(weight.shape)
    else:
        weight = weight.swapaxes(2, 3)
    return replace(layer, weight=weight)


def _fill(root: nn.Module, layers: Sequence[Layer], slope_factor: float = 1.0) -> None:
    """Copies the layers, in order, into the modules of `root` that have weights, in order."""
    remaining = iter(layers)
    previous: Layer | None = None
    for module in root.modules():
        if isinstance(module, nn.PReLU):
            if previous is None or previous.multiplier is None:
                raise ConversionError("an activation has no slopes")
            _copy(module.weight, slope_factor * previous.multiplier)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            previous = next(remaining, None)
            if previous is None:
                raise ConversionError(f"{type(root).__name__}: the file has too few layers")
            _fill_layer(module, previous)
            if previous.offset is not None:
                _copy(root.get_buffer("mean"), _channels_first(previous.offset).squeeze(0))
    if next(remaining, None) is not None:
        raise ConversionError(f"{type(root).__name__}: the file has too many layers")


def _fill_layer(module: nn.Conv2d | nn.Linear, layer: Layer) -> None:
    linear = isinstance(module, nn.Linear)
    _copy(module.weight, _channels_first(layer.weight) if linear else layer.weight)
    if module.bias is None:
        raise ConversionError("a layer has no place for its bias")
    _copy(module.bias, layer.bias)


def _channels_first(weight: Array) -> Array:
    """Inputs flattened from (rows, columns, channels) to flattened from (channels, rows, ...)."""
    side = _FLATTENED_SIDES.get(weight.shape[1], 1)
    square = weight.reshape(len(weight), side, side, -1)
    return square.transpose(0, 3, 1, 2).reshape(weight.shape)


def _copy(target: Tensor, values: Array) -> None:
    if target.shape != values.shape:
        raise ConversionError(f"a layer has shape {values.shape}, not {tuple(target.shape)}")
    with torch.no_grad():
        target.copy_(torch.from_numpy(np.array(values)))
