"""Small ONNX files of ArcFace-type networks, built node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from recognition.iresnet import Block, IResNet

Arrays = dict[str, np.ndarray]


def node(op: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    """A node; inputs are separated by spaces, "-" is one that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, [output], **attributes)


def onnx_model(
    nodes: Sequence[NodeProto],
    weights: Mapping[str, np.ndarray],
    *,
    opset: int = 17,
    batch: int | str = "N",
    output: str = "out",
) -> ModelProto:
    """From the image "x" to `output`; a batch of 1 is fixed in the file, as exports often do."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, None])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    version = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version
    )


def small_arcface(
    *, dimension: int = 64, batch: int | str = 1, seed: int = 0, opset: int = 11
) -> ModelProto:
    """An IResNet in small: a convolution, a residual block, and BN-FC-BN; opset 7 to 22."""
    random = np.random.default_rng(seed)
    weights: Arrays = {
        "w0": _normal(random, 8, 3, 3, 3),
        "w1": _normal(random, 8, 8, 3, 3),
        "w2": _normal(random, 16, 8, 3, 3),
        "w3": _normal(random, 16, 8, 1, 1),
        "slope0": np.full((8, 1, 1), 0.25, np.float32),
        "slope1": _normal(random, 8, 1, 1),
        "shape": np.array([1, -1], np.int64),
        "fc": _normal(random, dimension, 16 * 7 * 7),
        "fc_bias": _normal(random, dimension),
        **_statistics(random, "a", 8),
        **_statistics(random, "b", 8),
        **_statistics(random, "c", 16),
        **_statistics(random, "d", dimension),
    }
    half = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}
    nodes = [
        node("Conv", "x w0", "c0", **half),
        _norm("a", "c0", "n0"),
        node("PRelu", "n0 slope0", "p0"),
        node("AveragePool", "p0", "p1", kernel_shape=[2, 2], strides=[4, 4]),
        _norm("b", "p1", "n1"),
        node("Conv", "n1 w1", "c1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("PRelu", "c1 slope1", "p2"),
        node("Conv", "p2 w2", "c2", **half),
        node("Conv", "p1 w3", "s2", strides=[2, 2]),
        node("Add", "c2 s2", "r2"),
        _norm("c", "r2", "n2"),
        node("Dropout", "n2", "n3"),
        node("Reshape", "n3 shape", "flat"),
        node("Gemm", "flat fc fc_bias", "g", transB=1),
        _norm("d", "g", "out"),
    ]
    return onnx_model(nodes, weights, opset=opset, batch=batch)


def shaken(net: IResNet, seed: int = 0) -> IResNet:
    """The network with statistics that are not the neutral ones, in evaluation mode."""
    random = torch.Generator().manual_seed(seed)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            for tensor, middle in ((part.weight, 1.0), (part.bias, 0.0), (part.running_mean, 0.0)):
                assert tensor is not None
                noise = torch.randn(tensor.shape, generator=random) * 0.1
                tensor.data.copy_(middle + noise)
            assert part.running_var is not None
            part.running_var.copy_(torch.rand(part.running_var.shape, generator=random) + 0.5)
    return net.eval()


def iresnet_as_onnx(net: IResNet) -> ModelProto:
    """A torch IResNet written as ONNX, by hand, with its names."""
    weights: Arrays = {name: array.numpy() for name, array in net.state_dict().items()}
    for name, part in net.named_modules():
        if isinstance(part, nn.PReLU):  # broadcast from the right: (C, 1, 1) is a slope a channel
            weights[f"{name}.weight"] = weights[f"{name}.weight"].reshape(-1, 1, 1)
    nodes: list[NodeProto] = []

    def add(op: str, inputs: str, **attributes: Any) -> str:
        nodes.append(node(op, inputs, f"t{len(nodes)}", **attributes))
        return f"t{len(nodes) - 1}"

    def conv(x: str, name: str, stride: int, pad: int) -> str:
        return add("Conv", f"{x} {name}.weight", strides=[stride] * 2, pads=[pad] * 4)

    def norm(x: str, name: str) -> str:
        parts = " ".join(
            f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")
        )
        return add("BatchNormalization", f"{x} {parts}")

    x = add("PRelu", f"{norm(conv('x', 'conv1', 1, 1), 'bn1')} prelu.weight")
    for name, block in net.named_modules():
        if isinstance(block, Block):
            y = norm(conv(norm(x, f"{name}.bn1"), f"{name}.conv1", 1, 1), f"{name}.bn2")
            y = add("PRelu", f"{y} {name}.prelu.weight")
            y = norm(conv(y, f"{name}.conv2", block.conv2.stride[0], 1), f"{name}.bn3")
            if block.downsample is not None:
                x = norm(conv(x, f"{name}.downsample.0", 2, 0), f"{name}.downsample.1")
            x = add("Add", f"{y} {x}")
    x = add("Gemm", f"{add('Flatten', norm(x, 'bn2'))} fc.weight fc.bias", transB=1)
    last = norm(x, "features")
    used = {name for made in nodes for name in made.input}
    return onnx_model(nodes, {k: v for k, v in weights.items() if k in used}, output=last)


def as_bytes(model: ModelProto) -> bytes:
    return bytes(model.SerializeToString())


def _norm(name: str, source: str, output: str) -> NodeProto:
    parts = " ".join(f"{name}_{part}" for part in ("scale", "bias", "mean", "variance"))
    return node("BatchNormalization", f"{source} {parts}", output, epsilon=2e-5)


def _statistics(random: np.random.Generator, name: str, channels: int) -> Arrays:
    return {
        f"{name}_scale": 1 + _normal(random, channels),
        f"{name}_bias": _normal(random, channels),
        f"{name}_mean": _normal(random, channels),
        f"{name}_variance": random.uniform(0.5, 1.5, channels).astype(np.float32),
    }


def _normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    return (random.normal(size=shape) * 0.2).astype(np.float32)
