"""The lesson on digits: what each loss makes of features, small enough to be seen.

A small network brings images of handwritten digits to two numbers, once under each loss, from the
same start and on the same batches of half of them. The other half is measured: how far features of
one digit lie apart, how far digits do, and how often comparing two features tells wrongly whether
they are the same digit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recognition.evaluate.metrics import det_curve, equal_error_rate
from recognition.training.batches import IdentityBatches
from recognition.training.digits import DIGITS, Digits
from recognition.training.losses import (
    ArcFaceLoss,
    CentreLoss,
    Loss,
    SoftmaxCentreLoss,
    SoftmaxLoss,
    TripletLoss,
)
from recognition.training.mining import semi_hard_triplets

CENTRE_WEIGHTS = (0.01, 0.1, 1.0, 10.0)
STEPS = 2_500
_IMAGES_EACH = 10  # of every digit in a batch
_RATE, _CENTRE_RATE = 2e-3, 0.5
_SCALE = 16.0  # of ArcFace: ten classes need less than a hundred thousand people
_EQUAL = 0.005  # accuracies that differ by less count as equal

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What one loss came to, on digits that it never saw.

    features: (N, 2), and what they are of, labels (N,).
    accuracy: of taking the digit whose training features have the nearest mean.
    within: mean distance of features to their digit's mean; within_squared of squared distances.
    between: mean distance between two digits' means; between_squared of squared ones.
    error: {"cosine", "distance"}: equal error rate of comparing two features by either.
    """

    name: str
    features: Floats
    labels: NDArray[np.int64]
    accuracy: float
    within: float
    between: float
    within_squared: float
    between_squared: float
    error: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """Scatter within classes over that between them, in squared distances (Fisher, 1936): the
        smaller, the better do distances tell digits apart."""
        return self.within_squared / self.between_squared


class DigitNet(nn.Module):
    """(N, 1, 8, 8) images to (N, 2) features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.PReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.PReLU(),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 64),
            nn.PReLU(),
            nn.Linear(64, 2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 8, 8) float32 -> (N, 2) float32."""
        features: Tensor = self.layers(images)
        return features


def losses() -> dict[str, Callable[[], Loss]]:
    """How each loss is made, by its name."""
    with_centres = {
        f"softmax + {weight:g} centre": _softmax_centre(weight) for weight in CENTRE_WEIGHTS
    }
    return {
        "softmax": lambda: SoftmaxLoss(2, DIGITS),
        **with_centres,
        "triplet, semi-hard": lambda: TripletLoss(0.5, semi_hard_triplets),
        "ArcFace": lambda: ArcFaceLoss(2, DIGITS, margin=0.3, scale=_SCALE),
    }


def _softmax_centre(weight: float) -> Callable[[], Loss]:
    return lambda: SoftmaxCentreLoss(2, DIGITS, weight)


def teach(
    learn: Digits,
    unseen: Digits,
    *,
    steps: int = STEPS,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Learnt]:
    """Train the network once under each loss, and measure it.

    Args:
        learn, unseen: to learn from, and to measure on.
        progress: told the name of each loss as its training begins.
    """
    found = []
    for name, make in losses().items():
        progress(name)
        torch.manual_seed(seed)  # the same start for all
        net = DigitNet()
        loss = make()
        _train(net, loss, learn, steps=steps, seed=seed)
        seen, features = _features(net, learn), _features(net, unseen)
        if isinstance(loss, TripletLoss | ArcFaceLoss):  # which only look at angles
            seen, features = _unit(seen), _unit(features)
        found.append(_measure(name, seen, learn, features, unseen))
    return found


def centre_loss_ratio_gain(learnt: Sequence[Learnt]) -> float | None:
    """By how much centre loss makes softmax's ratio smaller, where it is as accurate.

    None if it is nowhere as accurate.
    """
    softmax = next(one for one in learnt if one.name == "softmax")
    equals = [
        one
        for one in learnt
        if one.name.startswith("softmax +") and one.accuracy >= softmax.accuracy - _EQUAL
    ]
    return softmax.ratio / min(one.ratio for one in equals) if equals else None


