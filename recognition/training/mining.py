"""Which triplets of a batch a triplet loss is computed from.

A batch holds P people with K images each (`recognition.training.batches`). A triplet is an anchor,
another image of its person (positive) and an image of somebody else (negative): rows of the batch.
Miners take squared distances (B, B) and labels (B,), and return triplets (T, 3) int64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Triplets = Tensor
Miner = Callable[[Tensor, Tensor], Triplets]


def all_triplets(distances: Tensor, labels: Tensor) -> Triplets:
    """Every triplet there is: P * K * (K - 1) * (P - 1) * K of them, most soon without a loss."""
    same, other = _relations(labels)
    return (same[:, :, None] & other[:, None, :]).nonzero()


@dataclass(frozen=True, slots=True, eq=False)
class RandomTriplets:
    """Every pair of anchor and positive, with somebody else drawn at random.

    Most of those drawn are far away already: the loss falls quickly and then teaches little.
    """

    generator: torch.Generator

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        same, other = _relations(labels)
        anchor, positive = same.nonzero(as_tuple=True)
        chance = torch.rand(other.shape, generator=self.generator).to(other.device)
        drawn = torch.where(other, chance, -1.0)
        return _with_negatives(anchor, positive, drawn[anchor].argmax(1), other)


def hard_triplets(distances: Tensor, labels: Tensor) -> Triplets:
    """For each anchor the farthest positive and the nearest negative ("batch hard").

    Hermans et al., 2017 (arXiv:1703.07737). Learns fastest of what is confused, and from wrong
    labels; from the start it can pull all features into one point.
    """
    same, other = _relations(labels)
    positive = torch.where(same, distances, -torch.inf).argmax(1)
    negative = torch.where(other, distances, torch.inf).argmin(1)
    anchor = same.any(1).nonzero()[:, 0]
    return _with_negatives(anchor, positive[anchor], negative[anchor], other)


def semi_hard_triplets(distances: Tensor, labels: Tensor) -> Triplets:
    """For each pair of anchor and positive the nearest negative that is farther than the positive.

    Schroff et al., 2015 (arXiv:1503.03832), section 3.2. It may lie within the margin or beyond,
    where it costs nothing. Where all negatives are nearer than the positive the farthest is taken.
    """
    same, other = _relations(labels)
    anchor, positive = same.nonzero(as_tuple=True)
    between, possible = distances[anchor], other[anchor]
    farther = possible & (between > distances[anchor, positive][:, None])
    nearest = torch.where(farther, between, torch.inf).argmin(1)
    farthest = torch.where(possible, between, -torch.inf).argmax(1)
    negative = torch.where(farther.any(1), nearest, farthest)
    return _with_negatives(anchor, positive, negative, other)


def _relations(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(B, B) bool each: another image of the same person; an image of somebody else."""
    same = labels[:, None] == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def _with_negatives(anchor: Tensor, positive: Tensor, negative: Tensor, other: Tensor) -> Triplets:
    """The triplets whose negative is one: a batch of one person has none."""
    triplets = torch.stack([anchor, positive, negative], 1)
    return triplets[other[anchor, negative]]
