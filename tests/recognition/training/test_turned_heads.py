"""A head turned in a photo is seen as turned, by the engine too, and is still the same person's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from recognition.align import TEMPLATE, align
from recognition.head_pose import head_pose
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.training.turned_heads import (
    LARGEST_YAW,
    LEAST_YAW,
    Turned,
    drawn_yaw,
    relit,
    turn_head,
    views,
)
from recognition.types import Face, Pixels

PORTRAITS = ("astronaut.png", "obama.jpg", "biden.jpg")
FRONTAL = np.array(TEMPLATE)


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def face_of(pipeline: Pipeline, pixels: Pixels) -> Face:
    (face,) = pipeline.analyse_pixels([pixels])[0].faces
    return face


def points_of(face: Face) -> NDArray[np.float64]:
    return face.points.astype(np.float64)


def embedding_of(face: Face) -> NDArray[np.float32]:
    assert face.embedding is not None
    return face.embedding


def aligned(pixels: Pixels, points: NDArray[np.float64]) -> Tensor:
    first = torch.zeros(1, dtype=torch.int64)
    images = ImageSet([np.ascontiguousarray(pixels)], torch.device("cpu"))
    return align(images, first, torch.from_numpy(points[None]).float())[0]


@pytest.fixture(scope="module")
def faces(pipeline: Pipeline, portraits: dict[str, Pixels]) -> dict[str, Face]:
    return {name: face_of(pipeline, portraits[name]) for name in PORTRAITS}


def turned(
    portraits: dict[str, Pixels], faces: dict[str, Face], name: str, degrees: float
) -> Turned:
    return turn_head(portraits[name], points_of(faces[name]), np.deg2rad(degrees), draw())


@pytest.mark.parametrize("name", PORTRAITS)
@pytest.mark.parametrize("degrees", [-60, -35, 0, 35, 60])
def test_the_engine_sees_the_head_turned_that_way(
    pipeline: Pipeline,
    portraits: dict[str, Pixels],
    faces: dict[str, Face],
    name: str,
    degrees: float,
) -> None:
    seen = face_of(pipeline, turned(portraits, faces, name, degrees).pixels)
    assert seen.quality is not None
    assert seen.quality.yaw == pytest.approx(degrees, abs=20)


@pytest.mark.parametrize("name", PORTRAITS)
def test_from_the_side_it_is_still_that_person_more_than_another(
    pipeline: Pipeline, portraits: dict[str, Pixels], faces: dict[str, Face], name: str
) -> None:
    seen = embedding_of(face_of(pipeline, turned(portraits, faces, name, 50).pixels))
    scores = {other: float(seen @ embedding_of(face)) for other, face in faces.items()}
    assert max(scores, key=lambda other: scores[other]) == name


def test_a_head_that_looks_ahead_turned_to_look_ahead_is_as_it_was(
    portraits: dict[str, Pixels], faces: dict[str, Face]
) -> None:
    face = faces["obama.jpg"]
    ahead = turned(portraits, faces, "obama.jpg", head_pose(points_of(face)[None]).yaw[0])
    before = aligned(portraits["obama.jpg"], points_of(face))[:, 40:95, 35:78]
    after = aligned(ahead.pixels, ahead.points)[:, 40:95, 35:78]
    # Upright and from the front: a little of its nod, and of where the points lie, is gone.
    assert float(np.corrcoef(before.flatten(), after.flatten())[0, 1]) > 0.8


@pytest.mark.parametrize("degrees", [-80, -30, 0, 45, 90])
def test_its_points_are_those_of_a_head_that_is_so_turned(degrees: float) -> None:
    photo = np.full((112, 112, 3), 128, np.uint8)
    found = turn_head(photo, FRONTAL, np.deg2rad(degrees), draw()).points
    assert head_pose(found[None]).yaw[0] == pytest.approx(degrees, abs=12)


def test_turned_the_other_way_a_mirrored_face_is_the_mirror_image(
    portraits: dict[str, Pixels], faces: dict[str, Face]
) -> None:
    photo, points = portraits["biden.jpg"], points_of(faces["biden.jpg"])
    points[:] = points[2] + (FRONTAL - FRONTAL[2]) * 1.5  # of a head that looks straight ahead
    points[[0, 3], 0] = 2 * points[2, 0] - points[[1, 4], 0]
    points[[0, 3], 1] = points[[1, 4], 1]
    mirrored = points[[1, 0, 2, 4, 3]]
    mirrored[:, 0] = photo.shape[1] - 1 - mirrored[:, 0]
    one = turn_head(photo, points, 0.7, draw()).pixels
    other = turn_head(np.ascontiguousarray(photo[:, ::-1]), mirrored, -0.7, draw()).pixels
    away = np.abs(one[:, ::-1].astype(int) - other.astype(int))
    assert np.median(away) == 0
    assert away.mean() < 4


def test_what_the_photo_does_not_show_is_black() -> None:
    photo = np.full((112, 112, 3), 200, np.uint8)
    for yaw in (0.0, 0.8, 1.5):
        seen = turn_head(photo, FRONTAL, yaw, draw()).pixels
        assert set(np.unique(seen)) == {0, 200}
    beside = turn_head(photo, FRONTAL + 400, 0.5, draw()).pixels
    assert not beside.any()


def test_the_far_side_is_hidden_by_the_near_one() -> None:
    photo = np.zeros((112, 112, 3), np.uint8)
    photo[:, :56, 0] = 200  # its left half red,
    photo[:, 56:, 1] = 200  # its right half green
    looks_right = turn_head(photo, FRONTAL, np.deg2rad(80), draw()).pixels
    assert (looks_right[..., 0] > 100).sum() > 10 * (looks_right[..., 1] > 100).sum()
    looks_left = turn_head(photo, FRONTAL, -np.deg2rad(80), draw()).pixels
    assert (looks_left[..., 1] > 100).sum() > 10 * (looks_left[..., 0] > 100).sum()


@pytest.mark.parametrize(
    "points",
    [np.zeros((5, 2)), np.outer(np.arange(5.0), [1, 2]), np.full((5, 2), np.nan)],
)
def test_points_that_are_no_heads_are_refused(points: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="no view of a head"):
        turn_head(np.zeros((112, 112, 3), np.uint8), points, 0.5, draw())


def test_a_head_is_turned_further_to_the_side_that_it_looks_to() -> None:
    drawn = [drawn_yaw(FRONTAL, draw(seed)) for seed in range(200)]
    assert all(LEAST_YAW <= abs(yaw) <= LARGEST_YAW for yaw in drawn)
    assert 70 < sum(yaw > 0 for yaw in drawn) < 130
    photo = np.zeros((112, 112, 3), np.uint8)
    for side in (-1, 1):
        points = turn_head(photo, FRONTAL, side * 0.5, draw()).points
        assert all(np.sign(drawn_yaw(points, draw(seed))) == side for seed in range(20))


def test_light_is_contrast_about_grey_and_an_offset() -> None:
    faces = torch.full((1, 3, 112, 112), 147.5)
    assert relit(faces, torch.tensor([1.5]), torch.tensor([10.0]))[0, 0, 0, 0] == 167.5
    assert relit(faces, torch.tensor([9.0]), torch.tensor([200.0])).max() == 255


def test_the_first_two_views_are_the_face_and_its_mirror_image() -> None:
    faces = torch.randint(0, 256, (3, 3, 112, 112), dtype=torch.uint8)
    one, other = (views(faces, 4, draw(1)) for _ in range(2))
    assert torch.equal(one[0], faces.float())
    assert torch.equal(one[1], faces.float().flip(3))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[2], one[0])
    assert len(views(faces[:0], 4, draw())[3]) == 0
