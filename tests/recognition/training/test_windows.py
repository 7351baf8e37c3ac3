"""Windows are what their overlap with the faces makes them, by hand and by a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recognition.cascade import _moved
from recognition.training.cascade.annotations import Array, Truth
from recognition.training.cascade.windows import (
    Kind,
    Plan,
    box_targets,
    choose,
    covered,
    judge,
    overlaps,
    point_targets,
)

POINTS = [[[50, 60], [80, 60], [65, 75], [55, 90], [75, 90]]]
PLAN = Plan(negatives=20, beside=3, positives=4, parts=5, landmarks=6)


def truth(*boxes: list[float], ignored: tuple[int, ...] = (), complete: bool = True) -> Truth:
    count = len(boxes)
    return Truth(
        np.array(boxes, np.float64).reshape(-1, 4),
        np.full((count, 5, 2), np.nan),
        np.array([row in ignored for row in range(count)], np.bool_),
        complete,
    )


def kind(window: list[float], of: Truth) -> int:
    return int(judge(np.array([window], np.float64), of).kinds[0])


def naive_overlap(a: Array, b: Array) -> float:
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - across * down
    return float(across * down / union)


def test_overlaps_are_those_of_a_plain_loop() -> None:
    draw = np.random.default_rng(1)
    low = draw.uniform(0, 50, (30, 2))
    boxes = np.concatenate([low, low + draw.uniform(1, 50, (30, 2))], 1)
    expected = [[naive_overlap(a, b) for b in boxes[10:]] for a in boxes[:10]]
    np.testing.assert_allclose(overlaps(boxes[:10], boxes[10:]), expected)
    assert overlaps(boxes[:3], boxes[:0]).shape == (3, 0)


def test_covered_is_the_share_of_the_window_alone() -> None:
    window, box = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 100, 100]])
    assert covered(window, box)[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ([0, 0, 100, 100], Kind.POSITIVE),
        ([0, 0, 100, 65], Kind.POSITIVE),  # exactly 0.65
        ([0, 0, 100, 64.9], Kind.PART),
        ([0, 0, 100, 40], Kind.PART),  # exactly 0.4
        ([0, 0, 100, 39.9], Kind.NONE),
        ([0, 0, 100, 30], Kind.NONE),  # exactly 0.3
        ([0, 0, 100, 29.9], Kind.NEGATIVE),
        ([200, 200, 210, 210], Kind.NEGATIVE),
        ([40, 40, 50, 50], Kind.NEGATIVE),  # an eye is no face
    ],
)
def test_a_window_is_judged_by_its_overlap_with_the_face(
    window: list[float], expected: Kind
) -> None:
    assert kind(window, truth([0, 0, 100, 100])) == expected


def test_a_window_is_about_the_face_that_it_overlaps_most() -> None:
    two = truth([0, 0, 10, 10], [6, 0, 16, 10])
    judged = judge(np.array([[1.0, 0, 11, 10], [5.0, 0, 15, 10]]), two)
    assert judged.faces.tolist() == [0, 1]
    assert judged.kinds.tolist() == [Kind.POSITIVE, Kind.POSITIVE]


def test_an_ignored_face_makes_neither_positives_nor_negatives() -> None:
    out = truth([0, 0, 100, 100], ignored=(0,))
    assert kind([0, 0, 100, 100], out) == Kind.NONE
    assert kind([0, 0, 100, 50], out) == Kind.NONE
    assert kind([40, 40, 50, 50], out) == Kind.NONE  # within it: perhaps a face of a crowd
    assert kind([200, 0, 300, 100], out) == Kind.NEGATIVE


def test_nothing_is_background_where_not_all_faces_are_annotated() -> None:
    some = truth([0, 0, 100, 100], complete=False)
    assert kind([200, 200, 250, 250], some) == Kind.NONE
    assert kind([0, 0, 100, 100], some) == Kind.POSITIVE
    assert kind([0, 0, 9, 9], truth(complete=False)) == Kind.NONE
    assert kind([0, 0, 9, 9], truth()) == Kind.NEGATIVE


def test_box_targets_are_what_the_cascade_adds_to_a_window() -> None:
    draw = np.random.default_rng(2)
    corner, side = draw.uniform(0, 50, (20, 2)), draw.uniform(12, 80, (20, 1))
    windows = np.concatenate([corner, corner + side], 1)
    boxes = windows + draw.uniform(-5, 5, (20, 4))
    targets = box_targets(windows, boxes)
    back = _moved(torch.from_numpy(windows), torch.from_numpy(targets))
    np.testing.assert_allclose(back.numpy(), boxes)
    by_hand = box_targets(np.array([[10.0, 10, 30, 30]]), np.array([[12.0, 8, 28, 40]]))
    np.testing.assert_allclose(by_hand, [[0.1, -0.1, -0.1, 0.5]])


def test_point_targets_are_all_x_then_all_y_in_widths_of_the_window() -> None:
    window = np.array([[40.0, 50, 90, 100]])
    found = point_targets(window, np.array(POINTS, np.float64))
    expected = [0.2, 0.8, 0.5, 0.3, 0.7, 0.2, 0.2, 0.5, 0.8, 0.8]
    np.testing.assert_allclose(found, [expected])


def with_points() -> Truth:
    return Truth(
        np.array([[40.0, 40, 90, 100]]), np.array(POINTS, np.float64), np.array([False]), True
    )


def test_as_many_windows_are_chosen_as_planned_each_of_its_kind() -> None:
    of = with_points()
    chosen = choose((250, 250), of, PLAN, np.random.default_rng(3))
    counts = {kind: int((chosen.kinds == kind).sum()) for kind in Kind}
    assert counts[Kind.NONE] == 0
    assert counts[Kind.NEGATIVE] == 20 + 3
    assert counts[Kind.POSITIVE] == 4
    assert counts[Kind.PART] == 5
    assert counts[Kind.LANDMARK] == 6
    best = overlaps(chosen.boxes, of.boxes)[:, 0]
    assert best[chosen.kinds == Kind.NEGATIVE].max() < 0.3
    assert best[np.isin(chosen.kinds, (Kind.POSITIVE, Kind.LANDMARK))].min() >= 0.65
    parts = best[chosen.kinds == Kind.PART]
    assert parts.min() >= 0.4
    assert parts.max() < 0.65
    sides = chosen.boxes[:, 2:] - chosen.boxes[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    assert sides.min() >= PLAN.smallest


def test_a_face_without_points_gives_no_landmark_windows() -> None:
    of = Truth(np.array([[40.0, 40, 90, 100]]), np.full((1, 5, 2), np.nan), np.array([False]), True)
    chosen = choose((250, 250), of, PLAN, np.random.default_rng(3))
    assert not (chosen.kinds == Kind.LANDMARK).any()


def test_the_same_seed_chooses_the_same_windows() -> None:
    first, second = (
        choose((99, 120), with_points(), PLAN, np.random.default_rng(5)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.boxes, second.boxes)


def test_the_next_network_gets_what_was_wrongly_proposed_surest_first() -> None:
    of = with_points()
    wrong = np.array([[150.0 + n, 150, 190 + n, 190] for n in range(30)])
    found = np.array([[40.0, 40, 90, 90], [40.0, 65, 90, 115]])  # 2500 / 3000 and 1750 / 3750
    proposed = np.concatenate([wrong[:10], found, wrong[10:]])
    chosen = choose((250, 250), of, PLAN, np.random.default_rng(6), proposed)
    negatives = chosen.boxes[chosen.kinds == Kind.NEGATIVE]
    np.testing.assert_array_equal(negatives[:20], wrong[:20])
    assert found[0].tolist() in chosen.boxes[chosen.kinds == Kind.POSITIVE].tolist()
    assert found[1].tolist() in chosen.boxes[chosen.kinds == Kind.PART].tolist()
    assert found[0].tolist() in chosen.boxes[chosen.kinds == Kind.LANDMARK].tolist()


def test_a_face_that_was_not_proposed_is_shown_all_the_same() -> None:
    chosen = choose((250, 250), with_points(), PLAN, np.random.default_rng(7), np.zeros((0, 4)))
    assert int((chosen.kinds == Kind.POSITIVE).sum()) == 4
    assert int((chosen.kinds == Kind.NEGATIVE).sum()) == PLAN.beside


def test_an_image_smaller_than_a_window_gives_none() -> None:
    assert len(choose((8, 300), truth(), PLAN, np.random.default_rng(8)).kinds) == 0
