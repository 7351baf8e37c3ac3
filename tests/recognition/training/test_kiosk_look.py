"""Faces are changed as cameras would, by the generator alone, and stay faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from recognition.align import TEMPLATE
from recognition.training.kiosk_look import (
    CHANGES,
    against_the_light,
    as_seen_by_a_kiosk,
    behind_a_hand,
    compressed,
    masked,
    mirror,
    moved,
    out_of_focus,
    small,
    too_dark,
)
from recognition.types import Pixels


def face(seed: int = 0) -> Pixels:
    """A bright pattern with detail of all sizes."""
    random = np.random.default_rng(seed)
    coarse = cv2.resize(random.integers(60, 256, (9, 9, 3)).astype(np.uint8), (112, 112))
    fine = random.integers(0, 30, (112, 112, 3))
    return np.asarray(np.clip(coarse + fine - 15, 0, 255), np.uint8)


def detail(image: Pixels) -> float:
    """Variance of the differences of neighbours."""
    values = image.astype(float)
    return float(np.diff(values, axis=0).var() + np.diff(values, axis=1).var())


def generators(count: int = 20) -> list[np.random.Generator]:
    return [np.random.default_rng(number) for number in range(count)]


@pytest.mark.parametrize("name", CHANGES)
class TestEveryChange:
    def test_it_gives_a_picture_of_the_same_kind_and_leaves_its_own_alone(self, name: str) -> None:
        before = face()
        for random in generators():
            after = CHANGES[name][0](before, random)
            assert after.shape == (112, 112, 3)
            assert after.dtype == np.uint8
            assert after.flags.c_contiguous
        assert np.array_equal(before, face())

    def test_it_is_the_same_by_the_same_generator(self, name: str) -> None:
        change = CHANGES[name][0]
        one, other = (change(face(), np.random.default_rng(5)) for _ in range(2))
        assert np.array_equal(one, other)

    def test_it_changes_something(self, name: str) -> None:
        assert not np.array_equal(CHANGES[name][0](face(), np.random.default_rng(1)), face())

    def test_black_and_white_pictures_are_no_trouble(self, name: str) -> None:
        for value in (0, 255):
            flat = np.full((112, 112, 3), value, np.uint8)
            for random in generators(5):
                CHANGES[name][0](flat, random)


def test_a_mirrors_mirror_is_the_face() -> None:
    random = np.random.default_rng(0)
    assert np.array_equal(mirror(mirror(face(), random), random), face())


@pytest.mark.parametrize("change", [out_of_focus, moved, small])
def test_blur_motion_and_distance_take_detail_and_leave_the_light(change: object) -> None:
    for random in generators():
        after = change(face(), random)  # type: ignore[operator]
        assert detail(after) < 0.9 * detail(face())
        assert after.mean() == pytest.approx(face().mean(), abs=2)


def test_motion_smears_along_one_direction() -> None:
    spot = np.zeros((112, 112, 3), np.uint8)
    spot[56, 56] = 255
    for random in generators():
        rows, columns = np.nonzero(moved(spot, random)[:, :, 0])
        spread = np.linalg.eigvalsh(np.cov(rows, columns))
        assert spread[1] > 4 * spread[0]


def test_jpeg_leaves_what_a_jpeg_leaves() -> None:
    for random in generators():
        difference = np.abs(compressed(face(), random).astype(int) - face()).mean()
        assert 1 < difference < 25


def test_a_dark_face_is_dark_and_noisy() -> None:
    flat = np.full((112, 112, 3), 180, np.uint8)
    for random in generators():
        after = too_dark(flat, random)
        assert after.mean() < 0.55 * 180
        assert after.std() > 1


def test_against_the_light_the_face_is_dark_and_its_surroundings_bright() -> None:
    for random in generators():
        after = against_the_light(face(), random)
        assert after[50:70, 45:67].mean() < 0.75 * face()[50:70, 45:67].mean()
        assert after[:6, :6].mean() > 200


def test_a_mask_covers_the_mouth_and_leaves_the_eyes() -> None:
    def around(image: Pixels, point: tuple[float, float]) -> Pixels:
        x, y = (round(value) for value in point)
        return image[y - 3 : y + 4, x - 3 : x + 4]

    for random in generators():
        after = masked(face(), random)
        for eye in TEMPLATE[:2]:
            change = around(after, eye).astype(int) - around(face(), eye)
            assert np.abs(change).mean() < 2
        for corner in TEMPLATE[3:]:
            assert detail(around(after, corner)) < detail(around(face(), corner)) / 2


def test_a_hand_comes_from_outside_and_covers_a_part() -> None:
    for random in generators(40):
        covered = (behind_a_hand(face(), random) != face()).any(2)
        assert 0.03 < covered.mean() < 0.6
        edge = np.concatenate([covered[0], covered[-1], covered[:, 0], covered[:, -1]])
        assert edge.any()


class TestAsSeenByAKiosk:
    def test_one_generator_gives_one_picture(self) -> None:
        one, other = (as_seen_by_a_kiosk(face(), np.random.default_rng(9)) for _ in range(2))
        assert np.array_equal(one, other)

    def test_some_faces_stay_as_they_are_but_for_the_mirror(self) -> None:
        unchanged = [face().tobytes(), np.ascontiguousarray(face()[:, ::-1]).tobytes()]
        seen = [as_seen_by_a_kiosk(face(), random).tobytes() for random in generators(200)]
        assert 0.2 < np.mean([picture in unchanged for picture in seen]) < 0.5
