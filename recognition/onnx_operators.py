"""ONNX's operators in plain torch: those that an embedder of faces is made of, and no others.

Semantics after the ONNX operator specification, opsets 7 and up. Axis 0 of every image or vector
is the batch: where a file fixes it to 1 (in the shape of a Reshape), it is any number here.
Integers, as in shapes, are small tensors on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LARGEST_WINDOW = 256
"""Pixels, of any side of a kernel, a padding, a stride."""

_FLOATS = {1, 10, 11, 16}  # TensorProto.DataType: float, float16, double, bfloat16
_INTEGERS = {6, 7}  # int32, int64


class GraphError(ValueError):
    """A graph that cannot be run here. The message says which part and why."""


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a graph.

    inputs: names of values; an empty one is left out.
    output: name of the first output, the only one that is ever made.
    attributes: numbers, texts and lists of numbers, by ONNX's names.
    """

    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operator:
    """How an operator is run, and what a node of it may have.

    run: given the node and a value for each of its inputs, None for one that is left out.
    """

    run: Callable[[Node, list[Any]], Tensor]
    inputs: range
    attributes: frozenset[str]


OPERATORS: dict[str, Operator] = {}


def _operator(
    name: str, inputs: range, attributes: str = ""
) -> Callable[[Callable[[Node, list[Any]], Tensor]], Callable[[Node, list[Any]], Tensor]]:
    def add(run: Callable[[Node, list[Any]], Tensor]) -> Callable[[Node, list[Any]], Tensor]:
        OPERATORS[name] = Operator(run, inputs, frozenset(attributes.split()))
        return run

    return add


_ONE, _TWO = range(1, 2), range(2, 3)


