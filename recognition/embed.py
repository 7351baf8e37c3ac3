"""MobileFaceNet (Chen et al., 2018, arXiv:1804.07573): an aligned face to a unit vector of 192.

Batch normalisation is folded into the convolutions, as in the published file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.compiled import CompiledNet

DIMENSION = 192

# (blocks, channels out, channels inside, stride of the first block) of the bottleneck stages.
_STAGES = (
    (1, 64, 128, 2),
    (4, 64, 128, 1),
    (1, 128, 256, 2),
    (6, 128, 256, 1),
    (1, 128, 512, 2),
    (2, 128, 256, 1),
)


class HalvingConv(nn.Conv2d):
    """A 3x3 convolution of stride 2 that pads only below and right, as the weights' origin did."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name is nn.Conv2d's)
        """(N, C, 2h, 2w) -> (N, C', h, w)."""
        # A kernel with a row and a column of zeros before it, padded on all sides, gives the
        # same; padding the image itself would copy it.
        kernel = functional.pad(self.weight, (1, 0, 1, 0))
        return functional.conv2d(input, kernel, self.bias, 2, 1, groups=self.groups)


def _conv3x3(inside: int, outside: int, stride: int, groups: int = 1) -> nn.Conv2d:
    if stride == 2:
        return HalvingConv(inside, outside, 3, stride=2, groups=groups)
    return nn.Conv2d(inside, outside, 3, padding=1, groups=groups)


class Bottleneck(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1; residual where shapes allow."""

    def __init__(self, channels: int, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.residual = stride == 1 and channels == outside
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inside, 1),
            nn.PReLU(inside),
            _conv3x3(inside, inside, stride, groups=inside),
            nn.PReLU(inside),
            nn.Conv2d(inside, outside, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, outside, h / stride, w / stride)."""
        y: Tensor = self.layers(x)
        return y.add_(x) if self.residual else y


class MobileFaceNet(nn.Module):
    """(N, 3, 112, 112) RGB faces, (v - 127.5) / 128, to (N, 192), not yet of length 1.

    Args:
        dimension: of the vectors; that of the published weights, or of some trained here.
    """

    def __init__(self, dimension: int = DIMENSION) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            _conv3x3(3, 64, 2),
            nn.PReLU(64),
            _conv3x3(64, 64, 1, groups=64),
            nn.PReLU(64),
            nn.Conv2d(64, 64, 1),
        ]
        channels = 64
        for blocks, outside, inside, first_stride in _STAGES:
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                layers.append(Bottleneck(channels, inside, outside, stride))
                channels = outside
        layers += [
            nn.Conv2d(channels, 512, 1),
            nn.PReLU(512),
            nn.Conv2d(512, 512, 7, groups=512),
            nn.Conv2d(512, 512, 1),
            nn.Conv2d(512, dimension, 1),
            nn.Flatten(),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, 112, 112) float32 -> (N, dimension) float32."""
        output: Tensor = self.layers(faces)
        return output


def compile_embedder(net: MobileFaceNet, threads: int, *, bfloat16: bool) -> nn.Module:
    """The same network, run by OpenVINO; on the CPU, in evaluation mode."""
    return CompiledNet(
        net,
        torch.zeros(2, 3, 112, 112),
        largest_batch=16,
        own_programs=4,  # for one, two, four and eight faces
        threads=threads,
        bfloat16=bfloat16,
    )


def embed(net: nn.Module, faces: Tensor) -> Tensor:
    """Unit embeddings of aligned faces, each averaged with its mirror image's; see `embed_raw`."""
    return functional.normalize(embed_raw(net, faces), dim=1)


def embed_raw(net: nn.Module, faces: Tensor) -> Tensor:
    """Each aligned face's vector and its mirror image's, added; their length tells its quality.

    Args:
        net: in evaluation mode.
        faces: (N, 3, 112, 112) float32 RGB, 0..255, aligned by `recognition.align`.

    Returns:
        (N, 192) float32. A face's values do not depend on the others in the batch, up to rounding.
    """
    if len(faces) == 0:
        return faces.new_zeros((0, DIMENSION))
    normal = normalise(faces)
    both = torch.cat([normal, normal.flip(3)]).contiguous(memory_format=torch.channels_last)
    plain, mirrored = net(both).chunk(2)
    total: Tensor = plain + mirrored
    return total


def normalise(pixels: Tensor) -> Tensor:
    """Values 0..255 to (v - 127.5) / 128, as MTCNN and MobileFaceNet expect them."""
    return (pixels - 127.5) / 128
