"""Non-maximum suppression keeps exactly what the greedy loop keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.nms import Overlap, suppress


def overlap_of(a: list[float], b: list[float], kind: Overlap) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    whole = sum(areas) - shared if kind == "union" else min(areas)
    return shared / whole if whole > 0 else 0.0


def greedy(
    boxes: list[list[float]], scores: list[float], group: list[int], threshold: float, kind: Overlap
) -> list[int]:
    kept: list[int] = []
    for candidate in sorted(range(len(boxes)), key=lambda i: (group[i], -scores[i], i)):
        rivals = [i for i in kept if group[i] == group[candidate]]
        if all(overlap_of(boxes[i], boxes[candidate], kind) <= threshold for i in rivals):
            kept.append(candidate)
    return kept


@pytest.mark.parametrize("kind", ["union", "smaller"])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 60), groups=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_it_keeps_what_the_greedy_loop_keeps(
    kind: Overlap, seed: int, count: int, groups: int
) -> None:
    random = np.random.default_rng(seed)
    corner = random.integers(0, 40, (count, 2))
    boxes = np.concatenate([corner, corner + random.integers(1, 30, (count, 2))], 1)
    scores = random.integers(0, 8, count) / 8  # many ties
    group = random.integers(0, groups, count)
    kept = suppress(
        boxes.reshape(-1, 4).astype(np.float64),
        scores,
        group.astype(np.int64),
        threshold=0.3,
        overlap=kind,
    )
    assert kept.tolist() == greedy(boxes.tolist(), scores.tolist(), group.tolist(), 0.3, kind)


def test_a_box_suppressed_by_a_suppressed_box_stays() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    kept = suppress(boxes, np.array([0.9, 0.8, 0.7]), np.zeros(3, np.int64), threshold=0.3)
    assert kept.tolist() == [0, 2]


def test_groups_never_suppress_each_other() -> None:
    boxes = np.array([[0.0, 0, 10, 10]] * 3)
    kept = suppress(boxes, np.array([0.7, 0.9, 0.8]), np.array([5, 0, 5]), threshold=0.1)
    assert kept.tolist() == [1, 2]


def test_no_boxes_give_no_boxes() -> None:
    nothing = np.zeros(0)
    kept = suppress(np.zeros((0, 4)), nothing, nothing.astype(np.int64), threshold=0.5)
    assert kept.tolist() == []


def test_boxes_without_area_overlap_nothing() -> None:
    boxes = np.array([[3.0, 3, 3, 3], [3, 3, 3, 3]])
    kept = suppress(boxes, np.array([0.9, 0.8]), np.zeros(2, np.int64), threshold=0.1)
    assert kept.tolist() == [0, 1]


def test_only_the_best_of_each_group_are_looked_at_when_their_number_is_bounded() -> None:
    boxes = np.arange(6.0)[:, None] * 20 + np.array([0.0, 0, 10, 10])
    scores = np.array([0.1, 0.5, 0.9, 0.3, 0.2, 0.4])
    group = np.array([0, 0, 0, 1, 1, 1])
    kept = suppress(boxes, scores, group, threshold=0.5, most=2)
    assert kept.tolist() == [2, 1, 5, 3]
