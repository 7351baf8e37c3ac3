"""The MiniFASNet pair: two small networks that tell a face from a picture of one.

Published with Silent-Face-Anti-Spoofing (Minivision, 2020, Apache-2.0). Both see more than the
face, since a picture's edge, the hand that holds it and the screen around it say as much as skin:
one net sees 2.7 times the face, the other 4 times. Batch normalisation is folded into the
convolutions, and everything behind the last activation but one filter into one linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recognition.compiled import CompiledNet
from recognition.sampling import ImageSet, Mipmaps

SIDE = 80
CLASSES = 3
LIVE = 1  # of the classes; the others are two kinds of attack
_STEM = 32
_LAST = 512
_MAP_SIDE = 5  # of the map that the last filter sees
_SQUEEZE = 4


# Channels inside the bottlenecks of the three stages.
V2_BLOCKS = ((13, 13, 13, 13), (231, 52, 26, 77, 26, 26), (26, 26))
V1_BLOCKS = ((13, 26, 13, 52), (154, 52, 26, 52, 26, 26), (26, 26))
# Before each stage a bottleneck halves the map: its channels inside and out.
_HALVINGS = ((103, 64), (231, 128), (308, 128))


class Attention(nn.Module):
    """Weighs channels by their means (squeeze and excitation, Hu et al., 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // _SQUEEZE, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // _SQUEEZE, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        weighed: Tensor = x * self.layers(x)
        return weighed


@dataclass(frozen=True, slots=True)
class Widths:
    """Channels of a bottleneck."""

    into: int
    inside: int
    out: int


class Bottleneck(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1; residual unless it halves."""

    def __init__(self, widths: Widths, *, halves: bool = False, attention: bool = False) -> None:
        super().__init__()
        self.residual = not halves
        inside = widths.inside
        layers: list[nn.Module] = [
            nn.Conv2d(widths.into, inside, 1),
            nn.PReLU(inside),
            nn.Conv2d(inside, inside, 3, 2 if halves else 1, 1, groups=inside),
            nn.PReLU(inside),
            nn.Conv2d(inside, widths.out, 1),
        ]
        if attention:
            layers.append(Attention(widths.out))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, into, h, w) -> (N, out, h, w), or half of h and w."""
        y: Tensor = self.layers(x)
        return y + x if self.residual else y


class MiniFasNet(nn.Module):
    """(N, 3, 80, 80) BGR views, 0..255, to (N, 3) logits; class LIVE is a living face."""

    def __init__(self, blocks: Sequence[Sequence[int]], *, attention: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, _STEM, 3, 2, 1),
            nn.PReLU(_STEM),
            nn.Conv2d(_STEM, _STEM, 3, 1, 1, groups=_STEM),
            nn.PReLU(_STEM),
        ]
        channels = _STEM
        for (wide, out), stage in zip(_HALVINGS, blocks, strict=True):
            layers.append(Bottleneck(Widths(channels, wide, out), halves=True))
            channels = out
            for number, inside in enumerate(stage, 1):
                weighed = attention and number == len(stage)
                layers.append(Bottleneck(Widths(channels, inside, channels), attention=weighed))
        layers += [
            nn.Conv2d(channels, _LAST, 1),
            nn.PReLU(_LAST),
            nn.Conv2d(_LAST, _LAST, _MAP_SIDE, groups=_LAST),
            nn.Flatten(),
            nn.Linear(_LAST, CLASSES),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, views: Tensor) -> Tensor:
        """(N, 3, 80, 80) float32 -> (N, 3) float32."""
        logits: Tensor = self.layers(views)
        return logits


class MiniFasNetPair(nn.Module):
    """Both networks, each with its own framing."""

    def __init__(self) -> None:
        super().__init__()
        self.near: nn.Module = MiniFasNet(V2_BLOCKS, attention=False)
        self.far: nn.Module = MiniFasNet(V1_BLOCKS, attention=True)

    def forward(self, near: Tensor, far: Tensor) -> Tensor:
        """Views (N, 3, 80, 80) of either framing, BGR 0..255 -> (N,), 0..1, high means live."""
        live: Tensor = self.near(near).softmax(1)[:, LIVE] + self.far(far).softmax(1)[:, LIVE]
        return live / 2


NEAR_FRAMING, FAR_FRAMING = 2.43, 3.6
"""Sides of the views in sides of the box: 2.7 and 4, as published, of nine tenths of it. This
detector's boxes are wider than those that the networks were trained around; of the true size they
let live faces at a distance look like pictures."""


def compile_pair(pair: MiniFasNetPair, threads: int) -> MiniFasNetPair:
    """The same pair, its networks run by OpenVINO; on the CPU, in evaluation mode."""
    fast = MiniFasNetPair()
    example = torch.zeros(2, 3, SIDE, SIDE)
    for name in ("near", "far"):
        net = CompiledNet(
            getattr(pair, name), example, largest_batch=8, own_programs=4, threads=threads
        )
        setattr(fast, name, net)
    return fast.eval()


def attack_scores(pair: MiniFasNetPair, images: ImageSet, frame: Tensor, boxes: Tensor) -> Tensor:
    """How much faces look like pictures of faces.

    Args:
        pair: in evaluation mode.
        frame: (N,) int64, which image each face is of.
        boxes: (N, 4) float32, x1, y1, x2, y2 in pixels.

    Returns:
        (N,) float32, 0..1, high means attack; NaN for a box without a place or size.
    """
    if len(frame) == 0:
        return boxes.new_zeros(0)
    framings = torch.cat([boxes.new_full((len(frame),), f) for f in (NEAR_FRAMING, FAR_FRAMING)])
    views = cut(images, frame.repeat(2), boxes.repeat(2, 1), framings)
    sound = torch.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    attack: Tensor = 1 - pair(*views.chunk(2))
    return torch.where(sound, attack, torch.nan)


def framed(boxes: Tensor, sizes: Tensor, framings: Tensor) -> Tensor:
    """The parts of the images that a network sees: (N, 4), x1, y1, x2, y2 from pixel corners.

    The box's sides times its framing, about its middle, moved into the image where it would reach
    out. No side is longer than the image's shorter one: a face that fills the frame is seen in a
    square, not squeezed, which the networks take for an attack.

    Args:
        boxes: (N, 4) float32, x1, y1, x2, y2, in pixels from the first pixel's middle.
        sizes: (N, 2) float32, each image's width and height.
        framings: (N,) float32, how many times the box's sides.
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 + 0.5
    longest = (sizes.amin(1, keepdim=True) - 1).clamp(min=1)
    sides = ((boxes[:, 2:] - boxes[:, :2]) * framings[:, None]).clamp(min=1).minimum(longest)
    start = (middle - sides / 2).minimum(sizes - sides).clamp(min=0)
    return torch.cat([start, start + sides], 1)


def cut(images: ImageSet, frame: Tensor, boxes: Tensor, framings: Tensor) -> Tensor:
    """Views of faces, each framed by its own of `framings` (N,): (N, 3, 80, 80) BGR, 0..255.

    Bilinear from the full image however much it shrinks, as the networks were trained: what a
    smoothing filter would take away is what tells a print's dots from skin.
    """
    if len(images.batches) == 1:
        views = _views(images.batches[0][1], frame, boxes, framings)
    else:
        views = boxes.new_empty((len(frame), SIDE, SIDE, 3))
        for frames, mipmaps in images.batches:
            row, slot = (frame[:, None] == frames).nonzero(as_tuple=True)
            views[row] = _views(mipmaps, slot, boxes[row], framings[row])
    return views.flip(3).permute(0, 3, 1, 2)  # seen by torch as channels_last


def _views(mipmaps: Mipmaps, slot: Tensor, boxes: Tensor, framings: Tensor) -> Tensor:
    """(N, 80, 80, 3) float32 RGB, from images of one size."""
    height, width = mipmaps.images.shape[2:]
    size = torch.cat([boxes.new_full((1, 1), width), boxes.new_full((1, 1), height)], 1)
    places = torch.nan_to_num(framed(boxes, size.expand(len(boxes), 2), framings))
    return _bilinear(mipmaps.images.permute(0, 2, 3, 1), slot, places)  # of (B, H, W, 3)


def _bilinear(pixels: Tensor, slot: Tensor, places: Tensor) -> Tensor:
    """(N, 80, 80, 3) float32: the images (B, H, W, 3) uint8 within the places (N, 4)."""
    left, right, across = _between(places[:, 0], places[:, 2], pixels.shape[2])
    above, below, down = _between(places[:, 1], places[:, 3], pixels.shape[1])
    image = slot[:, None, None]
    across, down = across[:, None, :, None], down[:, :, None, None]

    def row(y: Tensor) -> Tensor:
        start = pixels[image, y[:, :, None], left[:, None, :]].float()
        return start.lerp(pixels[image, y[:, :, None], right[:, None, :]].float(), across)

    return row(above).lerp(row(below), down)


def _between(start: Tensor, end: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each of the SIDE samples from start to end (N,): its two pixels and the weight between.

    All are (N, SIDE); beyond the image's edge the last pixel stands.
    """
    steps = (torch.arange(SIDE, dtype=start.dtype, device=start.device) + 0.5) / SIDE
    at = (start[:, None] + (end - start)[:, None] * steps - 0.5).clamp(0, length - 1)
    first = at.floor()
    second = (first + 1).clamp(max=length - 1)
    return first.long(), second.long(), at - first
