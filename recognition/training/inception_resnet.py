"""Inception-ResNet-v1 (Szegedy et al., 2016, arXiv:1602.07261) as FaceNet's open version has it.

That version (Sandberg, 2017, "Face recognition using Tensorflow") has batch normalisation after
each convolution but those that close a block, scales the residuals (section 3.3 of the paper), and
ends in one linear layer to the vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_EPSILON, _MOMENTUM = 1e-3, 0.1
_KEPT = 0.8  # by the dropout before the last layer

Size = int | tuple[int, int]


class _Conv(nn.Sequential):
    """A convolution with normalisation and ReLU. Without padding unless it is asked for."""

    def __init__(
        self, inside: int, outside: int, size: Size, *, stride: int = 1, padded: bool = False
    ) -> None:
        rows, columns = (size, size) if isinstance(size, int) else size
        padding = (rows // 2, columns // 2) if padded else 0
        super().__init__(
            nn.Conv2d(inside, outside, (rows, columns), stride, padding, bias=False),
            nn.BatchNorm2d(outside, _EPSILON, _MOMENTUM),
            nn.ReLU(),
        )


class _Residual(nn.Module):
    """Branches side by side, brought back to the channels by 1x1, scaled and added."""

    def __init__(
        self, channels: int, branches: Sequence[nn.Sequential], inside: int, scale: float
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.closing = nn.Conv2d(inside, channels, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape, before the activation."""
        joined = torch.cat([branch(x) for branch in self.branches], 1)
        closed: Tensor = self.closing(joined)
        return x + self.scale * closed


class _Reduction(nn.Module):
    """Branches of stride 2 and a max-pooling, side by side."""

    def __init__(self, branches: Sequence[nn.Sequential]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([*branches, nn.MaxPool2d(3, 2)])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C', (h - 1) // 2, (w - 1) // 2)."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def _block_35() -> nn.Sequential:
    branches = [
        nn.Sequential(_Conv(256, 32, 1)),
        nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3, padded=True)),
        nn.Sequential(
            _Conv(256, 32, 1), _Conv(32, 32, 3, padded=True), _Conv(32, 32, 3, padded=True)
        ),
    ]
    return nn.Sequential(_Residual(256, branches, 96, 0.17), nn.ReLU())


def _reduction_a() -> _Reduction:
    return _Reduction(
        [
            nn.Sequential(_Conv(256, 384, 3, stride=2)),
            nn.Sequential(
                _Conv(256, 192, 1), _Conv(192, 192, 3, padded=True), _Conv(192, 256, 3, stride=2)
            ),
        ]
    )


def _block_17() -> nn.Sequential:
    branches = [
        nn.Sequential(_Conv(896, 128, 1)),
        nn.Sequential(
            _Conv(896, 128, 1),
            _Conv(128, 128, (1, 7), padded=True),
            _Conv(128, 128, (7, 1), padded=True),
        ),
    ]
    return nn.Sequential(_Residual(896, branches, 256, 0.1), nn.ReLU())


def _reduction_b() -> _Reduction:
    return _Reduction(
        [
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 384, 3, stride=2)),
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 256, 3, stride=2)),
            nn.Sequential(
                _Conv(896, 256, 1), _Conv(256, 256, 3, padded=True), _Conv(256, 256, 3, stride=2)
            ),
        ]
    )


def _block_8(*, last: bool = False) -> nn.Sequential:
    branches = [
        nn.Sequential(_Conv(1792, 192, 1)),
        nn.Sequential(
            _Conv(1792, 192, 1),
            _Conv(192, 192, (1, 3), padded=True),
            _Conv(192, 192, (3, 1), padded=True),
        ),
    ]
    block = _Residual(1792, branches, 384, 1.0 if last else 0.2)
    return nn.Sequential(block) if last else nn.Sequential(block, nn.ReLU())


class InceptionResNetV1(nn.Module):
    """(N, 3, h, w) RGB faces, (v - 127.5) / 128, to (N, dimension), not yet of length 1.

    Made for faces of 160x160; of 112x112, as ours are, 2x2 places are left before the mean.

    Args:
        dimension: of the vectors; FaceNet's have 128, the published weights' 512.
    """

    def __init__(self, dimension: int = 512) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _Conv(3, 32, 3, stride=2),
            _Conv(32, 32, 3),
            _Conv(32, 64, 3, padded=True),
            nn.MaxPool2d(3, 2),
            _Conv(64, 80, 1),
            _Conv(80, 192, 3),
            _Conv(192, 256, 3, stride=2),
        )
        self.blocks = nn.Sequential(
            *(_block_35() for _ in range(5)),
            _reduction_a(),
            *(_block_17() for _ in range(10)),
            _reduction_b(),
            *(_block_8() for _ in range(5)),
            _block_8(last=True),
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(1 - _KEPT),
            nn.Linear(1792, dimension, bias=False),
            nn.BatchNorm1d(dimension, _EPSILON, _MOMENTUM),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, h, w) float32 -> (N, dimension) float32; h and w at least 75."""
        output: Tensor = self.head(self.blocks(self.stem(faces)))
        return output
