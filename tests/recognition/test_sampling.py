"""Views are cut where they are asked for, at any scale, out of images of any sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recognition.sampling import ImageSet, Mipmaps, shrink
from recognition.types import Pixels

CPU = torch.device("cpu")


def ramp(height: int = 60, width: int = 80) -> Pixels:
    """Red grows with x, green with y."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 0] = np.arange(width)
    image[:, :, 1] = np.arange(height)[:, None]
    return image


def view(step: float, x: float, y: float) -> torch.Tensor:
    """(1, 2, 3): a view whose first pixel lies at x, y, and its next `step` pixels further."""
    return torch.tensor([[[step, 0, x], [0, step, y]]], dtype=torch.float32)


@pytest.mark.parametrize(("step", "x", "y"), [(1, 5, 7), (0.5, 10.25, 3.5), (1.5, 2, 1)])
def test_a_view_has_the_values_at_its_coordinates(step: float, x: float, y: float) -> None:
    cut = ImageSet([ramp()], CPU).sample(torch.tensor([0]), view(step, x, y), 24)[0]
    steps = step * torch.arange(24.0)
    torch.testing.assert_close(cut[0, 0], x + steps, atol=1e-3, rtol=0)
    torch.testing.assert_close(cut[1, :, 0], y + steps, atol=1e-3, rtol=0)


def test_a_turned_view_follows_its_matrix() -> None:
    quarter = torch.tensor([[[0.0, 1, 20], [-1, 0, 40]]])  # x grows downwards
    cut = ImageSet([ramp()], CPU).sample(torch.tensor([0]), quarter, 10)[0]
    torch.testing.assert_close(cut[0, :, 0], 20 + torch.arange(10.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(cut[1, 0], 40 - torch.arange(10.0), atol=1e-3, rtol=0)


@pytest.mark.parametrize("step", [2.0, 3.7, 6.0])
def test_a_reducing_view_averages_what_it_skips(step: float) -> None:
    """Fine noise around a ramp: reduced, the ramp stays and the noise goes."""
    noise = np.random.default_rng(0).integers(-40, 41, (400, 400))
    image = np.repeat((100 + noise)[:, :, None], 3, 2).astype(np.uint8)
    cut = ImageSet([image], CPU).sample(torch.tensor([0]), view(step, 40, 40), 48)[0]
    assert abs(float(cut.mean()) - 100) < 2
    assert float(cut.std()) < 23 / step * 1.5


def test_outside_the_image_is_black() -> None:
    image = np.full((50, 50, 3), 255, np.uint8)
    cut = ImageSet([image], CPU).sample(torch.tensor([0]), view(1, -12, 0), 24)[0]
    assert cut[:, :, :12].max() < 0.01
    torch.testing.assert_close(cut[:, :, 12:], torch.full((3, 24, 12), 255.0))


def test_views_keep_the_order_of_their_frames_across_sizes() -> None:
    images = [np.full((30 + 5 * (n % 3), 40, 3), 20 * n, np.uint8) for n in range(6)]
    frame = torch.tensor([3, 0, 5, 1, 1, 4, 2])
    cuts = ImageSet(images, CPU).sample(frame, view(1, 2, 2).repeat(7, 1, 1), 8)
    torch.testing.assert_close(cuts.mean((1, 2, 3)), 20.0 * frame)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (640, 480)])
def test_every_size_of_image_has_levels_down_to_a_pixel(size: tuple[int, int]) -> None:
    mipmaps = Mipmaps(torch.full((1, 3, *size), 77, dtype=torch.uint8))
    last = mipmaps.level_in_float(mipmaps.depth - 1)
    assert last.numel() >= 3
    assert set(last.flatten().tolist()) == {77}


@pytest.mark.parametrize("step", [1.0, 2.5, 5, 11, 23])
@pytest.mark.parametrize("size", [(203, 310), (310, 203)])
def test_outside_the_image_is_black_at_every_scale(size: tuple[int, int], step: float) -> None:
    height, width = size
    image = np.full((*size, 3), 255, np.uint8)
    x, y = width / 2 - 32 * step, height / 2 - 32 * step
    cut = ImageSet([image], CPU).sample(torch.tensor([0]), view(step, x, y), 64)[0]
    steps = step * torch.arange(64.0)
    outside_x = ((x + steps < -2 * step) | (x + steps > width + 2 * step)).expand(64, 64)
    outside_y = ((y + steps < -2 * step) | (y + steps > height + 2 * step)).expand(64, 64).T
    assert (cut[:, outside_x | outside_y] < 0.1).all()
    assert cut[:, 30:34, 30:34].min() > 254


def test_shrinking_keeps_the_mean() -> None:
    image = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 3, 96, 96)).astype("u1"))
    small = shrink(image, (12, 12))
    assert small.dtype == torch.uint8
    assert abs(float(small.float().mean()) - float(image.float().mean())) < 2
