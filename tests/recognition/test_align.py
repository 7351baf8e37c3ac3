"""Alignment brings known points to the template, and its pixels are OpenCV's."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.align import TEMPLATE, align, invert, similarity
from recognition.sampling import ImageSet
from recognition.types import Pixels

CPU = torch.device("cpu")


def placed(scale: float, angle: float, x: float, y: float) -> torch.Tensor:
    """The template's points scaled, turned by degrees, and moved; (1, 5, 2)."""
    turn = math.radians(angle)
    matrix = scale * torch.tensor(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    )
    return (torch.tensor(TEMPLATE) @ matrix.T + torch.tensor([x, y]))[None]


def smooth_image(height: int, width: int, seed: int = 0) -> Pixels:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    return np.asarray(((blurred - 128) * 6 + 128).clip(0, 255), dtype=np.uint8)


@given(
    scale=st.floats(0.2, 8),
    angle=st.floats(-180, 180),
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
)
@settings(max_examples=60, deadline=None)
def test_similarity_recovers_a_known_transform(
    scale: float, angle: float, x: float, y: float
) -> None:
    points = placed(scale, angle, x, y).numpy()
    to_template = similarity(points, np.array(TEMPLATE))
    mapped = points[0] @ to_template[0, :, :2].T + to_template[0, :, 2]
    np.testing.assert_allclose(mapped, TEMPLATE, atol=2e-3)


def test_similarity_is_the_least_squares_answer_for_points_that_fit_none() -> None:
    random = np.random.default_rng(2)
    source, target = random.random((2, 5, 2)) * 100
    # x' = a x - b y + c and y' = b x + a y + d, solved by a general method.
    x, y = source.T
    one, zero = np.ones(5), np.zeros(5)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, c, d = np.linalg.lstsq(rows, target.T.reshape(-1))[0]
    np.testing.assert_allclose(similarity(source[None], target)[0], [[a, -b, c], [b, a, d]])


def test_similarity_never_mirrors() -> None:
    mirrored = np.array(TEMPLATE) * [-1.0, 1.0]
    linear = similarity(mirrored[None], np.array(TEMPLATE))[0, :, :2]
    assert np.linalg.det(linear) >= 0


def test_the_inverse_undoes_the_transform() -> None:
    transform = similarity(placed(2.5, 33, 40, -7).numpy(), np.array(TEMPLATE))
    row = np.array([[[0.0, 0.0, 1.0]]])
    product = np.concatenate([invert(transform), row], 1) @ np.concatenate([transform, row], 1)
    np.testing.assert_allclose(product[0], np.eye(3), atol=1e-9)


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0), (1.3, 20), (1.9, -35), (0.6, 170)])
def test_pixels_are_those_of_warp_affine(scale: float, angle: float) -> None:
    image = smooth_image(400, 500)
    points = placed(scale, angle, 200, 180)
    transform = similarity(points.numpy(), np.array(TEMPLATE))[0]
    expected = cv2.warpAffine(image, transform, (112, 112), flags=cv2.INTER_LINEAR)
    face = align(ImageSet([image], CPU), torch.tensor([0]), points)[0].permute(1, 2, 0).numpy()
    # OpenCV rounds positions to a 32nd of a pixel; the image's slopes allow this much for it.
    assert np.abs(face - expected).mean() < 0.5
    assert np.abs(face - expected).max() < 4


def test_a_face_at_the_border_is_black_outside_the_image() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    face = align(ImageSet([image], CPU), torch.tensor([0]), placed(1, 0, -56, 0))[0]
    assert face[:, 10:90, :50].max() < 0.01
    torch.testing.assert_close(face[:, 10:90, 60:], torch.full((3, 80, 52), 200.0))


def test_a_large_face_is_antialiased_not_picked_apart() -> None:
    stripes = np.zeros((1600, 1600, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than the face's pixels: only its mean can be right
    face = align(ImageSet([stripes], CPU), torch.tensor([0]), placed(8, 0, 300, 300))[0]
    assert face.min() > 100
    assert face.max() < 155


def test_faces_of_different_images_and_sizes_come_out_in_the_order_asked_for() -> None:
    grey = [np.full((120 + 10 * n, 150, 3), 40 * n, np.uint8) for n in range(5)]
    images = ImageSet([*grey, grey[2]], CPU)
    frame = torch.tensor([4, 0, 5, 2, 2, 1])
    faces = align(images, frame, placed(0.5, 0, 40, 40).repeat(6, 1, 1))
    assert faces[:, 0, 56, 56].round().tolist() == [160, 0, 80, 80, 80, 40]


def test_no_faces_give_an_empty_batch() -> None:
    images = ImageSet([smooth_image(50, 50), smooth_image(60, 50)], CPU)
    assert align(images, torch.zeros(0).long(), torch.zeros(0, 5, 2)).shape == (0, 3, 112, 112)
