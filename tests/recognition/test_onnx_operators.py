"""Each operator gives what ONNX's own reference in numpy gives, for faces alone and together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from onnx import ModelProto, NodeProto
from onnx.reference import ReferenceEvaluator

from recognition.graph_net import Graph, GraphNet
from recognition.iresnet import IResNet
from recognition.onnx_file import read_onnx
from recognition.onnx_node import GraphError, Node
from recognition.onnx_operators import OPERATORS
from tests.recognition.onnx_files import (
    Arrays,
    as_bytes,
    iresnet_as_onnx,
    node,
    onnx_model,
    shaken,
    small_arcface,
)

RANDOM = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def floats_of(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(count, 3, 112, 112)).astype(np.float32)


def run(content: bytes, faces: np.ndarray) -> np.ndarray:
    graph, weights, dimension = read_onnx(content)
    graph = Graph.from_json(graph.to_json())
    with torch.inference_mode():
        found: np.ndarray = GraphNet(graph, weights).eval()(torch.from_numpy(faces)).numpy()
    assert found.shape == (len(faces), dimension)
    return found


def reference(model: ModelProto, faces: np.ndarray) -> np.ndarray:
    (expected,) = ReferenceEvaluator(model).run(None, {"x": faces})
    return np.asarray(expected)


def between(nodes: Sequence[NodeProto], weights: Arrays, opset: int = 17) -> ModelProto:
    """The nodes, from "p" (N, 3, 14, 14) to "q" (N, ...), between a pooling and a Flatten."""
    pooled = node("AveragePool", "x", "p", kernel_shape=[8, 8], strides=[8, 8])
    return onnx_model([pooled, *nodes, node("Flatten", "q", "out")], weights, opset=opset)


def compare(nodes: Sequence[NodeProto], weights: Arrays, opset: int = 17) -> None:
    """Faces through the nodes: the reference agrees, and each face alone gives the same."""
    model = between(nodes, weights, opset)
    faces = pictures(3) * 8
    expected = reference(model, faces)
    found = run(as_bytes(model), faces)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(found) > 0, "the case shows nothing"
    alone = np.concatenate([run(as_bytes(model), face[None]) for face in faces])
    np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


CONV: dict[str, dict[str, Any]] = {
    "plain": {},
    "padded": {"pads": [1, 1, 1, 1]},
    "padded on one side": {"pads": [0, 0, 1, 1], "strides": [2, 2]},
    "padded on all sides differently": {"pads": [2, 0, 1, 3]},
    "strides": {"strides": [2, 3]},
    "dilations": {"dilations": [2, 1], "pads": [2, 1, 2, 1]},
    "same upper": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same lower": {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    "valid": {"auto_pad": "VALID"},
}


@pytest.mark.parametrize("case", CONV)
def test_convolution(case: str) -> None:
    weights = {"w": floats(5, 3, 3, 3), "b": floats(5)}
    compare([node("Conv", "p w b", "q", **CONV[case])], weights)


def test_convolution_of_each_channel_by_itself() -> None:
    compare([node("Conv", "p w", "q", group=3, kernel_shape=[3, 3])], {"w": floats(6, 1, 3, 3)})


POOL: dict[str, dict[str, Any]] = {
    "plain": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "overlapping": {"kernel_shape": [3, 3]},
    "padded": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
    "padded on one side": {"kernel_shape": [3, 2], "pads": [0, 0, 2, 1], "strides": [2, 2]},
    "same upper": {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "rounding that changes nothing": {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
}


@pytest.mark.parametrize("case", POOL)
@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
def test_pooling(op: str, case: str) -> None:
    compare([node(op, "p", "q", **POOL[case])], {})


def test_average_pooling_that_counts_what_was_padded() -> None:
    compare([node("AveragePool", "p", "q", count_include_pad=1, **POOL["padded"])], {})


def test_pooling_that_rounds_up_is_refused() -> None:
    with pytest.raises(GraphError, match="ceil_mode"):
        compare([node("MaxPool", "p", "q", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], {})


SIMPLE: dict[str, tuple[list[NodeProto], Arrays]] = {
    "GlobalAveragePool": ([node("GlobalAveragePool", "p", "q")], {}),
    "BatchNormalization": (
        [node("BatchNormalization", "p s b m v", "q", epsilon=1e-3)],
        {"s": floats(3), "b": floats(3), "m": floats(3), "v": np.abs(floats(3)) + 0.5},
    ),
    "PRelu by channel": ([node("PRelu", "p s", "q")], {"s": floats(3, 1, 1)}),
    "PRelu by channel with a batch": ([node("PRelu", "p s", "q")], {"s": floats(1, 3, 1, 1)}),
    "PRelu with one slope": ([node("PRelu", "p s", "q")], {"s": floats(1)}),
    "PRelu by column": ([node("PRelu", "p s", "q")], {"s": floats(14)}),
    "PRelu of vectors": (
        [node("GlobalAveragePool", "p", "a"), node("Flatten", "a", "f"), node("PRelu", "f s", "q")],
        {"s": floats(3)},
    ),
    "Relu": ([node("Relu", "p", "q")], {}),
    "LeakyRelu": ([node("LeakyRelu", "p", "q", alpha=0.2)], {}),
    "Sigmoid": ([node("Sigmoid", "p", "q")], {}),
    "Clip": ([node("Clip", "p lo hi", "q")], {"lo": floats_of(-0.5), "hi": floats_of(0.7)}),
    "Clip from above": ([node("Clip", "p - hi", "q")], {"hi": floats_of(0.7)}),
    "Add": ([node("Add", "p w", "q")], {"w": floats(1, 3, 1, 14)}),
    "Sub": ([node("Sub", "w p", "q")], {"w": floats(3, 1, 1)}),
    "Mul": ([node("Sigmoid", "p", "a"), node("Mul", "p a", "q")], {}),
    "Div": ([node("Div", "p w", "q")], {"w": floats_of(3)}),
    "Pow and Sqrt": (
        [node("Pow", "p two", "a"), node("Sqrt", "a", "q")],
        {"two": floats_of(2)},
    ),
    "Identity": ([node("Identity", "p", "q")], {}),
    "Dropout": ([node("Dropout", "p", "q")], {}),
    "Flatten": ([node("Flatten", "p", "q", axis=-3)], {}),
    "Transpose": ([node("Transpose", "p", "q", perm=[0, 2, 3, 1])], {}),
    "Reshape that copies": ([node("Reshape", "p s", "q")], {"s": ints(0, 0, -1)}),
    "Reshape that keeps the batch": ([node("Reshape", "p s", "q")], {"s": ints(-1, 588)}),
    "Gemm": (
        [node("Flatten", "p", "f"), node("Gemm", "f w c", "q", transB=1, alpha=0.5, beta=2.0)],
        {"w": floats(10, 588), "c": floats(10)},
    ),
    "Gemm without a bias": (
        [node("Flatten", "p", "f"), node("Gemm", "f w", "q")],
        {"w": floats(588, 10)},
    ),
    "MatMul": (
        [node("Flatten", "p", "f"), node("MatMul", "f w", "q")],
        {"w": floats(588, 10)},
    ),
    "LpNormalization": (
        [node("Flatten", "p", "f"), node("LpNormalization", "f", "q", axis=1, p=2)],
        {},
    ),
    "ReduceL2 as an exported normalisation": (
        [
            node("Flatten", "p", "f"),
            node("ReduceL2", "f", "l", axes=[1], keepdims=1),
            node("Clip", "l lo", "c"),
            node("Shape", "f", "s"),
            node("Expand", "c s", "e"),
            node("Div", "f e", "q"),
        ],
        {"lo": floats_of(1e-12)},
    ),
    "ReduceMean": ([node("ReduceMean", "p", "q", axes=[2, 3], keepdims=0)], {}),
    "ReduceSum": ([node("ReduceSum", "p a", "q", keepdims=0)], {"a": ints(2)}),
    "Squeeze": (
        [node("GlobalAveragePool", "p", "g"), node("Squeeze", "g a", "q")],
        {"a": ints(3, -2)},
    ),
    "Unsqueeze": ([node("Unsqueeze", "p a", "q")], {"a": ints(1, -1)}),
    "a shape that is computed": (
        [
            node("Shape", "p", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n zeros", "u"),
            node("Cast", "rest", "r", to=7),
            node("Concat", "u r", "c", axis=0),
            node("Reshape", "p c", "q"),
        ],
        {"zero": np.array(0, np.int64), "zeros": ints(0), "rest": np.array([3, 196], np.int32)},
    ),
    "a part of a shape": (
        [
            node("Shape", "p", "s", start=0, end=1),
            node("Concat", "s rest", "c", axis=0),
            node("Reshape", "p c", "q"),
        ],
        {"rest": ints(-1)},
    ),
    "a share of a side": (
        [
            node("Shape", "p", "s", start=3, end=4),
            node("Div", "s two", "h"),
            node("Concat", "batch three h rest", "c", axis=0),
            node("Reshape", "p c", "q"),
        ],
        {"two": ints(2), "batch": ints(0), "three": ints(3), "rest": ints(-1)},
    ),
    "Concat of channels": ([node("Concat", "p p", "q", axis=1)], {}),
    "Constant": (
        [
            node("Constant", "", "k", value_float=2.5),
            node("Constant", "", "s", value_ints=[0, -1]),
            node("Mul", "p k", "m"),
            node("Reshape", "m s", "q"),
        ],
        {},
    ),
}


@pytest.mark.parametrize("case", SIMPLE)
def test_the_others(case: str) -> None:
    compare(*SIMPLE[case])


def test_clipping_by_attributes_as_before_opset_11() -> None:
    compare([node("Clip", "p", "q", min=-0.5, max=0.25)], {}, opset=10)


def test_axes_as_an_input_as_from_opset_18_on() -> None:
    compare([node("ReduceMean", "p a", "q", keepdims=1)], {"a": ints(2, 3)}, opset=18)
    compare([node("ReduceL2", "p a", "q", keepdims=0)], {"a": ints(2)}, opset=18)


def test_axes_as_attributes_as_before_opset_13() -> None:
    compare([node("Unsqueeze", "p", "q", axes=[2])], {}, opset=11)
    compare([node("ReduceSum", "p", "q", axes=[2, 3])], {}, opset=11)


def test_a_graph_with_an_operator_that_is_gone_since_is_refused_before_it_runs() -> None:
    gone = Graph("v0", "v1", (Node("Resize", ("v0",), "v1"),), {})
    with pytest.raises(GraphError, match="Resize"):
        GraphNet(gone, {})


def test_every_operator_that_is_let_in_is_compared() -> None:
    compared = {made.op_type for nodes, _ in SIMPLE.values() for made in nodes}
    assert set(OPERATORS) | {"Constant"} == compared | {"Conv", "AveragePool", "MaxPool"}


@pytest.mark.parametrize(
    ("nodes", "weights", "reason"),
    [
        ([node("Transpose", "p", "q", perm=[1, 0, 2, 3])], {}, "batch"),
        ([node("Transpose", "p", "q")], {}, "batch"),
        ([node("Flatten", "p", "q", axis=2)], {}, "apart"),
        ([node("Flatten", "p", "q", axis=0)], {}, "apart"),
        ([node("Reshape", "p s", "q")], {"s": ints(3, -1)}, "apart"),
        ([node("Reshape", "p s", "q")], {"s": ints(-1, 3)}, "Reshape"),
        ([node("ReduceMean", "p", "q")], {}, "mix"),
        ([node("Squeeze", "p", "q")], {}, "batch"),
        ([node("Squeeze", "p a", "q")], {"a": ints(1)}, "Squeeze"),
        (
            [node("Dropout", "p r t", "q")],
            {"r": floats_of(0.5), "t": np.array(True)},
            "training",
        ),
        ([node("Conv", "p w", "q")], {"w": floats(5, 4, 3, 3)}, "step 2, Conv"),
        ([node("Conv", "p w", "q", kernel_shape=[5, 5])], {"w": floats(5, 3, 3, 3)}, "kernel"),
        ([node("Conv", "p w", "q", pads=[-1, 0, 0, 0])], {"w": floats(5, 3, 3, 3)}, "pads"),
        ([node("Conv", "p w", "q", strides=[0, 1])], {"w": floats(5, 3, 3, 3)}, "strides"),
        ([node("Conv", "p w", "q", auto_pad="ODD")], {"w": floats(5, 3, 3, 3)}, "auto_pad"),
        ([node("MaxPool", "p", "q", kernel_shape=[2, 2], pads=[2, 0, 0, 0])], {}, "kernel"),
        ([node("Cast", "p", "q", to=8)], {}, "Cast"),
        ([node("Gather", "p i", "q")], {"i": ints(0)}, "shape"),
    ],
)
def test_what_would_mix_faces_or_makes_no_sense_is_refused_by_name(
    nodes: list[NodeProto], weights: Arrays, reason: str
) -> None:
    with pytest.raises(GraphError, match=reason):
        read_onnx(as_bytes(between(nodes, weights)))


def test_a_whole_network_agrees_with_the_reference() -> None:
    model, faces = small_arcface(opset=15), pictures(2)
    expected = np.concatenate([reference(model, face[None]) for face in faces])
    np.testing.assert_allclose(run(as_bytes(model), faces), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("opset", [7, 9, 11, 13])
def test_an_older_file_gives_the_same_as_a_newer_one(opset: int) -> None:
    old, new, faces = small_arcface(opset=opset), small_arcface(opset=15), pictures(2)
    np.testing.assert_array_equal(run(as_bytes(old), faces), run(as_bytes(new), faces))


def test_a_file_whose_batch_is_fixed_to_one_takes_any_number_of_faces() -> None:
    fixed, free = as_bytes(small_arcface(batch=1)), as_bytes(small_arcface(batch="N"))
    faces = pictures(5)
    np.testing.assert_array_equal(run(fixed, faces), run(free, faces))


def test_an_iresnet_as_onnx_agrees_with_the_one_in_torch() -> None:
    torch.manual_seed(0)
    net = shaken(IResNet("iresnet18", 64))
    faces = pictures(2)
    with torch.inference_mode():
        expected = net(torch.from_numpy(faces)).numpy()
    found = run(as_bytes(iresnet_as_onnx(net)), faces)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
