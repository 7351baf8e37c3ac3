"""IResNet: the residual network that ArcFace is published with.

He et al., 2016 (arXiv:1512.03385, residual blocks), in the improved form of Deng et al., 2019
(ArcFace, arXiv:1801.07698): batch normalisation before the first convolution of a block, PReLU, a
stride in the second one, and at the end BN-FC-BN over all 7x7 places. Names of the parts are those
of InsightFace's published state dicts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

BLOCKS: dict[str, tuple[int, int, int, int]] = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}
"""Residual blocks of the four stages."""

_CHANNELS = (64, 128, 256, 512)
_LAST_SIDE = 7  # pixels: 112 halved four times


class Block(nn.Module):
    """Two 3x3 convolutions with their normalisations, added to what came in."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.prelu = nn.PReLU(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outside)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )
            if stride != 1 or inside != outside
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, h, w) -> (N, outside, h / stride, w / stride)."""
        y: Tensor = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        y = self.bn3(self.conv2(y))
        return y + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """(N, 3, 112, 112) RGB faces, (v - 127.5) / 127.5, to (N, dimension), not yet of length 1.

    Args:
        architecture: one of BLOCKS.
        dimension: of the embeddings; 512 in what is published.
    """

    def __init__(self, architecture: str, dimension: int = 512) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        inside = 64
        stages = []
        for blocks, channels in zip(BLOCKS[architecture], _CHANNELS, strict=True):
            first = Block(inside, channels, 2)
            rest = [Block(channels, channels, 1) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            inside = channels
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.bn2 = nn.BatchNorm2d(inside)
        self.fc = nn.Linear(inside * _LAST_SIDE**2, dimension)
        self.features = nn.BatchNorm1d(dimension)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, 112, 112) float32 -> (N, dimension) float32."""
        x = self.prelu(self.bn1(self.conv1(faces)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        output: Tensor = self.features(self.fc(torch.flatten(self.bn2(x), 1)))
        return output


def architecture_of(names: Collection[str]) -> str | None:
    """Which of BLOCKS has state of these names; None for none of them."""
    for architecture, blocks in BLOCKS.items():
        lasts = [f"layer{stage}.{count - 1}.bn1.weight" for stage, count in enumerate(blocks, 1)]
        nexts = [f"layer{stage}.{count}.bn1.weight" for stage, count in enumerate(blocks, 1)]
        if all(name in names for name in lasts) and not any(name in names for name in nexts):
            return architecture
    return None


def dimension_of(state: Mapping[str, Tensor]) -> int:
    """Of the embeddings, as the last layer's weights tell; 0 where there are none."""
    weight = state.get("fc.weight")
    return 0 if weight is None or weight.ndim != 2 else len(weight)
