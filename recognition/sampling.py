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
    """Images of one size together with their halvings, each made when it is first needed.

    A view that shrinks the image by 2^n or more is taken from the n-th halving, so that bilinear
    sampling never skips pixels.

    Args:
        images: (B, 3, H, W) uint8, RGB, preferably channels_last.
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self._levels = [images]
        self._floats: dict[int, Tensor] = {}

    @property
    def depth(self) -> int:
        """How many levels there are, the images themselves among them."""
        shorter = min(self.images.shape[2:])
        return max(1, min(MAX_LEVELS, shorter.bit_length() - 1))

    def level(self, index: int) -> Tensor:
        """The images shrunk to a 2^index-th: (B, 3, h, w) float32, 0..255."""
        if index not in self._floats:
            while len(self._levels) <= index:
                last = self._levels[-1]
                half = (max(1, last.shape[2] // 2), max(1, last.shape[3] // 2))
                self._levels.append(shrink(last, half))
            self._floats[index] = self._levels[index].float()
        return self._floats[index]


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
    views = to_image.new_zeros((len(frame), 3, side, side))
    if len(frame) == 0:
        return views
    determinant = to_image[:, 0, 0] * to_image[:, 1, 1] - to_image[:, 0, 1] * to_image[:, 1, 0]
    reduction = determinant.abs().sqrt()  # image pixels for one view pixel
    levels = reduction.clamp(min=1).log2().floor().long().clamp(max=mipmaps.depth - 1)
    for level in sorted(set(levels.tolist())):
        chosen = (levels == level).nonzero().squeeze(1)
        grid = _grid(to_image[chosen], side, mipmaps.images.shape[2:])
        views[chosen] = _sample_level(mipmaps.level(level), frame[chosen], grid)
    return views


def _grid(to_image: Tensor, side: int, size: torch.Size) -> Tensor:
    """(N, side, side, 2): where each view pixel lies, -1..1 across the image's outer edges."""
    steps = torch.arange(side, dtype=to_image.dtype, device=to_image.device)
    height, width = size
    x = to_image[:, :, 0, None, None] * steps  # (N, 2, 1, side)
    y = to_image[:, :, 1, None, None] * steps[:, None]  # (N, 2, side, 1)
    points = x + y + to_image[:, :, 2, None, None]  # (N, 2, side, side)
    extent = points.new_tensor([width, height])[:, None, None]
    return ((points + 0.5) * (2 / extent) - 1).permute(0, 2, 3, 1)


def _sample_level(images: Tensor, frame: Tensor, grid: Tensor) -> Tensor:
    """(N, 3, side, side): one `grid_sample`, an image's views stacked below each other."""
    side = grid.shape[1]
    counts = torch.bincount(frame, minlength=len(images))
    most = int(counts.max())
    order = frame.argsort(stable=True)
    frame_sorted = frame[order]
    position = torch.arange(len(frame), device=frame.device)
    position = position - (counts.cumsum(0) - counts)[frame_sorted]
    stacked = grid.new_zeros((len(images), most, side, side, 2))
    stacked[frame_sorted, position] = grid[order]
    sampled = functional.grid_sample(
        images, stacked.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=False
    )
    sampled = sampled.reshape(len(images), 3, most, side, side)
    views = sampled.new_empty((len(frame), 3, side, side))
    views[order] = sampled[frame_sorted, :, position]
    return views
