"""Cuts many square views out of a batch of images at once, at any scale, position and angle.

Coordinates follow OpenCV's `warpAffine`: x to the right, y down, (0, 0) the centre of the first
pixel. Outside the image everything is black.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recognition.types import Pixels

MAX_LEVELS = 7


class Mipmaps:
    """Images of one size together with their halvings, made when they are first needed.

    A view that shrinks the image by 2^n or more is taken from the n-th halving, so that bilinear
    sampling never skips pixels.

    Args:
        images: (B, 3, H, W) uint8, RGB, preferably channels_last.
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self._levels = [images]
        self._in_float: dict[int, Tensor] = {}

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

    def level_in_float(self, index: int) -> Tensor:
        """As `level`, in float32, kept for the next views."""
        if index not in self._in_float:
            self._in_float[index] = self.level(index).float()
        return self._in_float[index]


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
            batch = torch.from_numpy(stacked).permute(0, 3, 1, 2)
            if device.type == "cuda":  # from pinned memory the copy need not be waited for
                batch = batch.pin_memory()
            batch = batch.to(device, non_blocking=True)
            frames = torch.tensor(numbers, dtype=torch.int64, device=device)
            self.batches.append((frames, Mipmaps(batch)))

    def sample(self, frame: Tensor, to_image: Tensor, side: int) -> Tensor:
        """Cut one square view for each row of `frame`, bilinearly.

        Args:
            frame: (N,) int64, which image each view is of.
            to_image: (N, 2, 3), from a view's pixel (column, row, 1) to image coordinates.
            side: of the views, in pixels.

        Returns:
            (N, 3, side, side) float32, 0..255.
        """
        if len(self.batches) == 1:
            return sample(self.batches[0][1], frame, to_image, side)
        views = to_image.new_zeros((len(frame), 3, side, side), dtype=torch.float32)
        for frames, mipmaps in self.batches:
            matches = frame[:, None] == frames  # (N, B)
            chosen, slot = matches.nonzero(as_tuple=True)
            views[chosen] = sample(mipmaps, slot, to_image[chosen], side)
        return views


def sample(mipmaps: Mipmaps, frame: Tensor, to_image: Tensor, side: int) -> Tensor:
    """As `ImageSet.sample`, from images of one size."""
    to_image = to_image.float()
    if len(frame) == 0:
        return to_image.new_zeros((0, 3, side, side))
    determinant = to_image[:, 0, 0] * to_image[:, 1, 1] - to_image[:, 0, 1] * to_image[:, 1, 0]
    reduction = determinant.abs().sqrt().nan_to_num()  # image pixels for one view pixel
    level = reduction.clamp(min=1).log2().floor().clamp(max=mipmaps.depth - 1)
    needed = sorted(set(level.tolist()))
    if len(needed) == 1:
        return _from_level(mipmaps, int(needed[0]), frame, to_image, side)
    views = to_image.new_empty((len(frame), 3, side, side))
    for one in needed:
        rows = (level == one).nonzero()[:, 0]
        views[rows] = _from_level(mipmaps, int(one), frame[rows], to_image[rows], side)
    return views


def _from_level(mipmaps: Mipmaps, index: int, frame: Tensor, to_image: Tensor, side: int) -> Tensor:
    """Views (N, 3, side, side) cut out of one halving of the images."""
    pixels = mipmaps.level_in_float(index)
    grid = _grid(to_image, side, mipmaps.images.shape[3], mipmaps.images.shape[2])
    if len(pixels) > 1:
        return _sample_stacked(pixels, frame, grid)
    return _views(_bilinear(pixels, grid.reshape(1, -1, side, 2)), side)[0]


def _grid(to_image: Tensor, side: int, width: int, height: int) -> Tensor:
    """(N, side, side, 2): where each view pixel lies, -1..1 across the image's outer edges."""
    per_pixel = to_image.new_tensor([[2 / width], [2 / height]])
    linear = to_image[:, :, :2] * per_pixel
    start = (to_image[:, :, 2:] + 0.5) * per_pixel - 1  # (N, 2, 1)
    steps = torch.arange(side, dtype=to_image.dtype, device=to_image.device)
    x = steps[:, None] * linear[:, None, :, 0]  # (N, side, 2)
    y = steps[:, None] * linear[:, None, :, 1] + start[:, None, :, 0]
    return x[:, None] + y[:, :, None]


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
