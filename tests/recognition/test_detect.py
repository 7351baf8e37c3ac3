"""Faces are found at every size that is asked for, and their points lie where they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recognition.detect import (
    MAX_CANDIDATES,
    THRESHOLD,
    DetectorSettings,
    detect,
    second_look,
)
from recognition.nms import suppress
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.types import Pixels

CPU = torch.device("cpu")
LEFT_RIGHT = [1, 0, 2, 4, 3]


def reduced(image: Pixels, step: int) -> Pixels:
    return np.ascontiguousarray(image[::step, ::step])


@pytest.mark.parametrize("step", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["astronaut.png", "obama.jpg", "biden.jpg", "obama2.jpg"])
def test_a_portrait_has_one_face_whatever_its_size(
    pipeline: Pipeline, portraits: dict[str, Pixels], name: str, step: int
) -> None:
    (face,) = pipeline.analyse_pixels([reduced(portraits[name], step)], smallest_face=20)[0].faces
    assert face.score > 0.9


def test_both_detectors_see_the_same_faces(
    pipeline: Pipeline, models_dir: Path, portraits: dict[str, Pixels]
) -> None:
    mtcnn = Pipeline.load(models_dir, device="cpu", threads=1, detector="mtcnn")
    for image in portraits.values():
        (face,), (other,) = (each.analyse_pixels([image])[0].faces for each in (pipeline, mtcnn))
        eyes = float(np.linalg.norm(face.points[1] - face.points[0]))
        assert np.linalg.norm(face.points - other.points, axis=1).mean() < 0.1 * eyes
        assert face.embedding is not None
        assert other.embedding is not None
        assert face.embedding @ other.embedding > 0.9


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (600, 2), (39, 39), (11, 500)])
def test_images_with_room_for_no_face_have_none(pipeline: Pipeline, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    assert pipeline.analyse_pixels([image])[0].faces == ()


def test_a_smallest_face_below_what_the_network_can_see_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 12"):
        DetectorSettings(smallest_face=11)


def test_a_small_face_in_a_large_frame_is_found_only_when_asked_for(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    frame = np.full((960, 1280, 3), 110, np.uint8)
    small = reduced(portraits["astronaut.png"], 3)  # its face is about 30 pixels wide
    frame[300 : 300 + small.shape[0], 500 : 500 + small.shape[1]] = small
    assert len(pipeline.analyse_pixels([frame], smallest_face=20)[0].faces) == 1
    assert pipeline.analyse_pixels([frame], smallest_face=160)[0].faces == ()


def test_a_face_larger_than_the_anchors_is_found_in_a_coarser_look(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    image = portraits["obama.jpg"].repeat(3, 0).repeat(3, 1)  # a face 750 pixels wide
    face = pipeline.analyse_pixels([image], smallest_face=20)[0].faces[0]
    (usual,) = pipeline.analyse_pixels([portraits["obama.jpg"]])[0].faces
    assert np.abs(face.box - 3 * usual.box).max() < 0.1 * (face.box[2] - face.box[0])


@pytest.mark.parametrize("step", [1, 2, 3])
def test_landmarks_are_on_the_same_features_after_mirroring(
    pipeline: Pipeline, portraits: dict[str, Pixels], step: int
) -> None:
    image = reduced(portraits["obama.jpg"], step)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    face, other = (pipeline.analyse_pixels([one])[0].faces[0] for one in (image, mirrored))
    back = other.points[LEFT_RIGHT]
    back[:, 0] = image.shape[1] - 1 - back[:, 0]
    eyes = float(np.linalg.norm(face.points[1] - face.points[0]))
    assert np.abs(back - face.points).max() < 0.08 * eyes


def test_a_second_look_brings_points_back_to_their_place(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    image = reduced(portraits["obama.jpg"], 2)
    with torch.inference_mode():
        images = ImageSet([image], CPU)
        right = detect(pipeline.detector, images, DetectorSettings())
        points = right.points.double().numpy()
        astray = points + np.array([6.0, -6.0])
        small = np.ones(1)  # as if hardly anything had been seen of it: the new look decides
        back = second_look(pipeline.detector, images, right.frame.numpy(), astray, small)
    assert np.linalg.norm(back - points, axis=2).mean() < 3


def test_points_stay_where_the_second_look_sees_no_face(pipeline: Pipeline) -> None:
    empty = np.full((200, 200, 3), 128, np.uint8)
    points = np.array([[[80.0, 80], [120, 80], [100, 100], [85, 125], [115, 125]]])
    with torch.inference_mode():
        frame = np.zeros(1, np.int64)
        images = ImageSet([empty], CPU)
        kept = second_look(pipeline.detector, images, frame, points, np.ones(1))
    assert np.linalg.norm(kept - points, axis=2).max() < 2  # moved by the usual offset at most


def test_no_face_is_told_twice_nor_below_the_threshold(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    with torch.inference_mode():
        images = ImageSet([reduced(image, 2) for image in portraits.values()], CPU)
        found = detect(pipeline.detector, images, DetectorSettings(smallest_face=20))
    assert (found.scores > THRESHOLD).all()
    arrays = (tensor.numpy() for tensor in (found.boxes, found.scores, found.frame))
    assert len(suppress(*arrays, threshold=0.4)) == len(found.frame)


def test_a_frame_of_noise_costs_bounded_work_and_spoils_nothing(
    pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    astronaut = portraits["astronaut.png"]
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, astronaut.shape, dtype=np.uint8)
    alone = pipeline.analyse_pixels([astronaut])[0].faces
    together = pipeline.analyse_pixels([noise, astronaut, noise])[1].faces
    assert len(alone) == len(together) == 1
    np.testing.assert_allclose(alone[0].box, together[0].box, atol=1e-2)
    assert MAX_CANDIDATES <= 1024


def test_detections_are_sorted_by_frame(pipeline: Pipeline, portraits: dict[str, Pixels]) -> None:
    with torch.inference_mode():
        images = ImageSet([portraits["obama.jpg"], portraits["astronaut.png"]] * 2, CPU)
        frames = detect(pipeline.detector, images, DetectorSettings()).frame.tolist()
    assert frames == sorted(frames)
    assert set(frames) == {0, 1, 2, 3}
