"""Cuts many square views out of a batch of images at once, at any scale, position and angle.

Coordinates follow OpenCV's `warpAffine`: x to the right, y down, (0, 0) the centre of the first
pixel. Outside the image everything is black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recognition.types import Pixels

MAX_LEVELS = 7


class Mipmaps:
    """Images of one size together with their halvings, made when they are first needed.

    A view that shrinks the image by 2^n or more is taken from the n-th halving, so that bilinear
    sampling never skips pixels. All halvings of an image lie side by side in one canvas, a black
    pixel around each, so that views of any scale are cut by one call.

    Args:
        images: (B, 3, H, W) uint8, RGB, preferably channels_last.
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self._levels = [images]
        self._canvas: Canvas | None = None

    @property
    def depth(self) -> int:
        """How many levels there are, the images themselves among them."""
        shorter = min(self.images.shape[2:])
        return max(1, min(MAX_LEVELS, shorter.bit_length() - 1))

    def level(self, index: int) -> Tensor:
        """The images shrunk to a 2^index-th: (B, 3, h, w) uint8."""
        while len(self._levels) <= index:
            height, width = self._levels[-1].shape[2:]
            half = (max(1, height // 2), max(1, width // 2))
            self._levels.append(shrink(self._levels[-1], half))
        return self._levels[index]

    def canvas(self, first: int, last: int) -> Canvas:
        """The levels from `first` to `last`, at least, side by side."""
        known = self._canvas
        if known is not None:
            if known.first <= first and last < known.first + len(known.sizes):
                return known
            first = min(first, known.first)
            last = max(last, known.first + len(known.sizes) - 1)
        self._canvas = _laid_out([self.level(index) for index in range(first, last + 1)], first)
        return self._canvas


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """Images and their halvings in one picture each.

    first: the first level that it holds.
    pixels: (B, 3, h, w) float32, 0..255; that level at the left, the others in a column beside it.
    corners: (L, 2) float32, x and y of each level's first pixel.
    sizes: (L, 2) float32, width and height of each level.
    """

    first: int
    pixels: Tensor
    corners: Tensor
    sizes: Tensor


def _laid_out(levels: Sequence[Tensor], first: int) -> Canvas:
    count, _, height, width = levels[0].shape
    corners, top = [(1, 1)], 1
    for level in levels[1:]:
        corners.append((width + 2, top))
        top += level.shape[2] + 1
    second = levels[1].shape[3] + 1 if len(levels) > 1 else 0
    shape = (count, 3, max(height + 2, top), width + 2 + second)
    pixels = torch.empty(
        shape, device=levels[0].device, memory_format=torch.channels_last, dtype=torch.float32
    )
    # What no level covers must be black: views see a pixel of it around each level.
    pixels[:, :, 0] = 0
    pixels[:, :, height + 1 :] = 0
    pixels[:, :, :, 0] = 0
    pixels[:, :, :, width + 1 :] = 0
    for (x, y), level in zip(corners, levels, strict=True):
        pixels[:, :, y : y + level.shape[2], x : x + level.shape[3]] = level
    sizes = [(level.shape[3], level.shape[2]) for level in levels]
    return Canvas(
        first,
        pixels,
        torch.tensor(corners, dtype=torch.float32, device=pixels.device),
        torch.tensor(sizes, dtype=torch.float32, device=pixels.device),
    )


def shrink(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize with antialiasing (a triangle filter as wide as the reduction).

    Args:
        images: (B, 3, H, W) uint8, 0..255.
        size: (h, w), each at least 1.

    Returns:
        (B, 3, h, w) uint8.
    """
    if images.device.type == "cpu":  # has a fast path for bytes; other devices have none at all
        return functional.interpolate(images, size, mode="bilinear", antialias=True)
    resized = functional.interpolate(images.float(), size, mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255).byte()


class ImageSet:
    """Images of any sizes, numbered in the order given; those of one size are kept together.

    Args:
        images: each (H, W, 3) uint8 RGB.
        device: where they are put.
    """

    def __init__(self, images: Sequence[Pixels], device: torch.device) -> None:
        sizes: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            sizes.setdefault(image.shape, []).append(number)
        self.device = device
        self.batches = []
        for numbers in sizes.values():
            stacked = np.stack([images[number] for number in numbers])
            # (B, H, W, 3) seen as (B, 3, H, W) is what torch calls channels_last.
            batch = torch.from_numpy(stacked).permute(0, 3, 1, 2).to(device)
            frames = torch.tensor(numbers, dtype=torch.int64, device=device)
            self.batches.append((frames, Mipmaps(batch)))

    def sample(self, frame: Tensor, to_image: Tensor, side: int) -> Tensor:
        """Cut one square view for each row of `frame`, bilinearly.

        Args:
            frame: (N,) int64, which image each view is of.
            to_image: (N, 2, 3) float32, from a view's pixel (column, row, 1) to image
                coordinates.
            side: of the views, in pixels.

        Returns:
            (N, 3, side, side) float32, 0..255.
        """
        if len(self.batches) == 1:
            return sample(self.batches[0][1], frame, to_image, side)
        views = to_image.new_zeros((len(frame), 3, side, side))
        for frames, mipmaps in self.batches:
            matches = frame[:, None] == frames  # (N, B)
            chosen, slot = matches.nonzero(as_tuple=True)
            views[chosen] = sample(mipmaps, slot, to_image[chosen], side)
        return views


def sample(mipmaps: Mipmaps, frame: Tensor, to_image: Tensor, side: int) -> Tensor:
    """As `ImageSet.sample`, from images of one size."""
    if len(frame) == 0:
        return to_image.new_zeros((0, 3, side, side))
    determinant = to_image[:, 0, 0] * to_image[:, 1, 1] - to_image[:, 0, 1] * to_image[:, 1, 0]
    reduction = determinant.abs().sqrt().nan_to_num()  # image pixels for one view pixel
    level = reduction.clamp(min=1).log2().floor().clamp(max=mipmaps.depth - 1).long()
    canvas = _canvas(mipmaps, level)
    height, width = mipmaps.images.shape[2:]
    scale = canvas.sizes / canvas.sizes.new_tensor([width, height])
    grid = _grid(canvas, scale, level - canvas.first, to_image, side)
    if len(canvas.pixels) > 1:
        return _sample_stacked(canvas.pixels, frame, grid)
    return _views(_bilinear(canvas.pixels, grid.reshape(1, -1, side, 2)), side)[0]


def _canvas(mipmaps: Mipmaps, level: Tensor) -> Canvas:
    """The levels that are needed; all of them where asking which would make a GPU wait."""
    if level.device.type == "cpu":
        return mipmaps.canvas(int(level.min()), int(level.max()))
    return mipmaps.canvas(0, mipmaps.depth - 1)


def _grid(canvas: Canvas, scale: Tensor, row: Tensor, to_image: Tensor, side: int) -> Tensor:
    """(N, side, side, 2): where each view pixel lies, -1..1 across the canvas's outer edges.

    Args:
        scale: (L, 2), of the canvas's levels, in level pixels for one image pixel.
        row: (N,), which of these levels a view is cut from.
    """
    size = canvas.sizes[row][:, None, None]  # (N, 1, 1, 2)
    scale = scale[row][:, :, None]  # (N, 2, 1)
    steps = torch.arange(side, dtype=to_image.dtype, device=to_image.device)
    linear = to_image[:, :, :2] * scale
    start = (to_image[:, :, 2:] + 0.5) * scale - 0.5
    x = steps[:, None] * linear[:, None, :, 0]  # (N, side, 2)
    y = steps[:, None] * linear[:, None, :, 1] + start[:, None, :, 0]
    points = x[:, None] + y[:, :, None]  # (N, side, side, 2)
    # Whatever lies outside comes to lie on the black pixels around the level.
    points = torch.minimum(points.clamp_(min=-1), size).add_(canvas.corners[row][:, None, None])
    height, width = canvas.pixels.shape[2:]
    return points.add_(0.5).mul_(2 / points.new_tensor([width, height])).sub_(1)


def _bilinear(pixels: Tensor, grid: Tensor) -> Tensor:
    return functional.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def _views(sampled: Tensor, side: int) -> Tensor:
    """(B, 3, K * side, side), views below each other, to (B, K, 3, side, side)."""
    rows = sampled.permute(0, 2, 3, 1)  # the order in which they lie in memory
    return rows.reshape(len(rows), -1, side, side, 3).permute(0, 1, 4, 2, 3)


def _sample_stacked(pixels: Tensor, frame: Tensor, grid: Tensor) -> Tensor:
    """(N, 3, side, side) out of several images: an image's views lie below each other."""
    side = grid.shape[1]
    counts = torch.bincount(frame, minlength=len(pixels))
    order = frame.argsort(stable=True)
    frame_sorted = frame[order]
    position = torch.arange(len(frame), device=frame.device)
    position = position - (counts.cumsum(0) - counts)[frame_sorted]
    stacked = grid.new_zeros((len(pixels), int(counts.max()), side, side, 2))
    stacked[frame_sorted, position] = grid[order]
    views = _views(_bilinear(pixels, stacked.flatten(1, 2)), side)
    back = order.argsort()
    return views[frame_sorted[back], position[back]]
