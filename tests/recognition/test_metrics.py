"""Every metric equals a naive count over all pairs and thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.evaluate.metrics import (
    accept_rate,
    accuracy,
    best_threshold,
    bootstrap_interval,
    cross_validate,
    det_curve,
    equal_error_rate,
    jackknife_interval,
    threshold_at_fmr,
)

SCORES = st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=1, max_size=40)
LABELLED = st.lists(
    st.tuples(st.integers(-8, 8).map(lambda n: n / 8), st.booleans()), min_size=1, max_size=40
)


def naive_accuracy(scores: list[float], same: list[bool], threshold: float) -> float:
    right = [(score >= threshold) is genuine for score, genuine in zip(scores, same, strict=True)]
    return sum(right) / len(right)


@given(labelled=LABELLED)
@settings(max_examples=200, deadline=None)
def test_no_threshold_is_more_accurate_than_the_best(labelled: list[tuple[float, bool]]) -> None:
    scores, same = [list(column) for column in zip(*labelled, strict=True)]
    chosen = best_threshold(np.array(scores), np.array(same))
    every = [*scores, math.inf, -math.inf]
    best = max(naive_accuracy(scores, same, threshold) for threshold in every)
    assert accuracy(np.array(scores), np.array(same), chosen) == pytest.approx(best)
    assert naive_accuracy(scores, same, chosen) == pytest.approx(best)


def test_of_equally_good_thresholds_the_middle_is_taken() -> None:
    threshold = best_threshold(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, True, False, False]))
    assert threshold == pytest.approx(0.5)


@given(impostor=SCORES, fmr=st.sampled_from([0, 0.01, 0.1, 0.25, 0.5, 1]))
@settings(max_examples=200, deadline=None)
def test_the_threshold_for_an_fmr_is_the_lowest_that_keeps_it(
    impostor: list[float], fmr: float
) -> None:
    threshold = threshold_at_fmr(np.array(impostor), fmr)
    accepted = sum(score >= threshold for score in impostor)
    assert accepted <= fmr * len(impostor)
    lower = [score for score in impostor if score < threshold]
    if lower:
        assert sum(score >= max(lower) for score in impostor) > fmr * len(impostor)


@given(
    impostor=st.lists(
        st.tuples(st.integers(-8, 8).map(lambda n: n / 8), st.integers(0, 4)), min_size=1
    ).filter(lambda pairs: any(weight for _, weight in pairs)),
    fmr=st.sampled_from([0.01, 0.1, 0.5]),
)
@settings(max_examples=200, deadline=None)
def test_a_weight_counts_like_so_many_pairs(impostor: list[tuple[float, int]], fmr: float) -> None:
    repeated = [score for score, weight in impostor for _ in range(weight)]
    scores, weights = (np.array(column, dtype=float) for column in zip(*impostor, strict=True))
    weighted = threshold_at_fmr(scores, fmr, weights)
    plain = threshold_at_fmr(np.array(repeated), fmr)
    assert accept_rate(scores, weighted, weights) == pytest.approx(
        accept_rate(np.array(repeated), plain)
    )


def test_with_too_few_impostors_no_impostor_is_accepted() -> None:
    impostor = np.array([0.1, 0.3, 0.2])
    assert threshold_at_fmr(impostor, 1e-3) > 0.3
    assert accept_rate(impostor, threshold_at_fmr(impostor, 1e-3)) == 0


def test_cross_validation_judges_each_fold_by_the_others() -> None:
    random = np.random.default_rng(4)
    same = random.random(200) < 0.5
    scores = np.where(same, 0.6, 0.1) + random.normal(0, 0.25, 200)
    fold = np.repeat([3, 0, 7, 1], 50)
    result = cross_validate(scores, same, fold)
    for index, number in enumerate(sorted(set(fold.tolist()))):
        rest = fold != number
        threshold = best_threshold(scores[rest], same[rest])
        expected = naive_accuracy(scores[~rest].tolist(), same[~rest].tolist(), threshold)
        assert result.thresholds[index] == threshold
        assert result.accuracies[index] == pytest.approx(expected)
    assert float(result.right.mean()) == pytest.approx(float(np.mean(result.accuracies)))


def test_a_held_out_fold_does_not_choose_its_own_threshold() -> None:
    scores = np.array([0.9, 0.1, 0.55, 0.45])
    same = np.array([True, False, False, True])
    result = cross_validate(scores, same, np.array([0, 0, 1, 1]))
    assert result.accuracies[1] == 0  # its pairs lie the other way round


def test_cross_validation_needs_two_folds() -> None:
    with pytest.raises(ValueError, match="two folds"):
        cross_validate(np.array([0.1]), np.array([True]), np.array([0]))


@given(genuine=SCORES, impostor=SCORES)
@settings(max_examples=100, deadline=None)
def test_the_det_curve_counts_every_pair(genuine: list[float], impostor: list[float]) -> None:
    curve = det_curve(np.array(genuine), np.array(impostor))
    assert curve.threshold.tolist() == sorted(set(genuine) | set(impostor))
    for threshold, fmr, fnmr in zip(curve.threshold, curve.fmr, curve.fnmr, strict=True):
        assert fmr == sum(score >= threshold for score in impostor) / len(impostor)
        assert fnmr == sum(score < threshold for score in genuine) / len(genuine)


def test_the_equal_error_rate_of_separated_scores_is_zero_and_of_equal_ones_a_half() -> None:
    high, low = np.linspace(0.6, 0.9, 50), np.linspace(-0.2, 0.3, 50)
    assert equal_error_rate(det_curve(high, low)) == 0
    assert equal_error_rate(det_curve(low, low)) == pytest.approx(0.5, abs=0.02)


def interval(
    statistic: Callable[[np.ndarray], float], people: list[tuple[str, str]]
) -> tuple[float, float]:
    found = bootstrap_interval(statistic, people, rounds=300)
    assert found is not None
    return found


def test_the_interval_covers_the_value_and_repeats() -> None:
    random = np.random.default_rng(1)
    people = [(f"p{n % 40}", f"p{n % 40}") for n in range(400)]
    right = random.random(400) < 0.9

    def rate(weights: np.ndarray) -> float:
        return float(np.average(right, weights=weights))

    low, high = interval(rate, people)
    assert low < right.mean() < high
    assert (low, high) == interval(rate, people)


def test_pairs_of_few_people_give_a_wider_interval_than_as_many_pairs_of_many() -> None:
    right = np.repeat([True, False, True, True], 100)

    def rate(weights: np.ndarray) -> float:
        return float(np.average(right, weights=weights))

    few = [(f"p{n // 100}", f"p{n // 100}") for n in range(400)]
    many = [(f"p{n}", f"p{n}") for n in range(400)]
    low, high = interval(rate, few)
    narrow_low, narrow_high = interval(rate, many)
    assert high - low > 2 * (narrow_high - narrow_low)


def test_an_impostor_pair_counts_only_when_both_people_are_drawn() -> None:
    seen: list[tuple[float, ...]] = []

    def spy(weights: np.ndarray) -> float:
        seen.append(tuple(weights.tolist()))
        return 0.0

    bootstrap_interval(spy, [("a", "a"), ("b", "b"), ("a", "b")], rounds=50)
    assert {(2, 0, 0), (0, 2, 0), (1, 1, 1)} == set(seen)


def test_a_statistic_that_no_draw_can_have_has_no_interval() -> None:
    assert bootstrap_interval(lambda weights: math.nan, [("a", "b")], rounds=20) is None


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(2).normal(5, 2, 50)
    low, high = jackknife_interval(lambda weights: float(np.average(values, weights=weights)), 50)
    error = values.std(ddof=1) / math.sqrt(50)
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * error)


def test_one_person_left_out_of_one_leaves_no_spread() -> None:
    assert jackknife_interval(lambda weights: float(weights.sum()), 1) == (1, 1)
