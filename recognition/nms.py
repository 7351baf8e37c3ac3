"""Greedy non-maximum suppression in plain torch, for many groups of boxes at once."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Overlap = Literal["union", "smaller"]


def suppress(
    boxes: Tensor,
    scores: Tensor,
    group: Tensor,
    *,
    threshold: float,
    overlap: Overlap = "union",
    most: int | None = None,
) -> Tensor:
    """Indices of the boxes that no better kept box of their group overlaps too much.

    The greedy rule: from the best score down, a box is kept unless its overlap with a kept one
    exceeds the threshold. Equal scores keep their order.

    Args:
        boxes: (N, 4), x1, y1, x2, y2.
        scores: (N,).
        group: (N,) int64 >= 0; boxes of different groups never meet.
        threshold: of the overlap, 0..1.
        overlap: intersection over the union of both areas, or over the smaller area.
        most: how many boxes of a group are looked at, the best ones; None for all.

    Returns:
        (K,) int64, sorted by group, then by falling score.
    """
    if len(boxes) == 0:
        return group.new_zeros(0)
    order = scores.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    row = group[order]
    counts = torch.bincount(row)
    column = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[row]
    if most is not None:
        within = column < most
        order, row, column = order[within], row[within], column[within]
        counts = counts.clamp(max=most)
    padded = boxes.new_zeros((len(counts), int(counts.max()), 4))
    padded[row, column] = boxes[order]
    return order[_greedy(padded, threshold, overlap)[row, column]]


def _greedy(boxes: Tensor, threshold: float, overlap: Overlap) -> Tensor:
    """(G, K, 4), best first, to (G, K) bool.

    Whether a box is kept depends only on better ones, so repeating "kept unless a kept one
    overlaps" for all at once reaches the greedy answer; it is there when nothing changes.
    """
    beaten_by = (_overlaps(boxes, overlap) > threshold).triu(1)  # [g, i, j]: i is better than j
    kept = boxes.new_ones(boxes.shape[:2], dtype=torch.bool)
    while True:
        following = ~(beaten_by & kept[:, :, None]).any(1)
        if torch.equal(following, kept):
            return kept
        kept = following


def _overlaps(boxes: Tensor, overlap: Overlap) -> Tensor:
    """(G, K, 4) to (G, K, K). Empty boxes overlap nothing."""
    left, top, right, bottom = boxes.unbind(-1)
    width = torch.minimum(right[:, :, None], right[:, None])
    width = width.sub_(torch.maximum(left[:, :, None], left[:, None])).clamp_(min=0)
    height = torch.minimum(bottom[:, :, None], bottom[:, None])
    height = height.sub_(torch.maximum(top[:, :, None], top[:, None])).clamp_(min=0)
    shared = width.mul_(height)
    area = (right - left).clamp_(min=0) * (bottom - top).clamp_(min=0)
    first, second = area[:, :, None], area[:, None]
    whole = first + second - shared if overlap == "union" else torch.minimum(first, second)
    return torch.where(whole > 0, shared / whole, 0)