def summarise(learnt: Sequence[Learnt]) -> dict[str, object]:
    """The figures, ready for JSON."""
    gain = centre_loss_ratio_gain(learnt)
    return {
        "centre_loss_ratio_gain": None if gain is None else round(gain, 2),
        "losses": {
            one.name: {
                "accuracy": round(one.accuracy, 4),
                "within": round(one.within, 4),
                "between": round(one.between, 4),
                "ratio": round(one.ratio, 5),
                "ratio_of_distances": round(one.within / one.between, 4),
                "equal_error_rate": {kind: round(rate, 4) for kind, rate in one.error.items()},
            }
            for one in learnt
        },
        "images": len(learnt[0].labels),
    }


def _train(net: DigitNet, loss: Loss, shown: Digits, *, steps: int, seed: int) -> None:
    own = list(loss.parameters()) if isinstance(loss, nn.Module) else []
    centres = loss.centre if isinstance(loss, SoftmaxCentreLoss) else None
    learnt = [value for value in own if centres is None or value is not centres.centres]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Adam([*net.parameters(), *learnt], lr=_RATE)
    ]
    if isinstance(centres, CentreLoss):
        optimizers.append(torch.optim.SGD(centres.parameters(), lr=_CENTRE_RATE))
    slowing = torch.optim.lr_scheduler.CosineAnnealingLR(optimizers[0], steps)
    generator = torch.Generator().manual_seed(seed)
    batches = IdentityBatches(shown.labels, people=DIGITS, images=_IMAGES_EACH, seed=seed)
    for step in range(steps):
        rows = batches.rows(step)
        value = loss(net(_moved(shown.images[rows], generator)), shown.labels[rows])
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(value)
        for optimizer in optimizers:
            optimizer.step()
        slowing.step()


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images turned, sized and shifted a little at random, as other hands would have drawn them."""
    chance = 2 * torch.rand(len(images), 4, generator=generator) - 1
    angle, size = 0.2 * chance[:, 0], 1 + 0.15 * chance[:, 1]
    cosine, sine = size * angle.cos(), size * angle.sin()
    transform = torch.stack(
        [cosine, -sine, 0.2 * chance[:, 2], sine, cosine, 0.2 * chance[:, 3]], 1
    )
    grid = functional.affine_grid(transform.view(-1, 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _features(net: DigitNet, shown: Digits) -> Floats:
    with torch.inference_mode():
        features: Tensor = net.eval()(shown.images)
    return features.double().numpy()


def _measure(name: str, seen: Floats, learn: Digits, features: Floats, unseen: Digits) -> Learnt:
    labels = unseen.labels.numpy()
    known = _means(seen, learn.labels.numpy())
    nearest = np.linalg.norm(features[:, None] - known, axis=2).argmin(1)
    means = _means(features, labels)
    one, other = np.triu_indices(DIGITS, 1)
    away = np.linalg.norm(features - means[labels], axis=1)
    apart = np.linalg.norm(means[one] - means[other], axis=1)
    return Learnt(
        name,
        features,
        labels,
        accuracy=float((nearest == labels).mean()),
        within=float(away.mean()),
        between=float(apart.mean()),
        within_squared=float(np.square(away).mean()),
        between_squared=float(np.square(apart).mean()),
        error=_errors(features, labels),
    )


def _errors(features: Floats, labels: NDArray[np.int64]) -> dict[str, float]:
    """Equal error rates of comparing every two features."""
    first, second = np.triu_indices(len(labels), 1)
    same = labels[first] == labels[second]
    unit = _unit(features)
    scores = {
        "cosine": (unit[first] * unit[second]).sum(1),
        "distance": -np.linalg.norm(features[first] - features[second], axis=1),
    }
    return {
        kind: equal_error_rate(det_curve(score[same], score[~same]))
        for kind, score in scores.items()
    }


def _means(features: Floats, labels: NDArray[np.int64]) -> Floats:
    return np.stack([features[labels == digit].mean(0) for digit in range(DIGITS)])


def _unit(features: Floats) -> Floats:
    unit: Floats = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    return unit
