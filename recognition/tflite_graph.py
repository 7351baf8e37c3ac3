"""Reads the trained layers out of a TensorFlow Lite flatbuffer, in torch's layouts.

Only what the shipped models use: float32 or float16 convolutions, depthwise convolutions and
linear layers, each with its bias; PReLU slopes and the offsets of centred linear layers, which
converters write as arithmetic around a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import tflite
from numpy.typing import NDArray

Array = NDArray[np.float32]

_DTYPES = {tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.FLOAT16: np.float16}
_LAYER_KINDS: dict[int, Literal["conv", "depthwise", "linear"]] = {
    tflite.BuiltinOperator.CONV_2D: "conv",
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: "depthwise",
    tflite.BuiltinOperator.FULLY_CONNECTED: "linear",
}


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One trained layer.

    scope: the path of its weights' name, e.g. ("cru_1", "conv2d_5", ...).
    weight: conv (out, in, kh, kw); depthwise (channels, 1, kh, kw); linear (out, in), whose
        inputs are flattened from rows, columns, channels.
    bias: (out,).
    multiplier: the (out,) constant that its output's negative part is multiplied by, if any.
    offset: what is subtracted from its input before the product, if anything.
    """

    scope: tuple[str, ...]
    kind: Literal["conv", "depthwise", "linear"]
    weight: Array
    bias: Array
    multiplier: Array | None = None
    offset: Array | None = None


class _Graph:
    """The first subgraph of a flatbuffer, with its constants resolved."""

    def __init__(self, data: bytes) -> None:
        self._model = tflite.Model.GetRootAs(data, 0)
        self._subgraph = self._model.Subgraphs(0)
        self._dequantized: dict[int, int] = {}

    def operators(self) -> list[tuple[int, list[int], int]]:
        """(builtin code, input tensors, first output tensor), in order of execution."""
        found = []
        for index in range(self._subgraph.OperatorsLength()):
            operator = self._subgraph.Operators(index)
            codes = self._model.OperatorCodes(operator.OpcodeIndex())
            # Files older than the wide field keep the code in the deprecated narrow one.
            code = max(codes.BuiltinCode(), codes.DeprecatedBuiltinCode())
            inputs = [int(tensor) for tensor in operator.InputsAsNumpy()]
            output = int(operator.OutputsAsNumpy()[0])
            if code == tflite.BuiltinOperator.DEQUANTIZE:
                self._dequantized[output] = inputs[0]
                continue
            found.append((code, inputs, output))
        return found

    def scope(self, tensor: int) -> tuple[str, ...]:
        name: str = self._subgraph.Tensors(tensor).Name().decode()
        parts = name.split("/")
        return tuple(parts[1:] if len(parts) > 1 else parts)

    def constant(self, tensor: int) -> Array | None:
        """The values of a constant tensor as float32; None for a computed one."""
        described: Any = self._subgraph.Tensors(self._dequantized.get(tensor, tensor))
        dtype = _DTYPES.get(described.Type())
        buffer = self._model.Buffers(described.Buffer())
        if dtype is None or buffer.DataLength() == 0:
            return None
        raw = buffer.DataAsNumpy().tobytes()
        shape = tuple(described.ShapeAsNumpy()) if described.ShapeLength() else ()
        return np.frombuffer(raw, dtype=dtype).reshape(shape).astype(np.float32)


def read_layers(data: bytes) -> list[Layer]:
    """All trained layers of a TFLite model, in order of execution.

    Raises:
        ValueError: a layer without constant weights and bias (another kind of file).
    """
    graph = _Graph(data)
    layers: list[Layer] = []
    offsets: dict[int, Array] = {}
    for code, inputs, output in graph.operators():
        if code in _LAYER_KINDS:
            layers.append(_layer(graph, _LAYER_KINDS[code], inputs, offsets.get(inputs[0])))
        elif code == tflite.BuiltinOperator.MUL and layers:
            constants = [value for value in map(graph.constant, inputs) if value is not None]
            if constants:
                layers[-1] = replace(layers[-1], multiplier=constants[0])
        elif code == tflite.BuiltinOperator.SUB:
            offset = graph.constant(inputs[1])
            if offset is not None:
                offsets[output] = offset
    return layers


def _layer(
    graph: _Graph,
    kind: Literal["conv", "depthwise", "linear"],
    inputs: list[int],
    offset: Array | None,
) -> Layer:
    weight, bias = graph.constant(inputs[1]), graph.constant(inputs[2])
    if weight is None or bias is None:
        raise ValueError(f"the {kind} layer {graph.scope(inputs[1])} has no constant weights")
    if kind == "conv":
        weight = weight.transpose(0, 3, 1, 2)  # (out, kh, kw, in) -> (out, in, kh, kw)
    elif kind == "depthwise":
        weight = weight.transpose(3, 0, 1, 2)  # (1, kh, kw, channels) -> (channels, 1, kh, kw)
    weight = np.ascontiguousarray(weight)
    return Layer(graph.scope(inputs[1]), kind, weight, bias, offset=offset)
