"""The batched cascade finds what a plain, slow one run by the published files finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from recognition.cascade import MAX_CANDIDATES, cascade, pyramid_sizes
from recognition.mtcnn import THRESHOLDS, Mtcnn
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.types import Pixels
from recognition.weights import WeightsError, load_into, save_trained
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


def test_weights_that_were_saved_as_trained_find_what_they_found(
    models_dir: Path, mtcnn: Pipeline, portraits: dict[str, Pixels], tmp_path: Path
) -> None:
    net = Mtcnn()
    load_into(net, models_dir, "mtcnn")
    save_trained(tmp_path / "mtcnn.safetensors", net, {"by": "hand"})
    again = Pipeline.load(
        models_dir,
        device="cpu",
        threads=1,
        detector=tmp_path / "mtcnn.safetensors",
        runtime="torch",
    )
    picture = portraits["obama.jpg"]
    (one,), (other,) = (pipeline.analyse_pixels([picture])[0].faces for pipeline in (mtcnn, again))
    np.testing.assert_array_equal(one.box, other.box)


def test_a_pipeline_refuses_weights_of_another_network(models_dir: Path, tmp_path: Path) -> None:
    save_trained(tmp_path / "other.safetensors", nn.Linear(2, 2), {})
    with pytest.raises(WeightsError, match=r"other\.safetensors do not fit"):
        Pipeline.load(models_dir, device="cpu", threads=1, detector=tmp_path / "other.safetensors")


def test_a_lower_threshold_of_the_last_network_only_adds_faces(
    mtcnn: Pipeline, portraits: dict[str, Pixels]
) -> None:
    assert isinstance(mtcnn.detector, Mtcnn)
    with torch.inference_mode():
        images = ImageSet([portraits["obama.jpg"]], torch.device("cpu"))
        usual = cascade(mtcnn.detector, images, 40)
        more = cascade(mtcnn.detector, images, 40, (*THRESHOLDS[:2], 0.01))
    assert len(more.scores) >= len(usual.scores)
    assert set(usual.scores.tolist()) <= set(more.scores.tolist())
