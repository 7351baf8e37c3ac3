"""Networks in 16-bit arithmetic: on a GPU in float16, on a CPU in bfloat16."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from recognition.compiled import computes_bfloat16

Precision = Literal["auto", "float32", "reduced"]


class ReducedNet(nn.Module):
    """Stands in for a network of one tensor in, one out: float32 at both ends, 16 bits between.

    Weights stay in float32; torch rounds them, as it rounds what each layer is given.
    """

    def __init__(self, net: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.net = net
        self.device_type = device.type
        self.dtype = torch.float16 if device.type == "cuda" else torch.bfloat16

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) float32 -> (N, ...) float32."""
        with torch.autocast(self.device_type, self.dtype):
            output: Tensor = self.net(x)
        return output.float()


def reduces(precision: Precision, device: torch.device, *, compiled: bool) -> bool:
    """Whether networks run in 16 bits; "auto" does so where the processor is made for it.

    Rounding to 16 bits makes much of little: of two faces that differ in the last bit of a pixel
    the vectors differ by 1e-3. Torch's float32 on the CPU does differ in the last bit from batch
    to batch, OpenVINO's does not.

    Args:
        compiled: whether OpenVINO runs the networks.
    """
    if precision == "auto":
        return device.type == "cuda" or (compiled and computes_bfloat16())
    return precision == "reduced"
