"""Reads the convolutions out of an ONNX file, in the order in which they are computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import numpy_helper


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """weight (out, in / groups, h, w) and bias (out,), float32."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def read_convolutions(content: bytes) -> list[Convolution]:
    """All convolutions that have weights of their own; one that is used twice comes once.

    Raises:
        ValueError: not an ONNX file, or a convolution without constant weight and bias.
    """
    try:
        graph = onnx.load_model_from_string(content).graph
    except DecodeError as error:
        raise ValueError("the file is not ONNX") from error
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    found: dict[str, Convolution] = {}
    for node in graph.node:
        if node.op_type == "Conv":
            try:
                weight, bias = (constants[name] for name in node.input[1:3])
            except (KeyError, ValueError) as error:
                raise ValueError(f"convolution {node.name} has no constant weights") from error
            found.setdefault(
                weight.name,
                Convolution(numpy_helper.to_array(weight), numpy_helper.to_array(bias)),
            )
    return list(found.values())
