"""Losses under which features come to tell people apart.

Each is a module that is called with features (B, D), not yet of length 1, and labels (B,) int64,
and returns one number. Those that need more than features (class weights, class centres) own it as
parameters.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from recognition.training.mining import Miner, Triplets

SCALE = 64.0
"""Of cosines before the softmax, as ArcFace is published: unit vectors' own range is too narrow."""


class Loss(Protocol):
    """What a training step calls: (B, D) features, (B,) int64 labels to a scalar."""

    def __call__(self, features: Tensor, labels: Tensor) -> Tensor: ...


class SoftmaxLoss(nn.Module):
    """Cross-entropy of a linear classifier on the features.

    It only asks that classes can be parted by planes: within a class features may lie as far apart
    as between two, so distances of features say little about people it was not trained on.
    """

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dimension, classes)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean over the batch."""
        return functional.cross_entropy(self.classifier(features), labels)

    @torch.no_grad()
    def classify(self, features: Tensor) -> Tensor:
        """The likeliest class of each feature, (B,) int64."""
        logits: Tensor = self.classifier(features)
        return logits.argmax(1)


class CentreLoss(nn.Module):
    """Half the squared distance of features to their class's centre (Wen et al., 2016, ECCV).

    The centres are parameters whose gradient is the paper's own step, equation 4: for a class with
    n features in the batch, the sum of (centre - feature) divided by 1 + n. With plain gradient
    descent at the rate a a centre moves by a times that, however the loss is weighted beside others
    (`weighted`), so that small classes do not throw their centres about.
    """

    def __init__(self, dimension: int, classes: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(classes, dimension))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean over the batch."""
        return self.weighted(features, labels, 1.0)

    def weighted(self, features: Tensor, labels: Tensor, weight: float) -> Tensor:
        """The loss times a weight >= 0 (the paper's lambda), which the centres' step ignores."""
        loss: Tensor = _ToCentres.apply(features, self.centres, labels, weight)  # type: ignore[no-untyped-call]
        return loss


class _ToCentres(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, centres: Tensor, labels: Tensor, weight: float
    ) -> Tensor:
        away = features - centres[labels]
        ctx.save_for_backward(away, labels)
        ctx.classes, ctx.weight = len(centres), weight
        return weight * away.square().sum() / (2 * len(features))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        away, labels = ctx.saved_tensors
        classes, weight = ctx.classes, ctx.weight
        step = away.new_zeros((classes, away.shape[1])).index_add_(0, labels, -away)
        step /= 1 + torch.bincount(labels, minlength=classes)[:, None]
        return gradient * weight * away / len(away), gradient * step, None, None


class SoftmaxCentreLoss(nn.Module):
    """L_softmax + weight * L_centre: classes apart by the one, each together by the other."""

    def __init__(self, dimension: int, classes: int, weight: float) -> None:
        super().__init__()
        self.softmax = SoftmaxLoss(dimension, classes)
        self.centre = CentreLoss(dimension, classes)
        self.weight = weight

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean over the batch."""
        softmax: Tensor = self.softmax(features, labels)
        return softmax + self.centre.weighted(features, labels, self.weight)

    def classify(self, features: Tensor) -> Tensor:
        """The likeliest class of each feature, (B,) int64."""
        return self.softmax.classify(features)


class TripletLoss(nn.Module):
    """max(0, |a - p|^2 - |a - n|^2 + margin) on unit vectors (Schroff et al., 2015, FaceNet).

    Args:
        margin: by which somebody else must be farther than the same person, in squared distance,
            0..4.
        miner: which triplets of a batch count; see `recognition.training.mining`.
    """

    def __init__(self, margin: float, miner: Miner) -> None:
        super().__init__()
        self.margin, self.miner = margin, miner

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean over the triplets chosen; 0, with a gradient of 0, where there are none."""
        unit = functional.normalize(features)
        with torch.no_grad():
            triplets = self.miner(squared_distances(unit), labels)
        return triplet_loss(unit, triplets, self.margin)


def triplet_loss(unit: Tensor, triplets: Triplets, margin: float) -> Tensor:
    """Mean of max(0, |a - p|^2 - |a - n|^2 + margin) over the triplets.

    Args:
        unit: (B, D), each of length 1.
        triplets: (T, 3) int64, rows of anchor, positive and negative. None of them give 0.
    """
    anchor, positive, negative = (unit[rows] for rows in triplets.unbind(1))
    nearer = (anchor - positive).square().sum(1)
    farther = (anchor - negative).square().sum(1)
    return (nearer - farther + margin).relu().sum() / max(1, len(triplets))


def squared_distances(unit: Tensor) -> Tensor:
    """(B, D) unit vectors to (B, B), 0..4."""
    return (2 - 2 * unit @ unit.T).clamp(min=0)


class ArcFaceLoss(nn.Module):
    """Softmax of scaled cosines, the own class's angle made larger by a margin.

    Deng et al., 2019 (arXiv:1801.07698); with several sub-centres for a class (Deng et al., 2020,
    ECCV, "Sub-center ArcFace") the nearest counts, so that wrong labels gather at one of their own.

    Args:
        margin: in radians, 0..pi/2; with 0 it is the scaled softmax of cosines.
        sub_centres: for each class, at least 1.
    """

    def __init__(
        self,
        dimension: int,
        classes: int,
        *,
        margin: float = 0.5,
        scale: float = SCALE,
        sub_centres: int = 1,
    ) -> None:
        super().__init__()
        self.margin, self.scale = margin, scale
        self.weights = nn.Parameter(torch.empty(sub_centres, classes, dimension))
        nn.init.xavier_normal_(self.weights)

    def cosines(self, features: Tensor) -> Tensor:
        """(B, classes): of each feature with each class's nearest sub-centre."""
        unit = functional.normalize(features)
        to_each: Tensor = torch.einsum(
            "bd,scd->bsc", unit, functional.normalize(self.weights, dim=2)
        )
        return to_each.amax(1)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Mean over the batch."""
        cosines = self.cosines(features)
        rows = torch.arange(len(labels), device=labels.device)
        own = cosines[rows, labels]
        logits = cosines.index_put((rows, labels), self._with_margin(own))
        return functional.cross_entropy(self.scale * logits, labels)

    def _with_margin(self, own: Tensor) -> Tensor:
        """cos(angle + margin), carried on in a straight line where that would rise again."""
        sine = (1 - own.square()).clamp(min=1e-12).sqrt()
        widened = own * math.cos(self.margin) - sine * math.sin(self.margin)
        beyond = own - self.margin * math.sin(self.margin)
        return torch.where(own > -math.cos(self.margin), widened, beyond)

    @torch.no_grad()
    def classify(self, features: Tensor) -> Tensor:
        """The nearest class of each feature, (B,) int64."""
        return self.cosines(features).argmax(1)
