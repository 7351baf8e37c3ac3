"""Greedy non-maximum suppression, for many groups of boxes at once."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Overlap = Literal["union", "smaller"]
Numbers = NDArray[Any]


def suppress(
    boxes: Numbers,
    scores: Numbers,
    group: NDArray[np.int64],
    *,
    threshold: float,
    overlap: Overlap = "union",
    most: int | None = None,
) -> NDArray[np.int64]:
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
        return np.zeros(0, np.int64)
    order = np.lexsort((-scores, group))
    row = group[order]
    counts = np.bincount(row)
    column = np.arange(len(order)) - (counts.cumsum() - counts)[row]
    if most is not None:
        within = column < most
        order, row, column = order[within], row[within], column[within]
        counts = counts.clip(max=most)
    padded = np.zeros((len(counts), int(counts.max()), 4), boxes.dtype)
    padded[row, column] = boxes[order]
    kept: NDArray[np.int64] = order[_greedy(padded, threshold, overlap)[row, column]]
    return kept


def _greedy(boxes: Numbers, threshold: float, overlap: Overlap) -> NDArray[np.bool_]:
    """(G, K, 4), best first, to (G, K).

    Whether a box is kept depends only on better ones, so repeating "kept unless a kept one
    overlaps" for all at once reaches the greedy answer; it is there when nothing changes.
    """
    beaten_by = np.triu(_overlaps(boxes, overlap) > threshold, 1)  # [g, i, j]: i is better than j
    kept: NDArray[np.bool_] = np.ones(boxes.shape[:2], np.bool_)
    while True:
        following = ~np.any(beaten_by & kept[:, :, None], axis=1)
        if np.array_equal(following, kept):
            return kept
        kept = following


def _overlaps(boxes: Numbers, overlap: Overlap) -> Numbers:
    """(G, K, 4) to (G, K, K). Empty boxes overlap nothing."""
    low, high = boxes[..., :2], boxes[..., 2:]
    shared = np.minimum(high[:, :, None], high[:, None]) - np.maximum(low[:, :, None], low[:, None])
    common = shared.clip(0).prod(-1)
    area = (high - low).clip(0).prod(-1)
    first, second = area[:, :, None], area[:, None]
    whole = first + second - common if overlap == "union" else np.minimum(first, second)
    result: Numbers = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
    return result
