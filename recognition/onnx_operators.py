"""ONNX's operators in plain torch: those that an embedder of faces is made of, and no others.

Semantics after the ONNX operator specification, opsets 7 and up. Axis 0 of every image or vector
is the batch: where a file fixes it to 1 (in the shape of a Reshape), it is any number here.
Integers, as in shapes, are small tensors on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recognition.onnx_node import GraphError, Node, Operators
from recognition.onnx_windows import WINDOWS

_OWN = Operators(dict(WINDOWS.known))
OPERATORS = _OWN.known
"""All that there are, those with windows among them."""

_FLOATS = {1, 10, 11, 16}  # TensorProto.DataType: float, float16, double, bfloat16
_INTEGERS = {6, 7}  # int32, int64
_ONE, _TWO = range(1, 2), range(2, 3)


@_OWN.add("GlobalAveragePool", _ONE)
def _global_average_pool(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0]).mean((2, 3), keepdim=True)


@_OWN.add("BatchNormalization", range(5, 6), "epsilon momentum spatial training_mode")
def _batch_normalization(node: Node, inputs: list[Any]) -> Tensor:
    x, scale, bias, mean, variance = inputs
    if node.attributes.get("training_mode", 0):
        raise GraphError("BatchNormalization is in training mode: export the model for inference")
    # Before opset 9 `spatial` 0 meant statistics for each pixel; what has one for each channel
    # (a known exporter's mistake) means the usual.
    if any(part.ndim != 1 for part in (scale, bias, mean, variance)):
        raise GraphError("BatchNormalization has statistics that are not one for each channel")
    epsilon = node.attributes.get("epsilon", 1e-5)
    return functional.batch_norm(x, mean, variance, scale, bias, eps=epsilon)


@_OWN.add("PRelu", _TWO)
def _prelu(node: Node, inputs: list[Any]) -> Tensor:
    x, slope = inputs
    channels = x.shape[1] if x.ndim > 1 else 1
    by_channel = (channels, *(1 for _ in x.shape[2:]))
    if slope.numel() == 1 or tuple(slope.shape) in (by_channel, (1, *by_channel)):
        return functional.prelu(x, slope.flatten())
    return torch.where(x < 0, slope * x, x)


@_OWN.add("Relu", _ONE)
def _relu(node: Node, inputs: list[Any]) -> Tensor:
    return functional.relu(inputs[0])


@_OWN.add("LeakyRelu", _ONE, "alpha")
def _leaky_relu(node: Node, inputs: list[Any]) -> Tensor:
    return functional.leaky_relu(inputs[0], node.attributes.get("alpha", 0.01))


@_OWN.add("Sigmoid", _ONE)
def _sigmoid(node: Node, inputs: list[Any]) -> Tensor:
    return torch.sigmoid(inputs[0])


@_OWN.add("Clip", range(1, 4), "min max")
def _clip(node: Node, inputs: list[Any]) -> Tensor:
    x, lowest, highest = (*inputs, None, None)[:3]
    lowest = node.attributes.get("min", lowest)
    highest = node.attributes.get("max", highest)
    if lowest is not None:
        x = torch.maximum(x, torch.as_tensor(lowest, dtype=x.dtype, device=x.device))
    if highest is not None:
        x = torch.minimum(x, torch.as_tensor(highest, dtype=x.dtype, device=x.device))
    return _tensor(x)


@_OWN.add("Add", _TWO)
def _add(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0] + inputs[1])


@_OWN.add("Sub", _TWO)
def _sub(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0] - inputs[1])


@_OWN.add("Mul", _TWO)
def _mul(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0] * inputs[1])


@_OWN.add("Div", _TWO)
def _div(node: Node, inputs: list[Any]) -> Tensor:
    first, second = inputs
    if not (first.is_floating_point() or second.is_floating_point()):
        return torch.div(first, second, rounding_mode="trunc")
    return _tensor(first / second)


@_OWN.add("Pow", _TWO)
def _pow(node: Node, inputs: list[Any]) -> Tensor:
    return torch.pow(inputs[0], inputs[1])


@_OWN.add("Sqrt", _ONE)
def _sqrt(node: Node, inputs: list[Any]) -> Tensor:
    return torch.sqrt(inputs[0])


@_OWN.add("Identity", _ONE)
def _identity(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0])


@_OWN.add("Dropout", range(1, 4), "ratio seed")
def _dropout(node: Node, inputs: list[Any]) -> Tensor:
    if len(inputs) > 2 and inputs[2] is not None and bool(inputs[2]):
        raise GraphError("Dropout is in training mode: export the model for inference")
    return _tensor(inputs[0])


@_OWN.add("Flatten", _ONE, "axis")
def _flatten(node: Node, inputs: list[Any]) -> Tensor:
    (x,) = inputs
    axis = node.attributes.get("axis", 1)
    if (axis + x.ndim if axis < 0 else axis) != 1:
        raise GraphError("Flatten joins faces: only the axis 1 keeps them apart")
    return torch.flatten(x, 1)


@_OWN.add("Reshape", _TWO, "allowzero")
def _reshape(node: Node, inputs: list[Any]) -> Tensor:
    x, shape = inputs
    sides = _integers(shape)
    if node.attributes.get("allowzero", 0) and 0 in sides:
        raise GraphError("Reshape makes an empty value")
    if x.ndim and not x.is_floating_point():
        return _tensor(x.reshape(sides))  # a part of a shape
    rest = [x.shape[place] if side == 0 else side for place, side in enumerate(sides)][1:]
    # The batch: copied, fixed to 1 in the file, or what the others leave.
    if not sides or sides[0] not in (0, 1, -1, len(x)) or min(rest, default=0) < -1:
        raise GraphError(f"Reshape to {sides} does not keep the faces apart")
    return _tensor(x.reshape([len(x), *rest]))


@_OWN.add("Transpose", _ONE, "perm")
def _transpose(node: Node, inputs: list[Any]) -> Tensor:
    (x,) = inputs
    order = node.attributes.get("perm", list(range(x.ndim))[::-1])
    if list(order)[:1] != [0]:
        raise GraphError("Transpose moves the batch from the first axis")
    return _tensor(x.permute(list(order)))


@_OWN.add("Gemm", range(2, 4), "alpha beta transA transB")
def _gemm(node: Node, inputs: list[Any]) -> Tensor:
    a, b, c = (*inputs, None)[:3]
    a = a.T if node.attributes.get("transA", 0) else a
    b = b.T if node.attributes.get("transB", 0) else b
    product = _tensor(a @ b) * node.attributes.get("alpha", 1.0)
    return product if c is None else _tensor(product + c * node.attributes.get("beta", 1.0))


@_OWN.add("MatMul", _TWO)
def _matmul(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0] @ inputs[1])


@_OWN.add("LpNormalization", _ONE, "axis p")
def _lp_normalization(node: Node, inputs: list[Any]) -> Tensor:
    power, axis = node.attributes.get("p", 2), node.attributes.get("axis", -1)
    return functional.normalize(inputs[0], p=float(power), dim=axis)


def _axes(node: Node, inputs: list[Any]) -> list[int]:
    """The axes that a node names: an attribute up to some opset, an input from there on."""
    if len(inputs) > 1 and inputs[1] is not None:
        return _integers(inputs[1])
    return list(node.attributes.get("axes", []))


def _reduced_axes(node: Node, inputs: list[Any]) -> list[int]:
    axes = _axes(node, inputs)
    if not axes:
        raise GraphError(f"{node.op} without axes would mix the faces of a batch")
    return axes


_REDUCE = "axes keepdims noop_with_empty_axes"


@_OWN.add("ReduceL2", range(1, 3), _REDUCE)
def _reduce_l2(node: Node, inputs: list[Any]) -> Tensor:
    axes, keep = _reduced_axes(node, inputs), bool(node.attributes.get("keepdims", 1))
    return _tensor(torch.linalg.vector_norm(inputs[0], dim=axes, keepdim=keep))


@_OWN.add("ReduceMean", range(1, 3), _REDUCE)
def _reduce_mean(node: Node, inputs: list[Any]) -> Tensor:
    axes, keep = _reduced_axes(node, inputs), bool(node.attributes.get("keepdims", 1))
    return _tensor(inputs[0].mean(axes, keepdim=keep))


@_OWN.add("ReduceSum", range(1, 3), _REDUCE)
def _reduce_sum(node: Node, inputs: list[Any]) -> Tensor:
    axes, keep = _reduced_axes(node, inputs), bool(node.attributes.get("keepdims", 1))
    return _tensor(inputs[0].sum(axes, keepdim=keep))


@_OWN.add("Squeeze", range(1, 3), "axes")
def _squeeze(node: Node, inputs: list[Any]) -> Tensor:
    x = inputs[0]
    axes = _axes(node, inputs)
    if not axes:
        raise GraphError("Squeeze without axes would drop the batch where it is one face")
    sides = [x.shape[axis] for axis in axes]
    if any(side != 1 for side in sides):
        raise GraphError(f"Squeeze of the axes {axes} of a value of {list(x.shape)}")
    return _tensor(x.squeeze(axes))


@_OWN.add("Unsqueeze", range(1, 3), "axes")
def _unsqueeze(node: Node, inputs: list[Any]) -> Tensor:
    x = inputs[0]
    axes = _axes(node, inputs)
    final = x.ndim + len(axes)
    for axis in sorted(axis + final if axis < 0 else axis for axis in axes):
        x = x.unsqueeze(axis)
    return _tensor(x)


@_OWN.add("Shape", _ONE, "end start")
def _shape(node: Node, inputs: list[Any]) -> Tensor:
    part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
    return torch.tensor(list(inputs[0].shape)[part], dtype=torch.int64)


@_OWN.add("Gather", _TWO, "axis")
def _gather(node: Node, inputs: list[Any]) -> Tensor:
    shape, places = inputs
    if shape.is_floating_point() or shape.ndim != 1:
        raise GraphError("Gather is known only as a part of a shape")
    return _tensor(shape[places])


@_OWN.add("Concat", range(1, 65), "axis")
def _concat(node: Node, inputs: list[Any]) -> Tensor:
    return torch.cat(inputs, node.attributes.get("axis", 0))


@_OWN.add("Expand", _TWO)
def _expand(node: Node, inputs: list[Any]) -> Tensor:
    x, shape = inputs
    sides = _integers(shape)
    sides = [1] * (x.ndim - len(sides)) + sides
    own = [1] * (len(sides) - x.ndim) + list(x.shape)
    return _tensor(
        x.expand([had if side == 1 else side for had, side in zip(own, sides, strict=True)])
    )


@_OWN.add("Cast", _ONE, "saturate to round_mode")
def _cast(node: Node, inputs: list[Any]) -> Tensor:
    kind = node.attributes.get("to")
    if kind in _FLOATS:
        return _tensor(inputs[0].to(torch.float32))
    if kind in _INTEGERS:
        return _tensor(inputs[0].to(torch.int64))
    raise GraphError(f"Cast to the data type {kind}")


def _integers(value: Tensor) -> list[int]:
    if value.is_floating_point() or value.ndim > 1:
        raise GraphError("a shape or an axis that is no list of integers")
    return [int(number) for number in value.flatten().tolist()]


def _tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise GraphError("a value that is left out")
    return value
