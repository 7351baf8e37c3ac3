"""The batched detector finds what a plain, slow cascade run by the published files finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recognition.detect import MAX_CANDIDATES, DetectorSettings, detect, pyramid_sizes
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.types import Pixels
from tests.recognition.reference_cascade import ReferenceCascade

CPU = torch.device("cpu")


def reduced(image: Pixels, step: int) -> Pixels:
    return np.ascontiguousarray(image[::step, ::step])


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize(
    "name",
    ["astronaut.png", "obama.jpg", "biden.jpg", "obama2.jpg", "obama_partial_face.jpg"],
)
def test_boxes_and_points_are_within_a_pixel_of_the_plain_cascade(
    pipeline: Pipeline,
    original_files: dict[str, bytes],
    portraits: dict[str, Pixels],
    name: str,
    step: int,
) -> None:
    image = reduced(portraits[name], step)
    expected = ReferenceCascade(original_files, smallest_face=40)(image)
    found = pipeline.analyse_pixels([image], smallest_face=40)[0].faces
    assert len(found) == len(expected) >= 1
    for face in found:
        nearest = min(expected, key=lambda other: float(np.abs(other.box - face.box).max()))
        assert np.abs(nearest.box - face.box).max() < 1
        assert np.abs(nearest.points - face.points).max() < 1
        assert face.score == pytest.approx(nearest.score, abs=0.001)


def test_the_pyramid_starts_at_the_smallest_face_and_computes_no_level_below_it() -> None:
    sizes = pyramid_sizes((480, 640), DetectorSettings(smallest_face=40))
    assert sizes[0] == (144, 192)
    assert len(sizes) == 8
    assert pyramid_sizes((480, 640), DetectorSettings(smallest_face=80))[0] == (72, 96)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (39, 39), (11, 500)])
def test_images_smaller_than_the_smallest_face_have_no_faces(
    pipeline: Pipeline, size: tuple[int, int]
) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    assert pipeline.analyse_pixels([image])[0].faces == ()


def test_a_smallest_face_below_the_networks_window_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 12"):
        DetectorSettings(smallest_face=11)


def test_a_face_smaller_than_the_smallest_is_found_only_when_asked_for(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    small = reduced(portraits["astronaut.png"], 3)  # its face is about 30 pixels wide
    assert len(pipeline.analyse_pixels([small], smallest_face=20)[0].faces) == 1
    assert pipeline.analyse_pixels([small], smallest_face=80)[0].faces == ()


@pytest.mark.parametrize("step", [1, 2, 3])
def test_landmarks_are_on_the_same_features_after_mirroring(
    pipeline: Pipeline, portraits: dict[str, Pixels], step: int
) -> None:
    image = reduced(portraits["obama.jpg"], step)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    face, other = (pipeline.analyse_pixels([one])[0].faces[0] for one in (image, mirrored))
    back = other.points[[1, 0, 2, 4, 3]]
    back[:, 0] = image.shape[1] - 1 - back[:, 0]
    eyes = float(np.linalg.norm(face.points[1] - face.points[0]))
    assert np.abs(back - face.points).max() < 0.08 * eyes


def test_a_frame_of_noise_costs_bounded_work_and_spoils_nothing(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    astronaut = portraits["astronaut.png"]
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, astronaut.shape, dtype=np.uint8)
    alone = pipeline.analyse_pixels([astronaut])[0].faces
    together = pipeline.analyse_pixels([noise, astronaut, noise])[1].faces
    assert len(alone) == len(together) == 1
    np.testing.assert_allclose(alone[0].box, together[0].box, atol=1e-3)
    assert MAX_CANDIDATES <= 1024


def test_detections_are_sorted_by_frame(pipeline: Pipeline, portraits: dict[str, Pixels]) -> None:
    with torch.inference_mode():
        images = ImageSet([portraits["obama.jpg"], portraits["astronaut.png"]] * 2, CPU)
        frames = detect(pipeline.detector, images, DetectorSettings()).frame.tolist()
    assert frames == sorted(frames)
    assert set(frames) == {0, 1, 2, 3}
