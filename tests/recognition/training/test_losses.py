"""Each loss beside its formula written as a loop, and what must hold for it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recognition.training.losses import (
    ArcFaceLoss,
    CentreLoss,
    Loss,
    SoftmaxCentreLoss,
    SoftmaxLoss,
    TripletLoss,
    triplet_loss,
)
from recognition.training.mining import all_triplets, hard_triplets, semi_hard_triplets


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(3)


def features(count: int = 8, dimension: int = 3) -> Tensor:
    return torch.randn(count, dimension, dtype=torch.float64, requires_grad=True)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])


def losses() -> dict[str, Loss]:
    return {
        "softmax": SoftmaxLoss(3, 4).double(),
        "triplet, all": TripletLoss(0.2, all_triplets).double(),
        "triplet, hard": TripletLoss(0.2, hard_triplets).double(),
        "triplet, semi-hard": TripletLoss(0.2, semi_hard_triplets).double(),
        "ArcFace": ArcFaceLoss(3, 4, scale=8.0).double(),
        "ArcFace, sub-centres": ArcFaceLoss(3, 4, scale=8.0, sub_centres=3).double(),
        "centre": CentreLoss(3, 4).double(),
        "softmax and centre": SoftmaxCentreLoss(3, 4, 0.3).double(),
    }


@pytest.mark.parametrize("name", losses())
def test_the_gradient_to_the_features_is_the_losss_own(name: str) -> None:
    loss = losses()[name]
    assert torch.autograd.gradcheck(lambda x: loss(x, LABELS), features())


@pytest.mark.parametrize("name", ["softmax", "ArcFace", "ArcFace, sub-centres"])
def test_the_gradient_to_the_class_weights_is_the_losss_own(name: str) -> None:
    loss = losses()[name]
    assert isinstance(loss, torch.nn.Module)
    x = features().detach()
    names = [name for name, _ in loss.named_parameters()]

    def of_weights(*values: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(
            loss, dict(zip(names, values, strict=True)), (x, LABELS)
        )
        return found

    values = [value.detach().clone().requires_grad_() for value in loss.parameters()]
    assert torch.autograd.gradcheck(of_weights, values)


@pytest.mark.parametrize("name", losses())
def test_a_batch_of_one_person_has_a_finite_loss_and_gradient(name: str) -> None:
    x = features(2)
    loss = losses()[name](x, torch.tensor([1, 1]))
    torch.autograd.backward(loss)
    assert loss.isfinite()
    assert x.grad is not None
    assert x.grad.isfinite().all()


class TestSoftmax:
    def test_it_is_the_mean_of_minus_log_the_own_classs_share(self) -> None:
        loss = SoftmaxLoss(3, 4).double()
        x = features()
        weight, bias = loss.classifier.weight.detach(), loss.classifier.bias.detach()
        total = 0.0
        for row, label in zip(x.detach(), LABELS.tolist(), strict=True):
            logits = [float(weight[c] @ row + bias[c]) for c in range(4)]
            total -= logits[label] - math.log(sum(math.exp(logit) for logit in logits))
        assert loss(x, LABELS).item() == pytest.approx(total / len(LABELS))


class TestTriplet:
    def test_it_is_the_mean_over_the_triplets_of_what_is_missing_to_the_margin(self) -> None:
        x = functional.normalize(features())
        triplets = all_triplets(torch.zeros(8, 8), LABELS)
        total = 0.0
        for a, p, n in triplets.tolist():
            nearer, farther = ((x[a] - x[other]).square().sum() for other in (p, n))
            total += max(0.0, (nearer - farther).item() + 0.4)
        assert triplet_loss(x, triplets, 0.4).item() == pytest.approx(total / len(triplets))

    def test_it_is_zero_without_a_pull_once_everybody_is_far_enough_apart(self) -> None:
        x = torch.eye(3)[LABELS].requires_grad_()  # people at right angles: distances 0 and 2
        for miner in (all_triplets, hard_triplets, semi_hard_triplets):
            loss = TripletLoss(1.9, miner)(x, LABELS)
            torch.autograd.backward(loss)
            assert loss.item() == 0
            assert x.grad is not None
            assert not x.grad.any()

    def test_a_margin_of_more_than_their_distance_leaves_a_loss(self) -> None:
        assert TripletLoss(2.5, all_triplets)(torch.eye(3)[LABELS], LABELS).item() > 0

    def test_the_length_of_features_does_not_count(self) -> None:
        x = features()
        loss = TripletLoss(0.2, semi_hard_triplets)
        assert loss(x, LABELS).item() == pytest.approx(loss(7 * x, LABELS).item())

    def test_turning_all_features_changes_nothing(self) -> None:
        x = features()
        turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
        loss = TripletLoss(0.2, hard_triplets)
        assert loss(x, LABELS).item() == pytest.approx(loss(x @ turn, LABELS).item())


class TestCentre:
    def test_it_is_half_the_mean_squared_distance_to_the_own_centre(self) -> None:
        loss = CentreLoss(3, 4).double()
        torch.nn.init.normal_(loss.centres)
        x = features()
        expected = sum(
            (row - loss.centres[label]).square().sum().item()
            for row, label in zip(x, LABELS.tolist(), strict=True)
        ) / (2 * len(LABELS))
        assert loss(x, LABELS).item() == pytest.approx(expected)

    @pytest.mark.parametrize("weight", [1.0, 0.003])
    def test_a_step_moves_the_centres_as_the_paper_says(self, weight: float) -> None:
        loss = CentreLoss(3, 4).double()
        torch.nn.init.normal_(loss.centres)
        before, x, rate = loss.centres.detach().clone(), features(), 0.5
        optimizer = torch.optim.SGD([loss.centres], lr=rate)
        torch.autograd.backward(loss.weighted(x, LABELS, weight))
        optimizer.step()
        for label in range(4):
            own = [row.detach() for row, of in zip(x, LABELS, strict=True) if of == label]
            step = sum((before[label] - row for row in own), torch.zeros(3).double())
            expected = before[label] - rate * step / (1 + len(own))
            torch.testing.assert_close(loss.centres[label].detach(), expected)

    def test_a_class_that_is_not_in_the_batch_stays_where_it_is(self) -> None:
        loss = CentreLoss(3, 4).double()
        torch.autograd.backward(loss(features(), LABELS))
        assert loss.centres.grad is not None
        assert not loss.centres.grad[3].any()

    def test_a_weight_of_zero_leaves_the_softmax_alone(self) -> None:
        both = SoftmaxCentreLoss(3, 4, 0.0).double()
        x = features()
        assert both(x, LABELS).item() == pytest.approx(both.softmax(x, LABELS).item())


class TestArcFace:
    def test_without_a_margin_it_is_the_scaled_softmax_of_cosines(self) -> None:
        loss = ArcFaceLoss(3, 4, margin=0.0, scale=16.0).double()
        x = features()
        cosines = functional.normalize(x) @ functional.normalize(loss.weights[0]).T
        expected = functional.cross_entropy(16 * cosines, LABELS)
        torch.testing.assert_close(loss(x, LABELS), expected)

    def test_the_margin_is_added_to_the_angle_to_the_own_class(self) -> None:
        loss = ArcFaceLoss(3, 4, margin=0.3, scale=16.0).double()
        x = features()
        total = 0.0
        for row, label in zip(x.detach(), LABELS.tolist(), strict=True):
            cosines = [
                functional.cosine_similarity(row, loss.weights[0, c], 0).item() for c in range(4)
            ]
            angle = math.acos(cosines[label])
            assert angle + 0.3 < math.pi
            logits = [16 * cosine for cosine in cosines]
            logits[label] = 16 * math.cos(angle + 0.3)
            total -= logits[label] - math.log(sum(math.exp(logit) for logit in logits))
        assert loss(x, LABELS).item() == pytest.approx(total / len(LABELS))

    def test_a_larger_angle_never_costs_less_even_behind_the_class(self) -> None:
        loss = ArcFaceLoss(2, 2, margin=0.5, scale=8.0).double()
        loss.weights.data = torch.tensor([[[1.0, 0.0], [0.0, -1.0]]]).double()
        angles = torch.linspace(0, math.pi, 400, dtype=torch.float64)
        x = torch.stack([angles.cos(), angles.sin()], 1)
        own = loss._with_margin(loss.cosines(x)[:, 0].clamp(-1, 1))
        apart = torch.diff(own)
        assert (apart < 0).sum() >= len(apart) - 1  # the two pieces may meet with a jump

    def test_the_nearest_sub_centre_counts(self) -> None:
        loss = ArcFaceLoss(3, 4, sub_centres=2).double()
        x = features()
        one, other = (
            functional.normalize(x) @ functional.normalize(weights).T for weights in loss.weights
        )
        torch.testing.assert_close(loss.cosines(x), torch.maximum(one, other))

    def test_a_feature_right_on_its_class_has_a_finite_gradient(self) -> None:
        loss = ArcFaceLoss(3, 4).double()
        x = loss.weights[0].detach().clone().requires_grad_()
        torch.autograd.backward(loss(x, torch.arange(4)))
        assert x.grad is not None
        assert x.grad.isfinite().all()
