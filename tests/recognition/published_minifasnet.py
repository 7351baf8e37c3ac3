"""The MiniFASNet networks unfolded and named as they were published, with random weights."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recognition.minifasnet import V1_BLOCKS, V2_BLOCKS
from recognition.minifasnet_conversion import FAR_FILE, NEAR_FILE


def _block(inside: int, outside: int, kernel: int, *, prelu: bool = True, **conv: Any) -> nn.Module:
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(inside, outside, kernel, bias=False, **conv))
    block.add_module("bn", nn.BatchNorm2d(outside))
    if prelu:
        block.add_module("prelu", nn.PReLU(outside))
    return block


class _Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels // 4)
        self.fc2 = nn.Conv2d(channels // 4, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.bn1(self.fc1(x.mean((2, 3), keepdim=True))).relu()
        weighed: Tensor = x * self.bn2(self.fc2(hidden)).sigmoid()
        return weighed


class _DepthWise(nn.Module):
    def __init__(self, into: int, inside: int, out: int, *, halves: bool, attention: bool) -> None:
        super().__init__()
        self.conv = _block(into, inside, 1)
        stride = 2 if halves else 1
        self.conv_dw = _block(inside, inside, 3, stride=stride, padding=1, groups=inside)
        self.project = _block(inside, out, 1, prelu=False)
        self.halves = halves
        self.se_module = _Squeeze(out) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.se_module(self.project(self.conv_dw(self.conv(x))))
        return y if self.halves else x + y


class PublishedNet(nn.Module):
    """(N, 3, 80, 80) -> (N, 3) logits."""

    def __init__(self, blocks: Sequence[Sequence[int]], *, attention: bool) -> None:
        super().__init__()
        self.conv1 = _block(3, 32, 3, stride=2, padding=1)
        self.conv2_dw = _block(32, 32, 3, padding=1, groups=32)
        into = 32
        halvings = (("23", "3", 103, 64), ("34", "4", 231, 128), ("45", "5", 308, 128))
        for (halving, stage, wide, out), insides in zip(halvings, blocks, strict=True):
            halve = _DepthWise(into, wide, out, halves=True, attention=False)
            self.add_module(f"conv_{halving}", halve)
            into = out
            model = [
                _DepthWise(
                    out, inside, out, halves=False, attention=attention and n == len(insides)
                )
                for n, inside in enumerate(insides, 1)
            ]
            residual = nn.Sequential()
            residual.add_module("model", nn.Sequential(*model))
            self.add_module(f"conv_{stage}", residual)
        self.conv_6_sep = _block(128, 512, 1)
        self.conv_6_dw = _block(512, 512, 5, prelu=False, groups=512)
        self.linear = nn.Linear(512, 128, bias=False)
        self.bn = nn.BatchNorm1d(128)
        self.prob = nn.Linear(128, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for name, layer in self.named_children():
            x = layer(x)
            if name == "conv_6_dw":
                x = x.flatten(1)
        return x


def random_net(blocks: Sequence[Sequence[int]], *, attention: bool, seed: int = 0) -> PublishedNet:
    """In evaluation mode, with normalisations that are far from doing nothing."""
    torch.manual_seed(seed)
    net = PublishedNet(blocks, attention=attention)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            for values, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 2.0),
            ):
                assert values is not None
                nn.init.uniform_(values, low, high)
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.2, 0.5)
    return net.eval()


def as_file(state: dict[str, Tensor]) -> bytes:
    """A state dict in the format before torch 1.6, its names as a data-parallel training's."""
    buffer = io.BytesIO()
    named = {f"module.{name}": values for name, values in state.items()}
    torch.save(named, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def published_files(seed: int = 0) -> dict[str, bytes]:
    """Both files by name, with random weights."""
    return {
        NEAR_FILE: as_file(random_net(V2_BLOCKS, attention=False, seed=seed).state_dict()),
        FAR_FILE: as_file(random_net(V1_BLOCKS, attention=True, seed=seed + 1).state_dict()),
    }