@dataclass(frozen=True, slots=True)
class _Window:
    """kernel, strides, dilations: (height, width); pads: (left, right, top, bottom)."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]


def _window(node: Node, x: Tensor, kernel: tuple[int, int]) -> _Window:
    if x.ndim != 4:
        raise GraphError(f"{node.op} works on images, (N, C, H, W), only")
    strides = _pair(node, "strides", (1, 1))
    dilations = _pair(node, "dilations", (1, 1))
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        top, left, bottom, right = _sides(node, "pads", [0, 0, 0, 0], lowest=0)
        return _Window(kernel, strides, dilations, (left, right, top, bottom))
    if mode == "VALID":
        return _Window(kernel, strides, dilations, (0, 0, 0, 0))
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise GraphError(f"{node.op} has the unknown auto_pad {str(mode)[:20]!r}")
    pads: list[int] = []
    for axis in (1, 0):  # width first, as torch pads
        side, reach = x.shape[2 + axis], (kernel[axis] - 1) * dilations[axis] + 1
        steps = -(-side // strides[axis])
        total = max(0, (steps - 1) * strides[axis] + reach - side)
        less, more = total // 2, total - total // 2
        pads += [less, more] if mode == "SAME_UPPER" else [more, less]
    return _Window(kernel, strides, dilations, (pads[0], pads[1], pads[2], pads[3]))


def _sides(node: Node, name: str, default: list[int], *, lowest: int) -> list[int]:
    values = node.attributes.get(name, default)
    if len(values) != len(default) or not all(lowest <= v <= LARGEST_WINDOW for v in values):
        raise GraphError(f"{node.op} has the {name} {str(values)[:60]}")
    return list(values)


def _pair(node: Node, name: str, default: tuple[int, int]) -> tuple[int, int]:
    height, width = _sides(node, name, list(default), lowest=1)
    return height, width


@_operator("Conv", range(2, 4), "auto_pad dilations group kernel_shape pads strides")
def _conv(node: Node, inputs: list[Any]) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    height, width = weight.shape[2:]
    if _pair(node, "kernel_shape", (height, width)) != (height, width):
        raise GraphError("Conv has a kernel_shape other than its weights'")
    window = _window(node, x, (height, width))
    left, right, top, bottom = window.pads
    padding = (top, left)
    if (left, top) != (right, bottom):
        x, padding = functional.pad(x, window.pads), (0, 0)
    groups = node.attributes.get("group", 1)
    return functional.conv2d(
        x, weight, bias, window.strides, padding, window.dilations, groups=groups
    )


def _pooling_window(node: Node, x: Tensor) -> _Window:
    window = _window(node, x, _pair(node, "kernel_shape", (0, 0)))
    left, right, top, bottom = window.pads
    if max(top, bottom) >= window.kernel[0] or max(left, right) >= window.kernel[1]:
        raise GraphError(f"{node.op} pads by more than its kernel")
    sides = (x.shape[2] + top + bottom, x.shape[3] + left + right)
    whole = all(
        (side - (kernel - 1) * dilation - 1) % stride == 0
        for side, kernel, dilation, stride in zip(
            sides, window.kernel, window.dilations, window.strides, strict=True
        )
    )
    if node.attributes.get("ceil_mode", 0) and not whole:
        raise GraphError(f"{node.op} has a ceil_mode that adds a row; only rounding down is known")
    return window


@_operator(
    "AveragePool",
    _ONE,
    "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides",
)
def _average_pool(node: Node, inputs: list[Any]) -> Tensor:
    (x,) = inputs
    window = _pooling_window(node, x)
    if window.dilations != (1, 1):
        raise GraphError("AveragePool has dilations")
    pooled = functional.avg_pool2d(functional.pad(x, window.pads), window.kernel, window.strides)
    if not any(window.pads) or node.attributes.get("count_include_pad", 0):
        return pooled
    inside = functional.pad(x.new_ones((1, 1, *x.shape[2:])), window.pads)
    return pooled / functional.avg_pool2d(inside, window.kernel, window.strides)


@_operator("MaxPool", _ONE, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides")
def _max_pool(node: Node, inputs: list[Any]) -> Tensor:
    (x,) = inputs
    window = _pooling_window(node, x)
    padded = functional.pad(x, window.pads, value=-torch.inf)
    return functional.max_pool2d(padded, window.kernel, window.strides, dilation=window.dilations)


@_operator("GlobalAveragePool", _ONE)
def _global_average_pool(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0]).mean((2, 3), keepdim=True)


@_operator("BatchNormalization", range(5, 6), "epsilon momentum spatial training_mode")
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


@_operator("PRelu", _TWO)
def _prelu(node: Node, inputs: list[Any]) -> Tensor:
    x, slope = inputs
    channels = x.shape[1] if x.ndim > 1 else 1
    by_channel = (channels, *(1 for _ in x.shape[2:]))
    if slope.numel() == 1 or tuple(slope.shape) in (by_channel, (1, *by_channel)):
        return functional.prelu(x, slope.flatten())
    return torch.where(x < 0, slope * x, x)


@_operator("Relu", _ONE)
def _relu(node: Node, inputs: list[Any]) -> Tensor:
    return functional.relu(inputs[0])


@_operator("LeakyRelu", _ONE, "alpha")
def _leaky_relu(node: Node, inputs: list[Any]) -> Tensor:
    return functional.leaky_relu(inputs[0], node.attributes.get("alpha", 0.01))


@_operator("Sigmoid", _ONE)
def _sigmoid(node: Node, inputs: list[Any]) -> Tensor:
    return torch.sigmoid(inputs[0])


@_operator("Clip", range(1, 4), "min max")
def _clip(node: Node, inputs: list[Any]) -> Tensor:
    x, lowest, highest = (*inputs, None, None)[:3]
    lowest = node.attributes.get("min", lowest)
    highest = node.attributes.get("max", highest)
    if lowest is not None:
        x = torch.maximum(x, torch.as_tensor(lowest, dtype=x.dtype, device=x.device))
    if highest is not None:
        x = torch.minimum(x, torch.as_tensor(highest, dtype=x.dtype, device=x.device))
    return _tensor(x)


@_operator("Add", _TWO)
def _add(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0] + inputs[1])


@_operator("Sub", _TWO)
def _sub(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0] - inputs[1])


@_operator("Mul", _TWO)
def _mul(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0] * inputs[1])


@_operator("Div", _TWO)
def _div(node: Node, inputs: list[Any]) -> Tensor:
    first, second = inputs
    if not (first.is_floating_point() or second.is_floating_point()):
        return torch.div(first, second, rounding_mode="trunc")
    return _tensor(first / second)


@_operator("Pow", _TWO)
def _pow(node: Node, inputs: list[Any]) -> Tensor:
    return torch.pow(inputs[0], inputs[1])


@_operator("Sqrt", _ONE)
def _sqrt(node: Node, inputs: list[Any]) -> Tensor:
    return torch.sqrt(inputs[0])


@_operator("Identity", _ONE)
def _identity(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0])


@_operator("Dropout", range(1, 4), "ratio seed")
def _dropout(node: Node, inputs: list[Any]) -> Tensor:
    if len(inputs) > 2 and inputs[2] is not None and bool(inputs[2]):
        raise GraphError("Dropout is in training mode: export the model for inference")
    return _tensor(inputs[0])


@_operator("Flatten", _ONE, "axis")
def _flatten(node: Node, inputs: list[Any]) -> Tensor:
    (x,) = inputs
    axis = node.attributes.get("axis", 1)
    if (axis + x.ndim if axis < 0 else axis) != 1:
        raise GraphError("Flatten joins faces: only the axis 1 keeps them apart")
    return torch.flatten(x, 1)


@_operator("Reshape", _TWO, "allowzero")
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


@_operator("Transpose", _ONE, "perm")
def _transpose(node: Node, inputs: list[Any]) -> Tensor:
    (x,) = inputs
    order = node.attributes.get("perm", list(range(x.ndim))[::-1])
    if list(order)[:1] != [0]:
        raise GraphError("Transpose moves the batch from the first axis")
    return _tensor(x.permute(list(order)))


@_operator("Gemm", range(2, 4), "alpha beta transA transB")
def _gemm(node: Node, inputs: list[Any]) -> Tensor:
    a, b, c = (*inputs, None)[:3]
    a = a.T if node.attributes.get("transA", 0) else a
    b = b.T if node.attributes.get("transB", 0) else b
    product = _tensor(a @ b) * node.attributes.get("alpha", 1.0)
    return product if c is None else _tensor(product + c * node.attributes.get("beta", 1.0))


@_operator("MatMul", _TWO)
def _matmul(node: Node, inputs: list[Any]) -> Tensor:
    return _tensor(inputs[0] @ inputs[1])


@_operator("LpNormalization", _ONE, "axis p")
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


@_operator("ReduceL2", range(1, 3), _REDUCE)
def _reduce_l2(node: Node, inputs: list[Any]) -> Tensor:
    axes, keep = _reduced_axes(node, inputs), bool(node.attributes.get("keepdims", 1))
    return _tensor(torch.linalg.vector_norm(inputs[0], dim=axes, keepdim=keep))


@_operator("ReduceMean", range(1, 3), _REDUCE)
def _reduce_mean(node: Node, inputs: list[Any]) -> Tensor:
    axes, keep = _reduced_axes(node, inputs), bool(node.attributes.get("keepdims", 1))
    return _tensor(inputs[0].mean(axes, keepdim=keep))


@_operator("ReduceSum", range(1, 3), _REDUCE)
def _reduce_sum(node: Node, inputs: list[Any]) -> Tensor:
    axes, keep = _reduced_axes(node, inputs), bool(node.attributes.get("keepdims", 1))
    return _tensor(inputs[0].sum(axes, keepdim=keep))


@_operator("Squeeze", range(1, 3), "axes")
def _squeeze(node: Node, inputs: list[Any]) -> Tensor:
    x = inputs[0]
    axes = _axes(node, inputs)
    if not axes:
        raise GraphError("Squeeze without axes would drop the batch where it is one face")
    sides = [x.shape[axis] for axis in axes]
    if any(side != 1 for side in sides):
        raise GraphError(f"Squeeze of the axes {axes} of a value of {list(x.shape)}")
    return _tensor(x.squeeze(axes))


@_operator("Unsqueeze", range(1, 3), "axes")
def _unsqueeze(node: Node, inputs: list[Any]) -> Tensor:
    x = inputs[0]
    axes = _axes(node, inputs)
    final = x.ndim + len(axes)
    for axis in sorted(axis + final if axis < 0 else axis for axis in axes):
        x = x.unsqueeze(axis)
    return _tensor(x)


@_operator("Shape", _ONE, "end start")
def _shape(node: Node, inputs: list[Any]) -> Tensor:
    part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
    return torch.tensor(list(inputs[0].shape)[part], dtype=torch.int64)


@_operator("Gather", _TWO, "axis")
def _gather(node: Node, inputs: list[Any]) -> Tensor:
    shape, places = inputs
    if shape.is_floating_point() or shape.ndim != 1:
        raise GraphError("Gather is known only as a part of a shape")
    return _tensor(shape[places])


@_operator("Concat", range(1, 65), "axis")
def _concat(node: Node, inputs: list[Any]) -> Tensor:
    return torch.cat(inputs, node.attributes.get("axis", 0))


@_operator("Expand", _TWO)
def _expand(node: Node, inputs: list[Any]) -> Tensor:
    x, shape = inputs
    sides = _integers(shape)
    sides = [1] * (x.ndim - len(sides)) + sides
    own = [1] * (len(sides) - x.ndim) + list(x.shape)
    return _tensor(
        x.expand([had if side == 1 else side for had, side in zip(own, sides, strict=True)])
    )


@_operator("Cast", _ONE, "saturate to round_mode")
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
