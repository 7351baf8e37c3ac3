"""RetinaFace (Deng et al., 2020, arXiv:1905.00641) on a quarter-width MobileNet: faces with
their five points in one pass, at every place and size at once.

Batch normalisation is folded into the convolutions, as in the published file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.compiled import CompiledNet

STRIDES = (8, 16, 32)
"""Pixels of the image for one cell of each output map."""

ANCHORS = ((16, 32), (64, 128), (256, 512))
"""Sides of the squares about each cell's middle that boxes are told from, in pixels."""

MEAN = (123.0, 117.0, 104.0)
"""Of red, green and blue, 0..255; the layers see what differs from it."""

# (channels in, channels out, stride) of the depthwise blocks of each stage.
_STAGES = (
    ((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)),
    ((64, 128, 2), *((128, 128, 1),) * 5),
    ((128, 256, 2), (256, 256, 1)),
)
_WIDTH = 64  # channels of the feature pyramid
_SLOPE = 0.1
_PER_ANCHOR = (2, 4, 10)  # scores, box, points


def _rectified(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.LeakyReLU(_SLOPE))


def _conv3x3(inside: int, outside: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, stride, 1, groups=groups)


def _block(inside: int, outside: int, stride: int) -> nn.Sequential:
    """Filters each channel by 3x3, then mixes the channels."""
    return nn.Sequential(
        _rectified(_conv3x3(inside, inside, stride, inside)),
        _rectified(nn.Conv2d(inside, outside, 1)),
    )


class ContextModule(nn.Module):
    """Looks at 3x3, 5x5 and 7x7 cells about each cell (Najibi et al., 2017, arXiv:1708.03979)."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter = _WIDTH // 2, _WIDTH // 4
        self.near = _conv3x3(_WIDTH, half)
        self.narrowed = _rectified(_conv3x3(_WIDTH, quarter))
        self.middle = _conv3x3(quarter, quarter)
        self.far = nn.Sequential(_rectified(_conv3x3(quarter, quarter)), _conv3x3(quarter, quarter))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 64, h, w) -> (N, 64, h, w)."""
        narrowed = self.narrowed(x)
        return torch.cat([self.near(x), self.middle(narrowed), self.far(narrowed)], 1).relu_()


class RetinaFace(nn.Module):
    """(N, 3, H, W) float32 RGB, 0..255, to what is at each anchor."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        first = _rectified(_conv3x3(3, 8, 2))
        self.stages = nn.ModuleList(
            nn.Sequential(*([first] if number == 0 else []), *(_block(*shape) for shape in stage))
            for number, stage in enumerate(_STAGES)
        )
        self.lateral = nn.ModuleList(
            _rectified(nn.Conv2d(stage[-1][1], _WIDTH, 1)) for stage in _STAGES
        )
        self.merged = nn.ModuleList(_rectified(_conv3x3(_WIDTH, _WIDTH)) for _ in range(2))
        self.context = nn.ModuleList(ContextModule() for _ in STRIDES)
        self.heads = nn.ModuleList(  # the first for all maps, then the second, ...
            nn.ModuleList(nn.Conv2d(_WIDTH, 2 * size, 1) for _ in STRIDES) for size in _PER_ANCHOR
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Everything in the order of `anchors`.

        Returns:
            margins (N, A): logit of a face less that of none; boxes (N, A, 4) and points
            (N, A, 10), relative to the anchors, see `recognition.detect`.
        """
        maps, x = [], images - self.mean
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        small, middle, large = maps
        middle = self.merged[0](middle + _enlarged(large, middle))
        small = self.merged[1](small + _enlarged(middle, small))
        seen = [context(x) for context, x in zip(self.context, (small, middle, large), strict=True)]
        scores, boxes, points = (
            torch.cat([_by_anchor(head(x), size) for head, x in zip(heads, seen, strict=True)], 1)  # type: ignore[call-overload]
            for heads, size in zip(self.heads, _PER_ANCHOR, strict=True)
        )
        return scores[..., 1] - scores[..., 0], boxes, points


def _by_anchor(values: Tensor, size: int) -> Tensor:
    """(N, 2 * size, h, w) to (N, h * w * 2, size)."""
    # Not len(values): a tracer would take that for a constant.
    return values.permute(0, 2, 3, 1).reshape(values.shape[0], -1, size)


def _enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    return functional.interpolate(coarse, size=(fine.shape[2], fine.shape[3]), mode="nearest")


def anchors(height: int, width: int) -> Tensor:
    """(A, 3): middle x and y, and side, of the anchors of an image, in pixels from its corner.

    Row by row, cell by cell, the smaller anchor first; finer maps before coarser ones.
    """
    parts = []
    for stride, sides in zip(STRIDES, ANCHORS, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x, side = torch.meshgrid(
            (torch.arange(rows) + 0.5) * stride,
            (torch.arange(columns) + 0.5) * stride,
            torch.tensor(sides, dtype=torch.float32),
            indexing="ij",
        )
        parts.append(torch.stack([x, y, side], -1).reshape(-1, 3))
    return torch.cat(parts)


def compile_retinaface(net: RetinaFace, threads: int, *, bfloat16: bool) -> nn.Module:
    """The same network, run by OpenVINO; on the CPU, in evaluation mode."""
    return CompiledNet(
        net,
        torch.zeros(1, 3, 64, 64),
        largest_batch=4,
        any_size=True,
        own_programs=16,  # a few cameras, and the views of one to four faces
        threads=threads,
        bfloat16=bfloat16,
    )
