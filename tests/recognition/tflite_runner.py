"""Runs the published TFLite files themselves, the truth that the ports are held to."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

Array = NDArray[np.float32]


class TFLiteModel:
    """One TFLite file, for inputs of any size that it allows."""

    def __init__(self, content: bytes) -> None:
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._shape: tuple[int, ...] = ()

    def __call__(self, values: Array) -> list[Array]:
        """Outputs in the file's order, for (N, H, W, C) input."""
        entry = self._interpreter.get_input_details()[0]["index"]
        if self._shape != values.shape:
            self._interpreter.resize_tensor_input(entry, values.shape)
            self._interpreter.allocate_tensors()
            self._shape = values.shape
        self._interpreter.set_tensor(entry, np.ascontiguousarray(values, dtype=np.float32))
        self._interpreter.invoke()
        outputs = self._interpreter.get_output_details()
        return [self._interpreter.get_tensor(output["index"]) for output in outputs]
