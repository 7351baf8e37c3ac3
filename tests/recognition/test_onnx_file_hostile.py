"""A hostile or broken ONNX file is refused with its reason, before anything large is made."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from recognition import onnx_file
from recognition.onnx_file import read_onnx
from recognition.onnx_node import GraphError
from tests.recognition.onnx_files import Arrays, as_bytes, node, onnx_model, small_arcface

GOOD = as_bytes(small_arcface())


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def refused(model: ModelProto, reason: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(GraphError, match=reason):
        read_onnx(as_bytes(model))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 200, f"{grown:.0f} MB were taken"


def test_the_good_file_is_read() -> None:
    _, weights, dimension = read_onnx(GOOD)
    assert dimension == 64
    assert all(weight.dtype.is_floating_point for weight in weights.values())


def test_a_file_cut_off_anywhere_is_refused() -> None:
    for length in [0, 1, 7, 100, *range(1000, len(GOOD), 997), len(GOOD) - 1]:
        with pytest.raises(GraphError):
            read_onnx(GOOD[:length])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_bytes_changed_anywhere_never_do_worse_than_a_refusal(data: st.DataObject) -> None:
    content = bytearray(GOOD)
    for place in data.draw(st.lists(st.integers(0, len(GOOD) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(GraphError):
        read_onnx(bytes(content))


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"garbage" * 50, b"\x80\x02}q\x00."])
def test_what_is_no_onnx_file_is_refused(content: bytes) -> None:
    with pytest.raises(GraphError, match="no ONNX file"):
        read_onnx(content)


@pytest.mark.parametrize("location", ["../../../etc/passwd", "/etc/passwd", "weights.bin"])
def test_weights_outside_the_file_are_never_read(location: str) -> None:
    model = small_arcface()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    refused(model, "outside the file.*save_as_external_data=False")


def test_weights_outside_the_file_in_a_constant_are_never_read() -> None:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "c")
    tensor.external_data.add(key="location", value="../x")
    made = helper.make_node("Constant", [], ["c"], value=tensor)
    refused(onnx_model([made, node("Mul", "x c", "out")], {}), "outside the file")


def test_a_cycle_is_refused() -> None:
    cycle = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Flatten", "b", "out")]
    refused(onnx_model(cycle, {}), "'b' is used before it is made")
    refused(onnx_model([node("Add", "x out", "out")], {}), "'out' is used before")


def test_a_value_that_is_made_twice_is_refused() -> None:
    twice = [node("Relu", "x", "a"), node("Relu", "x", "a"), node("Flatten", "a", "out")]
    refused(onnx_model(twice, {}), "'a' is made twice")
    refused(onnx_model([node("Relu", "x", "x")], {}), "'x' is made twice")


def test_an_unknown_operator_is_refused_by_name_with_what_to_do() -> None:
    refused(
        onnx_model([node("Resize", "x", "out")], {}),
        "operator 'Resize'.*Export.*BatchNormalization",
    )


def test_an_operator_of_somebodys_own_is_refused_even_under_a_known_name() -> None:
    made = helper.make_node("Relu", ["x"], ["out"], domain="com.example")
    refused(onnx_model([made], {}), "'com.example.Relu'")


def test_a_step_with_a_graph_in_it_is_refused() -> None:
    inner = helper.make_graph([], "inner", [], [])
    made = helper.make_node("Relu", ["x"], ["out"], body=inner)
    refused(onnx_model([made], {}), "'body' is of an unknown kind")
    refused(onnx_model([helper.make_node("If", ["x"], ["out"], then_branch=inner)], {}), "'If'")


def test_an_attribute_that_the_operator_does_not_have_is_refused() -> None:
    refused(onnx_model([node("Relu", "x", "out", alpha=1.0)], {}), "unknown attributes")
    refused(onnx_model([node("LeakyRelu", "x", "out", alpha=float("nan"))], {}), "'alpha'")


def test_functions_and_sparse_weights_are_refused() -> None:
    model = small_arcface()
    model.functions.add(name="f", domain="d")
    refused(model, "functions")
    model = small_arcface()
    model.graph.sparse_initializer.add()
    refused(model, "sparse")


def test_opsets_that_mean_something_else_are_refused() -> None:
    for opset in (1, 6, 9999):
        model = small_arcface()
        model.opset_import[0].version = opset
        refused(model, f"opset {opset}.*version_converter")
    model = small_arcface()
    del model.opset_import[:]
    refused(model, "opset 0")


def _dims(*sides: int) -> Callable[[TensorProto], None]:
    def change(tensor: TensorProto) -> None:
        del tensor.dims[:]
        tensor.dims.extend(sides)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_dims(2**40, 2**20), "not whole"),
        (_dims(2**62, 2**62), "not whole"),
        (_dims(-8, -27), "absurd shape"),
        (_dims(*[1] * 200, 216), "absurd shape"),
        (_dims(0, 3), "not whole"),
        (lambda tensor: setattr(tensor, "raw_data", tensor.raw_data[:-1]), "not whole"),
        (lambda tensor: tensor.ClearField("raw_data"), "not whole"),
        (lambda tensor: setattr(tensor, "data_type", TensorProto.STRING), "data type 8"),
        (lambda tensor: setattr(tensor, "data_type", 77), "data type 77"),
        (lambda tensor: setattr(tensor, "data_type", TensorProto.INT32), "quantised"),
    ],
)
def test_weights_that_are_not_what_they_say_are_refused(
    change: Callable[[TensorProto], None], reason: str
) -> None:
    model = small_arcface()
    change(model.graph.initializer[0])
    refused(model, reason)


def bomb(op: str, inputs: str, weights: Arrays, **attributes: int) -> ModelProto:
    """One step over and over, each on the last one's result."""
    nodes = [
        node(op, inputs.replace("?", f"a{step}" if step else "x"), f"a{step + 1}", **attributes)
        for step in range(60)
    ]
    return onnx_model([*nodes, node("Flatten", "a60", "out")], weights)


