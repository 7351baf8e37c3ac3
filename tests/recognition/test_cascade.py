"""The batched cascade finds what a plain, slow one run by the published files finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recognition.cascade import MAX_CANDIDATES, pyramid_sizes
from recognition.pipeline import Pipeline
from recognition.types import Pixels
from tests.recognition.reference_cascade import ReferenceCascade


@pytest.fixture(scope="module")
def mtcnn(models_dir: Path) -> Pipeline:
    """In torch: the reference is compared to a pixel."""
    return Pipeline.load(models_dir, device="cpu", threads=1, detector="mtcnn", runtime="torch")


def reduced(image: Pixels, step: int) -> Pixels:
    return np.ascontiguousarray(image[::step, ::step])


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize(
    "name",
    ["astronaut.png", "obama.jpg", "biden.jpg", "obama2.jpg", "obama_partial_face.jpg"],
)
def test_boxes_and_points_are_within_a_pixel_of_the_plain_cascade(
    mtcnn: Pipeline,
    original_files: dict[str, bytes],
    portraits: dict[str, Pixels],
    name: str,
    step: int,
) -> None:
    image = reduced(portraits[name], step)
    expected = ReferenceCascade(original_files, smallest_face=40)(image)
    found = mtcnn.analyse_pixels([image], smallest_face=40)[0].faces
    assert len(found) == len(expected) >= 1
    for face in found:
        nearest = min(expected, key=lambda other: float(np.abs(other.box - face.box).max()))
        assert np.abs(nearest.box - face.box).max() < 1
        assert np.abs(nearest.points - face.points).max() < 1
        assert face.score == pytest.approx(nearest.score, abs=0.001)


def test_the_pyramid_starts_at_the_smallest_face_and_computes_no_level_below_it() -> None:
    sizes = pyramid_sizes((480, 640), 40)
    assert sizes[0] == (144, 192)
    assert len(sizes) == 8
    assert pyramid_sizes((480, 640), 80)[0] == (72, 96)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (39, 39), (11, 500)])
def test_images_smaller_than_the_smallest_face_have_no_faces(
    mtcnn: Pipeline, size: tuple[int, int]
) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    assert mtcnn.analyse_pixels([image])[0].faces == ()


def test_a_frame_of_noise_costs_bounded_work_and_spoils_nothing(
    mtcnn: Pipeline, portraits: dict[str, Pixels]
) -> None:
    astronaut = portraits["astronaut.png"]
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, astronaut.shape, dtype=np.uint8)
    alone = mtcnn.analyse_pixels([astronaut])[0].faces
    together = mtcnn.analyse_pixels([noise, astronaut, noise])[1].faces
    assert len(alone) == len(together) == 1
    np.testing.assert_allclose(alone[0].box, together[0].box, atol=1e-3)
    assert MAX_CANDIDATES <= 1024
