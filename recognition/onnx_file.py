"""Reads an ONNX file into a graph and its weights, trusting nothing in it.

The format is ONNX's onnx.proto (IR version 3 and up, opsets 7 and up of the default domain). Only
the file itself is read: what it wants to have read from elsewhere is refused. Names in it are
replaced by our own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from recognition.graph_net import Graph, GraphNet
from recognition.onnx_node import GraphError, Node
from recognition.onnx_operators import OPERATORS

OLDEST_OPSET = 7
MOST_NODES = 4_000
LARGEST_CONSTANT = 64
"""Integers; those that a network needs are shapes and axes."""
LARGEST_VALUE = 16_000_000
"""Numbers in any one value between two steps, for one face: 64 MB."""
MOST_VALUES = 1_000_000_000
"""Numbers in all of them together."""
MOST_WORK = 200e9
"""Floating point operations for one face: eight times IResNet-100's."""

_INPUT = (3, 112, 112)
_FLOATS: dict[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.FLOAT16: 2,
    TensorProto.BFLOAT16: 2,
    TensorProto.DOUBLE: 8,
}
_INTEGERS: dict[int, int] = {TensorProto.INT64: 8, TensorProto.INT32: 4, TensorProto.BOOL: 1}
_SIZES = {**_FLOATS, **_INTEGERS}
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
}


@dataclass(slots=True)
class _Names:
    """Our names for the file's: none of its texts goes any further."""

    known: dict[str, str] = field(default_factory=dict)

    def new(self, name: str) -> str:
        if not name or name in self.known:
            raise GraphError(f"the value {name[:60]!r} is made twice or has no name")
        self.known[name] = f"v{len(self.known)}"
        return self.known[name]

    def used(self, name: str) -> str:
        if not name:
            return ""
        if name not in self.known:
            raise GraphError(
                f"the value {name[:60]!r} is used before it is made: a cycle, or steps out of order"
            )
        return self.known[name]


@dataclass(slots=True)
class _Values:
    """What the file holds: weights and small integers, by our names."""

    names: _Names = field(default_factory=_Names)
    weights: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, int | list[int]] = field(default_factory=dict)

    def add(self, name: str, value: np.ndarray[Any, Any]) -> None:
        own = self.names.new(name)
        if value.dtype.kind in "iub":
            if value.ndim > 1 or value.size > LARGEST_CONSTANT:
                raise GraphError(f"{name[:60]!r} holds integers: quantised weights are not known")
            self.constants[own] = value.astype(np.int64).tolist()
        else:
            self.weights[own] = torch.from_numpy(np.array(value, np.float32))


def read_onnx(content: bytes) -> tuple[Graph, dict[str, Tensor], int]:
    """The network of an ONNX file, its float32 weights by name, and its output's dimension.

    Every shape is gone through, without computing anything, before the network is handed out, so
    that no file can make values of an absurd size.

    Args:
        content: the whole file.

    Raises:
        GraphError: not an ONNX file, or one with anything but a network of the known operators
            from (N, 3, 112, 112) to (N, D). The message says what.
    """
    graph = _proto(content).graph
    values = _Values()
    for tensor in graph.initializer:
        values.add(tensor.name, _array(tensor))
    source, target = _input(graph, values), _output(graph)
    nodes = _nodes(graph.node, values)
    read = Graph(source, values.names.used(target), nodes, values.constants)
    read, weights = _needed(read, values.weights)
    return read, weights, _checked_dimension(read, weights)


