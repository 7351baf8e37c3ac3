"""The losses of MTCNN's three tasks (Zhang et al., 2016, arXiv:1604.02878, section II.C).

A sample takes part in a task by its kind (the paper's beta): positives and negatives in telling
faces from others, positives and part faces in moving the box, landmark samples in the points. A
task without samples in a batch has a loss of 0, with a gradient of 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from recognition.training.cascade.windows import Kind

HARD_SHARE = 0.7
"""Of the samples of a batch, hardest first, those that telling faces is learnt from."""


@dataclass(frozen=True, slots=True)
class TaskWeights:
    """How much each task counts (the paper's alpha)."""

    face: float
    box: float
    points: float


PROPOSAL_WEIGHTS = TaskWeights(1, 0.5, 0.5)
REFINE_WEIGHTS = TaskWeights(1, 0.5, 0.5)
OUTPUT_WEIGHTS = TaskWeights(1, 0.5, 1)


def of_kinds(kinds: Tensor, *wanted: Kind) -> Tensor:
    """(B,) bool: which samples are of these kinds."""
    return torch.isin(kinds, torch.tensor(wanted, device=kinds.device))


def face_losses(logits: Tensor, kinds: Tensor) -> Tensor:
    """Cross-entropy of face or none (equation 1), one for each positive and negative.

    Args:
        logits: (B, 2): of no face, of a face.
        kinds: (B,) int64, of `Kind`.

    Returns:
        (K,), K the number of positives and negatives.
    """
    part = of_kinds(kinds, Kind.POSITIVE, Kind.NEGATIVE)
    labels = (kinds[part] == Kind.POSITIVE).long()
    return functional.cross_entropy(logits[part], labels, reduction="none")


def hard_mean(losses: Tensor, share: float = HARD_SHARE) -> Tensor:
    """Mean of the largest losses: online hard sample mining. The others get no gradient.

    Args:
        losses: (K,), one of each sample.
        share: of them that counts, above 0 and up to 1; at least one sample does.
    """
    if len(losses) == 0:
        return losses.sum()
    hardest, _ = losses.topk(max(1, round(share * len(losses))))
    return hardest.mean()


def box_loss(regression: Tensor, targets: Tensor, kinds: Tensor) -> Tensor:
    """Squared Euclidean distance to the face's box (equation 2), mean over positives and parts.

    Args:
        regression, targets: (B, 4), in widths of the window.
    """
    return _squared_distance(regression, targets, of_kinds(kinds, Kind.POSITIVE, Kind.PART))


def points_loss(points: Tensor, targets: Tensor, kinds: Tensor) -> Tensor:
    """Squared Euclidean distance to the points (equation 3), mean over landmark samples.

    Args:
        points, targets: (B, 10), in widths of the window.
    """
    return _squared_distance(points, targets, of_kinds(kinds, Kind.LANDMARK))


def _squared_distance(found: Tensor, targets: Tensor, part: Tensor) -> Tensor:
    # Indexed, not multiplied: targets of samples that take no part may be anything.
    apart = (found[part] - targets[part]).square().sum()
    return apart / part.sum().clamp(min=1)
