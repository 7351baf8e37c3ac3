"""A network of the cascade together with what it is trained by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recognition.embed import normalise
from recognition.mtcnn import Mtcnn, OutputNet, ProposalNet, RefineNet
from recognition.training.cascade.samples import Samples
from recognition.training.cascade.task_losses import (
    HARD_SHARE,
    OUTPUT_WEIGHTS,
    PROPOSAL_WEIGHTS,
    REFINE_WEIGHTS,
    TaskWeights,
    box_loss,
    face_losses,
    hard_mean,
    of_kinds,
    points_loss,
)
from recognition.training.cascade.windows import Kind

STAGES = ("pnet", "rnet", "onet")
"""In the order in which they are trained; so they are called in `Mtcnn`, too."""

SIDES = {"pnet": 12, "rnet": 24, "onet": 48}
"""Of the windows that each sees, in pixels."""


_AT_ONCE = 512  # samples that are validated together


class Trainee(nn.Module):
    """A network and its losses.

    P- and R-Net learn the points as well, by a layer of their own that the cascade has no use for:
    what it teaches stays in the layers before it.

    Args:
        net: fresh, or to go on from.
        hard_share: see `task_losses.hard_mean`.
    """

    def __init__(
        self,
        net: ProposalNet | RefineNet | OutputNet,
        weights: TaskWeights,
        hard_share: float = HARD_SHARE,
    ) -> None:
        super().__init__()
        self.net = net
        self.weights = weights
        self.hard_share = hard_share
        if not isinstance(net, OutputNet):
            self.points = nn.Linear(32 if isinstance(net, ProposalNet) else 128, 10)

    def outputs(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, side, side) to logits (B, 2), regression (B, 4), points (B, 10).

        Logits, where the network itself gives probabilities: their logarithm is exact.
        """
        features = self.net.features(views)
        points = self.net.points if isinstance(self.net, OutputNet) else self.points
        logits, regression = self.net.face(features).flatten(1), self.net.box(features).flatten(1)
        return logits, regression, points(features.flatten(1))

    def forward(
        self, views: Tensor, kinds: Tensor, boxes: Tensor, places: Tensor
    ) -> dict[str, Tensor]:
        """The losses of a batch, "loss" being their weighted sum.

        Args:
            views: (B, 3, side, side) RGB, (v - 127.5) / 128.
            kinds: (B,) int64, of `Kind`.
            boxes, places: (B, 4), (B, 10): targets, in widths of the window; those of samples that
                take no part in the task are not looked at.
        """
        logits, regression, points = self.outputs(views)
        face = hard_mean(face_losses(logits, kinds), self.hard_share)
        box = box_loss(regression, boxes, kinds)
        placed = points_loss(points, places, kinds)
        total = self.weights.face * face + self.weights.box * box + self.weights.points * placed
        return {"loss": total, "face": face, "box": box, "points": placed}


def fresh_trainee(stage: str) -> Trainee:
    """A network of the cascade with random weights, and the paper's task weights."""
    if stage == "pnet":
        return Trainee(ProposalNet(), PROPOSAL_WEIGHTS)
    if stage == "rnet":
        return Trainee(RefineNet(), REFINE_WEIGHTS)
    return Trainee(OutputNet(), OUTPUT_WEIGHTS)


def put_into(net: Mtcnn, stage: str, trainee: Trainee) -> None:
    """Give the cascade what was trained, as it stands."""
    part: nn.Module = getattr(net, stage)
    part.load_state_dict(trainee.net.state_dict())


@torch.no_grad()
def validation_figures(trainee: Trainee, samples: Samples) -> dict[str, float]:
    """How well samples that it is not trained on are judged.

    loss: as in training, but of all samples, and on average over those of each task.
    faces, others: shares of positives and of negatives that are told right. box_error and
    points_error: mean error of a side, of a coordinate, in widths of the window.
    """
    device = next(trainee.parameters()).device
    parts = [
        trainee.outputs(normalise(views.float().to(device)))
        for views in torch.split(samples.views, _AT_ONCE)
    ]
    logits, regression, points = (torch.cat(found).cpu() for found in zip(*parts, strict=True))
    kinds, weights = samples.kinds, trainee.weights
    loss = (
        weights.face * face_losses(logits, kinds).mean()
        + weights.box * box_loss(regression, samples.boxes, kinds)
        + weights.points * points_loss(points, samples.places, kinds)
    )
    taken = logits[:, 1] > logits[:, 0]
    moved = of_kinds(kinds, Kind.POSITIVE, Kind.PART)
    marked = kinds == Kind.LANDMARK
    figures = {
        "loss": loss,
        "faces": taken[kinds == Kind.POSITIVE].float().mean(),
        "others": (~taken[kinds == Kind.NEGATIVE]).float().mean(),
        "box_error": (regression - samples.boxes)[moved].abs().mean(),
        "points_error": (points - samples.places)[marked].abs().mean(),
    }
    if not marked.any():
        del figures["points_error"]
    return {name: float(value) for name, value in figures.items()}
