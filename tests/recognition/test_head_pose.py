"""A head's turn is read from its five points, in profile too; senseless points are no head."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recognition.align import TEMPLATE
from recognition.head_pose import HEAD, head_pose

MIRRORED = [1, 0, 2, 4, 3]  # left and right change places


def turned(yaw: float = 0, pitch: float = 0, roll: float = 0, size: float = 40) -> torch.Tensor:
    """(5, 2): the head seen from afar, turned about its axis, then raised, then leant; degrees."""
    y, p, r = (math.radians(angle) for angle in (-yaw, -pitch, roll))
    turn = torch.tensor([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    lift = torch.tensor([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    lean = torch.tensor([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return (torch.tensor(HEAD) @ (lean @ lift @ turn).T)[:, :2] * size + 100


def angles(points: torch.Tensor) -> list[float]:
    pose = head_pose(points[None].numpy())
    return [angle.item() for angle in (pose.yaw, pose.pitch, pose.roll)]


@pytest.mark.parametrize("yaw", [-85, -45, 0, 20, 60, 85, 90])
@pytest.mark.parametrize("pitch", [-40, 0, 25])
@pytest.mark.parametrize("roll", [-120, -20, 0, 35])
def test_a_turned_head_gives_its_angles(yaw: float, pitch: float, roll: float) -> None:
    assert angles(turned(yaw, pitch, roll)) == pytest.approx([yaw, pitch, roll], abs=0.1)


def test_the_nose_says_which_way() -> None:
    points = turned(30, 20)
    middle = turned().mean(0)
    assert points[2, 0] - points.mean(0)[0] > turned()[2, 0] - middle[0]  # to the right
    assert points[2, 1] - points.mean(0)[1] < turned()[2, 1] - middle[1]  # and up


def test_a_mirrored_head_is_turned_and_leant_the_other_way() -> None:
    mirrored = turned(40, 15, 10)[MIRRORED] * torch.tensor([-1.0, 1.0])
    assert angles(mirrored) == pytest.approx([-40, 15, -10], abs=0.1)


def test_size_is_the_eyes_distance_of_the_head_face_on() -> None:
    points = torch.stack([turned(yaw, size=37) for yaw in (0, 45, 80)])
    assert head_pose(points.numpy()).size.tolist() == pytest.approx([37, 37, 37], abs=0.05)
    assert (points[2, 1] - points[2, 0]).norm() < 10


def test_any_view_of_a_head_fits_and_other_points_do_not() -> None:
    mouth_beside = turned()
    mouth_beside[3:, 0] += 60
    nose_above = turned()
    nose_above[2, 1] -= 60
    misfit = head_pose(torch.stack([turned(50, 10, 5), mouth_beside, nose_above]).numpy()).misfit
    assert misfit[0] < 1e-3
    assert (misfit[1:] > 0.3).all()


def test_the_upright_portrait_looks_nearly_straight_ahead() -> None:
    assert max(abs(angle) for angle in angles(torch.tensor(TEMPLATE))) < 12


@pytest.mark.parametrize(
    "points",
    [
        torch.zeros(5, 2),
        torch.full((5, 2), math.nan),
        torch.full((5, 2), math.inf),
        torch.arange(5.0)[:, None].expand(5, 2),
    ],
    ids=["one place", "not numbers", "infinite", "a line"],
)
def test_senseless_points_are_no_head(points: torch.Tensor) -> None:
    pose = head_pose(torch.stack([points, turned(20)]).numpy())
    assert pose.sound.tolist() == [False, True]
    assert angles(points) == [0, 0, 0]
    assert pose.misfit[0] == 1
    assert pose.yaw[1] == pytest.approx(20, abs=0.1)


def test_a_head_alone_and_among_others_is_the_same() -> None:
    many = torch.stack([turned(yaw, yaw / 3, yaw / 2) for yaw in range(-80, 81, 10)])
    together = head_pose(many.numpy())
    alone = [head_pose(points[None].numpy()) for points in many]
    assert together.yaw.tolist() == pytest.approx([p.yaw.item() for p in alone], abs=1e-3)
    assert together.misfit.tolist() == pytest.approx([p.misfit.item() for p in alone], abs=1e-4)


def test_no_heads_give_no_poses() -> None:
    assert len(head_pose(np.zeros((0, 5, 2))).yaw) == 0
