"""ONNX's operators that move a window over an image: convolution and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recognition.onnx_node import GraphError, Node, Operators

WINDOWS = Operators()
LARGEST_WINDOW = 256
"""Pixels, of any side of a kernel, a padding, a stride."""


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


@WINDOWS.add("Conv", range(2, 4), "auto_pad dilations group kernel_shape pads strides")
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


@WINDOWS.add(
    "AveragePool",
    range(1, 2),
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


@WINDOWS.add(
    "MaxPool", range(1, 2), "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"
)
def _max_pool(node: Node, inputs: list[Any]) -> Tensor:
    (x,) = inputs
    window = _pooling_window(node, x)
    padded = functional.pad(x, window.pads, value=-torch.inf)
    return functional.max_pool2d(padded, window.kernel, window.strides, dilation=window.dilations)