def _proto(content: bytes) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError) as error:
        raise GraphError("it is no ONNX file, or is cut off or damaged") from error
    if not model.graph.node:
        raise GraphError("it is no ONNX file, or has no graph")
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    opset = opsets.get("", opsets.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise GraphError(
            f"it uses opset {opset}, known are {OLDEST_OPSET} to {newest}: export it anew, or use "
            "onnx.version_converter"
        )
    if len(model.graph.node) > MOST_NODES:
        raise GraphError(f"it has more than {MOST_NODES} steps")
    if model.functions or model.graph.sparse_initializer:
        raise GraphError("it has functions or sparse weights of its own, which are not known")
    return model


def _array(tensor: TensorProto) -> np.ndarray[Any, Any]:
    name = tensor.name[:60]
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise GraphError(
            f"the weights {name!r} lie outside the file. Save it as one: onnx.save_model(model, "
            "PATH, save_as_external_data=False)"
        )
    size = _SIZES.get(tensor.data_type)
    if size is None:
        raise GraphError(f"the weights {name!r} are of the unknown data type {tensor.data_type}")
    dims = list(tensor.dims)
    if len(dims) > 8 or any(side < 0 for side in dims):
        raise GraphError(f"the weights {name!r} have the absurd shape {dims[:9]}")
    stored = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
    held = len(tensor.raw_data) / size if tensor.raw_data else len(stored)
    if math.prod(dims) != held:
        raise GraphError(f"the weights {name!r} of shape {dims} are not whole")
    array = numpy_helper.to_array(tensor)
    return array if tensor.data_type in _INTEGERS else array.astype(np.float32)


def _input(graph: GraphProto, values: _Values) -> str:
    inputs = [entry for entry in graph.input if entry.name not in values.names.known]
    if len(inputs) != 1:
        raise GraphError(f"it has {len(inputs)} inputs; one image is expected")
    shape = inputs[0].type.tensor_type.shape.dim
    sides = tuple(side.dim_value for side in shape)  # 0 where it is open
    fits = len(sides) == 4 and all(
        side in (0, wanted) for side, wanted in zip(sides[1:], _INPUT, strict=True)
    )
    if not fits or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise GraphError(f"its input is {list(sides)}; float32 (N, 3, 112, 112) is expected")
    return values.names.new(inputs[0].name)


def _output(graph: GraphProto) -> str:
    if len(graph.output) != 1:
        names = ", ".join(repr(entry.name[:40]) for entry in list(graph.output)[:8])
        raise GraphError(f"it has {len(graph.output)} outputs ({names}); the embedding is expected")
    return str(graph.output[0].name)


def _nodes(protos: Iterable[NodeProto], values: _Values) -> tuple[Node, ...]:
    nodes = []
    for proto in protos:
        if proto.op_type == "Constant" and proto.domain in ("", "ai.onnx"):
            values.add(proto.output[0] if proto.output else "", _constant(proto))
            continue
        operator = OPERATORS.get(proto.op_type)
        if operator is None or proto.domain not in ("", "ai.onnx"):
            name = f"{proto.domain}.{proto.op_type}".lstrip(".")[:80]
            raise GraphError(
                f"it uses the operator {name!r}, which is not known here. Export the network for "
                f"inference, without pre- or post-processing; known are: "
                f"{', '.join(sorted([*OPERATORS, 'Constant']))}"
            )
        attributes = {entry.name: _attribute(entry) for entry in proto.attribute}
        unknown = sorted(attributes.keys() - operator.attributes)
        inputs = tuple(values.names.used(name) for name in proto.input)
        if unknown or len(inputs) not in operator.inputs or not proto.output:
            raise GraphError(
                f"{proto.op_type} has {len(inputs)} inputs and the unknown attributes {unknown[:5]}"
            )
        nodes.append(Node(proto.op_type, inputs, values.names.new(proto.output[0]), attributes))
    return tuple(nodes)


def _constant(proto: NodeProto) -> np.ndarray[Any, Any]:
    if len(proto.attribute) != 1:
        raise GraphError("a Constant without one value")
    (attribute,) = proto.attribute
    match attribute.name:
        case "value":
            return _array(attribute.t)
        case "value_float" | "value_floats":
            return np.array(_attribute(attribute), np.float32)
        case "value_int" | "value_ints":
            return np.array(_attribute(attribute), np.int64)
        case other:
            raise GraphError(f"a Constant of the unknown kind {other[:40]!r}")


def _attribute(proto: AttributeProto) -> Any:
    """A number, a text or a list of numbers."""
    match proto.type:
        case AttributeProto.INT:
            return int(proto.i)
        case AttributeProto.FLOAT if math.isfinite(proto.f):
            return float(proto.f)
        case AttributeProto.STRING:
            return proto.s[:40].decode("ascii", "replace")
        case AttributeProto.INTS if len(proto.ints) <= LARGEST_CONSTANT:
            return [int(number) for number in proto.ints]
        case AttributeProto.FLOATS if len(proto.floats) <= LARGEST_CONSTANT:
            return [float(number) for number in proto.floats]
        case _:
            raise GraphError(f"the attribute {proto.name[:40]!r} is of an unknown kind")


def _needed(graph: Graph, weights: dict[str, Tensor]) -> tuple[Graph, dict[str, Tensor]]:
    """Only what the output depends on."""
    wanted, nodes = {graph.output}, []
    for node in reversed(graph.nodes):
        if node.output in wanted:
            wanted.update(node.inputs)
            nodes.append(node)
    if graph.input not in wanted:
        raise GraphError("its output does not depend on its input")
    constants = {name: value for name, value in graph.constants.items() if name in wanted}
    kept = {name: weight for name, weight in weights.items() if name in wanted}
    return Graph(graph.input, graph.output, tuple(reversed(nodes)), constants), kept


def _checked_dimension(graph: Graph, weights: dict[str, Tensor]) -> int:
    """Of the output, found by going through the graph with tensors that have no memory."""
    net = GraphNet(graph, {name: weight.to("meta") for name, weight in weights.items()})
    faces, total, sides = 2, 0, list[int]()
    with FlopCounterMode(display=False) as counter:
        for node, value in net.steps(torch.zeros(faces, *_INPUT, device="meta")):
            size = value.numel() // faces
            total += size
            # What is not on "meta" are shapes.
            small = value.device.type == "meta" or value.numel() <= LARGEST_CONSTANT
            if size > LARGEST_VALUE or total > MOST_VALUES or not small:
                raise GraphError(f"{node.op} makes the absurdly large value {list(value.shape)}")
            if counter.get_total_flops() > faces * MOST_WORK:
                raise GraphError("it computes more than eight times what IResNet-100 does")
            if node.output == graph.output:
                sides = list(value.shape)
    if len(sides) != 2 or sides[0] != faces:
        raise GraphError(f"its output for {faces} faces is {sides}; (N, D) is expected")
    return sides[1]
