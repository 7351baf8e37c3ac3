"""An embedder and the loss that it learns under, as one module that the engine trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from recognition.embed import normalise
from recognition.training.losses import (
    ArcFaceLoss,
    CentreLoss,
    SoftmaxCentreLoss,
    SoftmaxLoss,
    TripletLoss,
)
from recognition.training.mining import (
    Miner,
    RandomTriplets,
    all_triplets,
    hard_triplets,
    semi_hard_triplets,
)
from recognition.training.trainer import OwnRule

LossName = Literal["softmax", "centre", "triplet", "arcface"]
Mining = Literal["random", "hard", "semi-hard", "all"]

CENTRE_RATE = 0.5
"""Of class centres: the paper's alpha."""


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Which loss, and how strict.

    margin: of "triplet" in squared distance, of "arcface" in radians; None takes each one's own.
    mining: of "triplet".
    centre_weight: of "centre", the paper's lambda.
    scale: of "arcface": that of a hundred thousand people is 64, of few less.
    sub_centres: of "arcface", for each person.
    """

    loss: LossName = "arcface"
    margin: float | None = None
    mining: Mining = "semi-hard"
    centre_weight: float = 0.003
    scale: float = 32.0
    sub_centres: int = 1


MARGINS: Mapping[LossName, float] = {"triplet": 0.2, "arcface": 0.5}
"""As published."""


def miner(mining: Mining) -> Miner:
    """The miner of this name; what it draws comes from torch's own generator."""
    miners: dict[Mining, Miner] = {
        "random": RandomTriplets(torch.default_generator),
        "hard": hard_triplets,
        "semi-hard": semi_hard_triplets,
        "all": all_triplets,
    }
    return miners[mining]


def make_loss(settings: LossSettings, dimension: int, people: int) -> nn.Module:
    """The loss, with what it learns for each of so many people."""
    margin = settings.margin
    if margin is None:
        margin = MARGINS.get(settings.loss, 0.0)
    match settings.loss:
        case "softmax":
            return SoftmaxLoss(dimension, people)
        case "centre":
            return SoftmaxCentreLoss(dimension, people, settings.centre_weight)
        case "triplet":
            return TripletLoss(margin, miner(settings.mining))
        case "arcface":
            return ArcFaceLoss(
                dimension,
                people,
                margin=margin,
                scale=settings.scale,
                sub_centres=settings.sub_centres,
            )


class EmbeddingModel(nn.Module):
    """What the engine trains: a backbone, and the loss of its vectors."""

    def __init__(self, network: nn.Module, loss: nn.Module) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, faces: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The loss of a batch.

        Args:
            faces: (B, 3, 112, 112) uint8.
            labels: (B,) int64.
        """
        features: Tensor = self.network(normalise(faces.float()))
        with torch.autocast(features.device.type, enabled=False):
            # In 16 bits squared distances of near vectors would be rounding alone.
            loss: Tensor = self.loss(features.float(), labels)
        return {"loss": loss}

    def own_rules(self) -> list[OwnRule]:
        """Class centres move by their own rate."""
        centres = [module for module in self.loss.modules() if isinstance(module, CentreLoss)]
        return [OwnRule([one.centres], CENTRE_RATE) for one in centres]
