"""Runs a network on the CPU by OpenVINO: the same weights, each layer fused with its activation.
Torch is the reference.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import warnings
from collections import Counter, OrderedDict
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

# Kernels of so many shapes are kept for shapes that are rare; each takes up to half a megabyte.
_KEPT_KERNELS = 128

# A shape that has come so often gets a program of its own, which spares working out the shapes
# of all layers anew at each run. Making it takes some 30 ms.
_RECURRING = 2


_TRACING = threading.Lock()  # torch traces one network at a time in a process


def available() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


@cache
def computes_bfloat16() -> bool:
    """Whether OpenVINO is installed and this processor multiplies in bfloat16 by itself."""
    return available() and "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class CompiledNet(nn.Module):
    """Stands in for a network of one image batch as input.

    What it returns agrees with the network's own output up to its arithmetic's rounding. As the
    network itself, one instance serves one thread at a time.

    Args:
        net: in evaluation mode, on the CPU, without control flow that depends on values.
        example: (B, C, H, W) float32, any input that the network takes.
        largest_batch: batches are cut into pieces of at most so many, padded to a power of two,
            so that few shapes ever occur: the first run of each costs some milliseconds.
        any_size: whether H and W may differ from the example's.
        own_programs: for how many shapes that recur a program of their own is kept. Each holds
            its own copy of the weights.
        threads: how many it may use.
        bfloat16: whether it multiplies in bfloat16, added up in float32, instead of float32.
    """

    def __init__(
        self,
        net: nn.Module,
        example: Tensor,
        *,
        largest_batch: int,
        any_size: bool = False,
        own_programs: int = 0,
        threads: int = 1,
        bfloat16: bool = False,
    ) -> None:
        super().__init__()
        self.largest_batch = largest_batch
        self._model = _model(net, example, any_size=any_size)
        self._options = _options(threads, bfloat16=bfloat16)
        self._for_any_shape = _request(self._model, self._options)
        self._uses: Counter[tuple[int, ...]] = Counter()
        self._own: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._own_programs = own_programs

    def forward(self, images: Tensor) -> Any:
        """What the network returns: one tensor, or a tuple of them."""
        parts = [self._run(part) for part in torch.split(images, self.largest_batch)]
        outputs = parts[0]
        if len(parts) > 1:
            outputs = tuple(torch.cat(same) for same in zip(*parts, strict=True))
        return outputs if len(outputs) > 1 else outputs[0]

    def _run(self, images: Tensor) -> tuple[Tensor, ...]:
        count = len(images)
        rows = images.permute(0, 2, 3, 1).contiguous()  # no copy where it is channels_last
        padded = min(self.largest_batch, 1 << max(0, count - 1).bit_length())
        if padded > count:
            rows = torch.cat([rows, rows.new_zeros((padded - count, *rows.shape[1:]))])
        request = self._request_for(tuple(rows.shape))
        results = request.infer([rows.numpy()], share_inputs=True, share_outputs=True)
        # The next run overwrites the request's own memory.
        return tuple(torch.from_numpy(output[:count]).clone() for output in results.values())

    def _request_for(self, shape: tuple[int, ...]) -> Any:
        """The shape's own program where it recurs, else the one for all shapes."""
        own = self._own.get(shape)
        if own is not None:
            self._own.move_to_end(shape)
            return own
        if len(self._uses) > 16 * _KEPT_KERNELS:
            self._uses.clear()  # sizes come and go: what recurs is soon counted again
        self._uses[shape] += 1
        if self._uses[shape] < _RECURRING or not self._own_programs:
            return self._for_any_shape
        while len(self._own) >= self._own_programs:
            gone, _ = self._own.popitem(last=False)
            self._uses[gone] = 0
        model = self._model.clone()
        model.reshape(list(shape))
        self._own[shape] = _request(model, self._options)
        return self._own[shape]


def _model(net: nn.Module, example: Tensor, *, any_size: bool) -> Any:
    """The network as OpenVINO's, for images in the order (B, H, W, C)."""
    _core()
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with _TRACING, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the frontend reads TorchScript, which torch discourages
        traced = torch.jit.trace(net, example)  # type: ignore[no-untyped-call]
        decoder = TorchScriptPythonDecoder(traced)  # must live until the model is converted
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    _, channels, height, width = example.shape
    sides = [-1, -1] if any_size else [height, width]
    model.reshape({model.inputs[0]: [-1, channels, *sides]})
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


@cache
def _core() -> Any:
    # Without this, merely importing OpenVINO reports to its maker over the network.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()


def _options(threads: int, *, bfloat16: bool) -> dict[str, object]:
    return {
        # Left to itself it takes bfloat16 for every network where the processor can.
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": _KEPT_KERNELS,
    }


def _request(model: Any, options: dict[str, object]) -> Any:
    return _core().compile_model(model, "CPU", options).create_infer_request()
