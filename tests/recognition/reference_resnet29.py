"""ResNet-29 from its published weights by plain numpy, layer by layer: slow, and plainly right.

Nothing is folded and nothing is shared with the port: shapes, names and order are the file's own.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]

BLOCKS = (
    *("32_1", "32_2", "32_3", "64_down", "64_1", "64_2", "64_3", "128_down", "128_1", "128_2"),
    *("256_down", "256_1", "256_2", "256_down_out"),
)


def weights(files: dict[str, bytes]) -> Weights:
    """All tensors in the order of the manifest; bytes are v = min + scale * byte."""
    content = files["face_recognition_model.bin"]
    tensors, position = {}, 0
    for entry in json.loads(files["face_recognition_model-weights_manifest.json"])[0]["weights"]:
        rule = entry.get("quantization", {"dtype": "float32", "scale": 1, "min": 0})
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(content, rule["dtype"], count, position)
        position += values.nbytes
        scaled = values.astype(np.float64) * rule["scale"] + rule["min"]
        tensors[entry["name"]] = scaled.reshape(entry["shape"])
    assert position == len(content)
    return tensors


def descriptor(tensors: Weights, chip: NDArray[np.uint8]) -> Array:
    """(150, 150, 3) RGB -> (128,), not of length 1."""
    x = (chip - np.array([122.782, 117.001, 104.298])) / 256
    x = np.maximum(scaled_conv(tensors, "conv32_down", x, 2), 0)
    x = pooled(x, 3, 2).max((2, 3))
    for name in BLOCKS:
        x = block(tensors, f"conv{name}", x)
    return np.asarray(x.mean((0, 1)) @ tensors["fc"])


def block(tensors: Weights, name: str, x: Array) -> Array:
    down = "_down" in name
    padded = x if down else np.pad(x, ((1, 1), (1, 1), (0, 0)))
    y = np.maximum(scaled_conv(tensors, f"{name}/conv1", padded, 2 if down else 1), 0)
    y = scaled_conv(tensors, f"{name}/conv2", np.pad(y, ((1, 1), (1, 1), (0, 0))), 1)
    if down:
        x = pooled(x, 2, 2).mean((2, 3))
    total = np.zeros(np.maximum(x.shape, y.shape))
    for part in (x, y):  # what is smaller counts as 0 beyond its end
        total[: part.shape[0], : part.shape[1], : part.shape[2]] += part
    return np.maximum(total, 0)


def scaled_conv(tensors: Weights, name: str, x: Array, stride: int) -> Array:
    """(h, w, inputs) -> (h', w', outputs), without padding."""
    kernels = tensors[f"{name}/conv/filters"]  # (rows, columns, inputs, outputs)
    windows = pooled(x, len(kernels), stride)
    y = np.einsum("hwijc,ijco->hwo", windows, kernels, optimize=True) + tensors[f"{name}/conv/bias"]
    return np.asarray(y * tensors[f"{name}/scale/weights"] + tensors[f"{name}/scale/biases"])


def pooled(x: Array, side: int, stride: int) -> Array:
    """(h, w, c) -> (h', w', side, side, c): all windows that lie wholly inside."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))
    return np.asarray(windows[::stride, ::stride].transpose(0, 1, 3, 4, 2))
