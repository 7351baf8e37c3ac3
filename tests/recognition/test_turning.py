"""Pictures turned in software: a head's relief turns, a flat print does not, however it is held."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.challenge import RAISE, TURN
from recognition.evaluate.turning import FLAT, Surface, as_at_a_kiosk, bent, projected, turned
from recognition.evaluate.turning import HEAD as HEAD_SURFACE
from recognition.head_pose import HEAD, head_pose

FACE = np.array(HEAD)
POINTS = (FACE[:, :2] * 60 + 180).astype(np.float32)


def pose_of(surface: Surface, yaw: float, pitch: float, distance: float) -> tuple[float, float]:
    x, y = projected(
        FACE[:, 0], FACE[:, 1], surface, math.radians(yaw), math.radians(pitch), distance
    )
    pose = head_pose(np.stack([x, y], axis=1)[None])
    return float(pose.yaw[0]), float(pose.pitch[0])


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (25, 0), (-25, 0), (0, 20), (15, 15)])
def test_a_heads_relief_turns_as_it_is_turned(yaw: float, pitch: float) -> None:
    found = pose_of(HEAD_SURFACE, yaw, pitch, distance=1000)
    assert found == pytest.approx((yaw, pitch), abs=6)


@given(yaw=st.floats(-70, 70), pitch=st.floats(-70, 70))
def test_from_afar_a_flat_print_never_turns(yaw: float, pitch: float) -> None:
    assert pose_of(FLAT, yaw, pitch, distance=1e6) == pytest.approx((0, 0), abs=0.1)


@given(matrix=st.lists(st.floats(-3, 3), min_size=4, max_size=4), yaw=st.floats(-40, 40))
def test_no_stretching_of_a_picture_changes_yaw_or_pitch(matrix: list[float], yaw: float) -> None:
    warp = np.array(matrix).reshape(2, 2)
    if np.linalg.det(warp) < 0.2 or np.linalg.cond(warp) > 10:
        return
    x, y = projected(FACE[:, 0], FACE[:, 1], HEAD_SURFACE, math.radians(yaw), 0.1, 1e6)
    points = np.stack([x, y], axis=1)
    before, after = head_pose(points[None]), head_pose((points @ warp.T)[None])
    assert after.yaw[0] == pytest.approx(before.yaw[0], abs=0.1)
    assert after.pitch[0] == pytest.approx(before.pitch[0], abs=0.1)


@pytest.mark.parametrize("degrees", [20, 40, 60])
def test_at_half_a_metre_a_flat_print_turns_less_than_is_asked(degrees: float) -> None:
    for sign in (-1, 1):
        assert abs(pose_of(FLAT, sign * degrees, 0, 8)[0]) < TURN
        assert abs(pose_of(FLAT, 0, sign * degrees, 8)[1]) < RAISE


def test_a_print_turns_the_more_the_tighter_it_is_bent() -> None:
    yaws = [pose_of(bent(radius), 40, 0, 1e6)[0] for radius in (8.0, 2.0, 1.2, 0.8)]
    assert yaws == sorted(yaws)
    assert yaws[-1] > 10


def test_a_picture_that_is_not_turned_stays_as_it_is() -> None:
    dice = np.random.default_rng(0)
    smooth = np.kron(dice.integers(0, 255, (12, 12, 3)), np.ones((30, 30, 1))).astype(np.uint8)
    assert np.array_equal(turned(smooth, POINTS, FLAT, yaw=0, pitch=0, distance=8), smooth)


def test_a_face_is_cut_to_the_size_it_has_before_a_kiosk() -> None:
    large = np.zeros((1200, 900, 3), np.uint8)
    cut, points = as_at_a_kiosk(large, (FACE[:, :2] * 200 + 450).astype(np.float32))
    assert cut.shape == (360, 360, 3)
    assert points.mean(0) == pytest.approx([180, 180], abs=0.5)
    assert points[1, 0] - points[0, 0] == pytest.approx(60, abs=0.5)
