"""The three tasks' losses beside plain loops, who takes part, and which samples count as hard."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recognition.training.cascade.task_losses import (
    box_loss,
    face_losses,
    hard_mean,
    points_loss,
)
from recognition.training.cascade.trainee import STAGES, fresh_trainee
from recognition.training.cascade.windows import Kind

KINDS = torch.tensor(
    [Kind.NEGATIVE, Kind.POSITIVE, Kind.PART, Kind.LANDMARK, Kind.NEGATIVE, Kind.POSITIVE]
)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(3)


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_face_losses_are_the_cross_entropies_of_positives_and_negatives() -> None:
    logits = values(6, 2)
    expected = []
    for row, kind in zip(logits.tolist(), KINDS.tolist(), strict=True):
        if kind in (Kind.POSITIVE, Kind.NEGATIVE):
            p = math.exp(row[1]) / (math.exp(row[0]) + math.exp(row[1]))
            y = 1 if kind == Kind.POSITIVE else 0
            expected.append(-(y * math.log(p) + (1 - y) * math.log(1 - p)))
    assert face_losses(logits, KINDS).tolist() == pytest.approx(expected)


def test_a_network_that_is_surely_wrong_has_a_finite_loss() -> None:
    losses = face_losses(torch.tensor([[1e4, -1e4]]), torch.tensor([Kind.POSITIVE]))
    assert losses.tolist() == [2e4]


@pytest.mark.parametrize("task", [(box_loss, 4, (1, 2, 5)), (points_loss, 10, (3,))])
def test_a_distance_is_the_mean_over_those_who_take_part(task: tuple) -> None:
    loss, width, taking_part = task
    found, targets = values(6, width), values(6, width)
    expected = sum(
        sum((a - b) ** 2 for a, b in zip(found[n].tolist(), targets[n].tolist(), strict=True))
        for n in taking_part
    ) / len(taking_part)
    assert loss(found, targets, KINDS).item() == pytest.approx(expected)


@pytest.mark.parametrize("task", [(box_loss, 4, {1, 2, 5}), (points_loss, 10, {3})])
def test_only_who_takes_part_gets_a_gradient(task: tuple) -> None:
    loss, width, taking_part = task
    found, targets = values(6, width), torch.zeros(6, width, dtype=torch.float64)
    torch.autograd.backward(loss(found, targets, KINDS))
    assert found.grad is not None
    assert set(found.grad.abs().sum(1).nonzero()[:, 0].tolist()) == taking_part


def test_targets_of_samples_that_take_no_part_may_be_anything() -> None:
    found = values(6, 10)
    targets = torch.full((6, 10), math.nan, dtype=torch.float64)
    targets[3] = 0
    loss = points_loss(found, targets, KINDS)
    torch.autograd.backward(loss)
    assert loss.isfinite()
    assert found.grad is not None
    assert found.grad.isfinite().all()


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (2, 1), (3, 2), (10, 7), (50, 35), (100, 70)])
def test_seventy_percent_of_the_samples_are_hard(count: int, kept: int) -> None:
    losses = torch.rand(count, dtype=torch.float64, requires_grad=True)
    hardest = sorted(losses.tolist(), reverse=True)[:kept]
    loss = hard_mean(losses)
    assert loss.item() == pytest.approx(sum(hardest) / kept)
    torch.autograd.backward(loss)
    assert losses.grad is not None
    for value, gradient in zip(losses.tolist(), losses.grad.tolist(), strict=True):
        assert gradient == pytest.approx(1 / kept if value in hardest else 0)


def test_with_a_share_of_all_every_sample_counts() -> None:
    losses = torch.rand(9, dtype=torch.float64)
    assert hard_mean(losses, 1.0).item() == pytest.approx(losses.mean().item())


def test_gradients_are_the_losses_own() -> None:
    targets, places = values(6, 4).detach(), values(6, 10).detach()
    assert torch.autograd.gradcheck(lambda x: hard_mean(face_losses(x, KINDS)), values(6, 2))
    assert torch.autograd.gradcheck(lambda x: box_loss(x, targets, KINDS), values(6, 4))
    assert torch.autograd.gradcheck(lambda x: points_loss(x, places, KINDS), values(6, 10))


def test_a_batch_without_samples_of_a_task_has_a_loss_of_zero_with_a_gradient() -> None:
    logits, boxes, points = values(2, 2), values(2, 4), values(2, 10)
    none = torch.tensor([Kind.LANDMARK, Kind.LANDMARK])
    loss = hard_mean(face_losses(logits, none)) + box_loss(boxes, boxes.detach(), none)
    loss = loss + points_loss(points, points.detach(), torch.tensor([Kind.PART, Kind.PART]))
    torch.autograd.backward(loss)
    assert loss.item() == 0
    for x in (logits, boxes, points):
        assert x.grad is not None
        assert not x.grad.any()


@pytest.mark.parametrize(
    ("stage", "weights"), [("pnet", (1, 0.5, 0.5)), ("rnet", (1, 0.5, 0.5)), ("onet", (1, 0.5, 1))]
)
def test_the_tasks_count_as_in_the_paper(stage: str, weights: tuple[float, ...]) -> None:
    side = {"pnet": 12, "rnet": 24, "onet": 48}[stage]
    trainee = fresh_trainee(stage)
    losses = trainee(torch.randn(6, 3, side, side), KINDS, torch.rand(6, 4), torch.rand(6, 10))
    parts = [losses[name].item() for name in ("face", "box", "points")]
    expected = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    assert losses["loss"].item() == pytest.approx(expected)
    assert all(part > 0 for part in parts)


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_trained_is_what_the_cascade_runs(stage: str) -> None:
    side = {"pnet": 12, "rnet": 24, "onet": 48}[stage]
    trainee = fresh_trainee(stage).eval()
    views = torch.randn(5, 3, side, side)
    logits, regression, points = trainee.outputs(views)
    probability, moves, *more = trainee.net(views)
    torch.testing.assert_close(probability.flatten(), logits.softmax(1)[:, 1])
    torch.testing.assert_close(moves.flatten(1), regression)
    if more:
        torch.testing.assert_close(more[0], points)


@pytest.mark.parametrize("stage", STAGES)
def test_every_weight_learns(stage: str) -> None:
    side = {"pnet": 12, "rnet": 24, "onet": 48}[stage]
    trainee = fresh_trainee(stage)
    views = torch.randn(6, 3, side, side)
    trainee(views, KINDS, torch.rand(6, 4), torch.rand(6, 10))["loss"].backward()
    for name, value in trainee.named_parameters():
        assert value.grad is not None, name
        assert value.grad.any(), name
