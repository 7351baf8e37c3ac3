"""dlib's face descriptor (King, 2017): a ResNet of 29 convolutions, a face to a vector of 128.

The architecture is that of `anet_type` in dlib's `dnn_face_recognition_ex.cpp`; batch
normalisation is folded into the convolutions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.align import cut_upright
from recognition.compiled import CompiledNet
from recognition.sampling import ImageSet

DIMENSION = 128
CHIP_SIZE = 150

# Where the left and right eye, the nose tip and the corners of the mouth go in a chip, x, y in
# pixels: the mean places of our detector's points in dlib's own chips (150x150 with padding 0.25,
# by dlib's five landmarks) of 500 faces of LFW, made symmetric and 6 % larger about the centre.
# Of scales from 0.94 to 1.12 and shifts by up to 6 pixels this one separates people best on LFW.
TEMPLATE = ((46.6, 44.3), (103.4, 44.3), (75.0, 78.1), (50.0, 106.8), (100.0, 106.8))

# Means of red, green and blue of the faces that the network was trained on (dlib's
# `input_rgb_image_sized`), and the divisor after them.
_MEANS = (122.782, 117.001, 104.298)
_DIVISOR = 256.0

# (blocks, channels) of the stages; the first block of all but the first stage halves the map.
STAGES = ((3, 32), (4, 64), (3, 128), (3, 256), (1, 256))


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inside: int, outside: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        stride, padding = (2, 0) if halves else (1, 1)
        self.first = nn.Conv2d(inside, outside, 3, stride, padding)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, h, w) -> (N, outside, h', w'); h' is h, or h // 2 where it halves.

        Where maps differ in size, the smaller is taken to be 0 beyond its right and lower edge
        and its last channel, as in dlib's `add_prev`.
        """
        y: Tensor = self.second(functional.relu_(self.first(x)))
        if self.halves:
            x = functional.avg_pool2d(x, 2)
            x = functional.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            y = functional.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
        return functional.relu_(y + x)


class ResNet29(nn.Module):
    """(N, 3, 150, 150) RGB chips, normalised, to (N, 128), not of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        blocks: list[nn.Module] = []
        channels = 32
        for stage, (count, outside) in enumerate(STAGES):
            for block in range(count):
                blocks.append(Residual(channels, outside, halves=stage > 0 and block == 0))
                channels = outside
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, DIMENSION, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """(N, 3, 150, 150) float32 -> (N, 128) float32."""
        maps = functional.max_pool2d(functional.relu_(self.stem(chips)), 3, 2)
        descriptors: Tensor = self.head(self.blocks(maps).mean((2, 3)))
        return descriptors


def compile_describer(net: ResNet29, threads: int, *, bfloat16: bool) -> nn.Module:
    """The same network, run by OpenVINO; on the CPU, in evaluation mode."""
    return CompiledNet(
        net,
        torch.zeros(2, 3, CHIP_SIZE, CHIP_SIZE),
        largest_batch=8,
        own_programs=3,  # for one, two and four faces
        threads=threads,
        bfloat16=bfloat16,
    )


def normalise(pixels: Tensor) -> Tensor:
    """(N, 3, h, w) RGB, 0..255, as the network expects it: less the channels' means, by 256."""
    return (pixels - pixels.new_tensor(_MEANS)[:, None, None]) / _DIVISOR


def chips(images: ImageSet, frame: Tensor, points: Tensor) -> Tensor:
    """All faces of a batch as upright 150x150 chips.

    Args:
        images: the frames.
        frame: (N,) int64, each face's image.
        points: (N, 5, 2) float32 image coordinates, ordered as in `TEMPLATE`.

    Returns:
        (N, 3, 150, 150) float32 RGB, 0..255; black where the chip leaves the image.
    """
    return cut_upright(images, frame, points, TEMPLATE, CHIP_SIZE)


def describe(net: nn.Module, faces: Tensor) -> Tensor:
    """Unit descriptors of chips, each averaged with its mirror image's.

    Args:
        net: in evaluation mode.
        faces: (N, 3, 150, 150) float32 RGB, 0..255, of `chips`.

    Returns:
        (N, 128) float32 of length 1.
    """
    if len(faces) == 0:
        return faces.new_zeros((0, DIMENSION))
    normal = normalise(faces)
    both = torch.cat([normal, normal.flip(3)]).contiguous(memory_format=torch.channels_last)
    plain, mirrored = (functional.normalize(part, dim=1) for part in net(both).chunk(2))
    return functional.normalize(plain + mirrored, dim=1)