def test_values_that_double_with_every_step_are_refused() -> None:
    refused(bomb("Concat", "? ?", {}, axis=1), "absurdly large")


def test_a_value_blown_up_in_one_step_is_refused() -> None:
    wide = {"w": np.zeros((1, 100_000, 1, 1), np.float32)}
    refused(onnx_model([node("Add", "s w", "a")], wide, output="a"), "used before")
    nodes = [
        node("AveragePool", "x", "p", kernel_shape=[1, 1]),
        node("ReduceMean", "p", "s", axes=[1], keepdims=1),
        node("Add", "s w", "a"),
        node("Flatten", "a", "out"),
    ]
    refused(onnx_model(nodes, wide), "absurdly large")
    nodes = [node("Unsqueeze", "x a", "u"), node("Expand", "u s", "e"), node("Flatten", "e", "out")]
    far = {"a": ints(1), "s": ints(1, 2**50, 1, 1, 1)}
    refused(onnx_model(nodes, far), "Expand")


def test_integers_are_no_way_around_it() -> None:
    start = {"s": ints(1, 2, 3, 4), "big": ints(2**40)}
    nodes = [node("Concat", " ".join(["s"] * 60), "c", axis=0), node("Reshape", "x c", "out")]
    refused(onnx_model(nodes, start), "absurdly large")
    nodes = [node("Expand", "s big", "c"), node("Reshape", "x c", "out")]
    refused(onnx_model(nodes, start), "Expand")
    many = {"s": np.ones(100_000, np.int64)}
    refused(onnx_model([node("Reshape", "x s", "out")], many), "integers")


def test_convolutions_that_would_take_forever_are_refused() -> None:
    weights = {
        "w": np.zeros((512, 3, 5, 5), np.float32),
        "v": np.zeros((512, 512, 5, 5), np.float32),
    }
    nodes = [node("Conv", "x w", "a0", pads=[2] * 4)]
    nodes += [node("Conv", f"a{step} v", f"a{step + 1}", pads=[2] * 4) for step in range(10)]
    refused(onnx_model([*nodes, node("Flatten", "a10", "out")], weights), "IResNet-100")


def test_paddings_beyond_any_image_are_refused() -> None:
    weights = {"w": np.zeros((3, 3, 1, 1), np.float32)}
    nodes = [node("Conv", "x w", "a", pads=[0, 0, 2**40, 0]), node("Flatten", "a", "out")]
    refused(onnx_model(nodes, weights), "pads")


def test_too_many_steps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MOST_NODES", 10)
    refused(small_arcface(), "more than 10 steps")


@pytest.mark.parametrize("sides", [[1, 3, 224, 224], [1, 1, 112, 112], [3, 112, 112], []])
def test_another_input_than_a_face_is_refused(sides: list[int]) -> None:
    model = small_arcface()
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, sides))
    refused(model, r"\(N, 3, 112, 112\) is expected")


def test_another_number_of_inputs_or_outputs_is_refused() -> None:
    model = small_arcface()
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1]))
    refused(model, "2 inputs")
    model = small_arcface()
    model.graph.output.append(helper.make_tensor_value_info("g", TensorProto.FLOAT, [1, 64]))
    refused(model, "2 outputs")
    model = small_arcface()
    model.graph.output[0].name = "nowhere"
    refused(model, "'nowhere' is used before")


def test_weights_that_are_listed_among_the_inputs_as_in_old_files_are_fine() -> None:
    model = small_arcface()
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    assert read_onnx(as_bytes(model))[2] == 64


def test_an_output_that_is_no_vector_for_each_face_is_refused() -> None:
    refused(onnx_model([node("Relu", "x", "out")], {}), r"\(N, D\) is expected")
    nodes = [node("ReduceMean", "x", "out", axes=[1, 2, 3], keepdims=0)]
    refused(onnx_model(nodes, {}), r"\(N, D\) is expected")


def test_an_output_that_ignores_the_face_is_refused() -> None:
    weights = {"w": np.ones((1, 64), np.float32)}
    refused(onnx_model([node("Relu", "w", "out")], weights), "does not depend on its input")


def test_steps_that_lead_nowhere_are_left_out() -> None:
    model = small_arcface()
    model.graph.node.append(node("Sigmoid", "out", "unused"))
    graph, _, _ = read_onnx(as_bytes(model))
    assert "Sigmoid" not in {step.op for step in graph.nodes}


def test_nothing_of_the_files_own_names_is_kept() -> None:
    model = small_arcface()
    for step in model.graph.node:
        step.name = "../../evil"
    graph, weights, _ = read_onnx(as_bytes(model))
    names = {graph.input, graph.output, *weights, *(step.output for step in graph.nodes)}
    assert all(name[0] == "v" and name[1:].isdigit() for name in names)


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_weights_of_other_precisions_become_float32(kind: str) -> None:
    model = small_arcface()
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(kind), tensor.name))
    _, weights, _ = read_onnx(as_bytes(model))
    assert {str(weight.dtype) for weight in weights.values()} == {"torch.float32"}
