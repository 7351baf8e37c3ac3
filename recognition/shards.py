"""Reads the weight files of TensorFlow.js: a JSON list of tensors and their bytes in one file."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def read_shards(manifest: bytes, content: bytes) -> dict[str, Array]:
    """Tensors by name.

    Args:
        manifest: JSON, one group of tensors with name, shape, dtype and quantisation, in the
            order of their bytes.
        content: the group's bytes. Those of a quantised tensor are v = min + scale * byte.

    Raises:
        ValueError: another format, or other than the announced number of bytes.
    """
    try:
        (group,) = json.loads(manifest)
        entries = [(entry["name"], _layout(entry)) for entry in group["weights"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not a list of weights: {error}") from error
    tensors: dict[str, Array] = {}
    position = 0
    for name, (shape, dtype, scale, low) in entries:
        size = math.prod(shape) * dtype.itemsize
        values = np.frombuffer(content[position : position + size], dtype)
        if values.nbytes != size:
            raise ValueError(f"{name} ends after {values.nbytes} of {size} bytes")
        tensors[name] = (values.astype(np.float64) * scale + low).astype(np.float32).reshape(shape)
        position += size
    if position != len(content):
        raise ValueError(f"{len(content) - position} bytes belong to no tensor")
    return tensors


def _layout(entry: dict[str, Any]) -> tuple[tuple[int, ...], np.dtype[Any], float, float]:
    """Shape, stored type, scale and least value of one tensor."""
    shape = tuple(int(side) for side in entry["shape"])
    if entry["dtype"] != "float32" or any(side < 1 for side in shape):
        raise ValueError(f"{entry['name']} is {entry['dtype']} of shape {shape}")
    quantised = entry.get("quantization")
    if quantised is None:
        return shape, np.dtype("<f4"), 1.0, 0.0
    if quantised["dtype"] != "uint8":
        raise ValueError(f"{entry['name']} is kept as {quantised['dtype']}")
    return shape, np.dtype(np.uint8), float(quantised["scale"]), float(quantised["min"])
