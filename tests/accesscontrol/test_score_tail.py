"""Thresholds solved from a gallery's own scores: against simulated people whose tail is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from accesscontrol import score_tail
from accesscontrol.score_tail import (
    BINS,
    Calibration,
    Impostors,
    TailError,
    bin_of,
    cosine,
    count_scores,
    fit,
    nearness,
    pair_rate,
    search_rate,
    share_below,
    wilson,
)
from recognition.pair_scores import pair_scores

SPREAD, MEAN = 0.2, 1.0
RATES = ("1e-2", "1e-3", "1e-4", "1e-5", "1e-6")


def normal_calibration(mean: float = MEAN, spread: float = SPREAD) -> Calibration:
    """Of people whose nearness is normal."""
    rise = NormalDist(mean, spread)
    thresholds = {rate: cosine(rise.inv_cdf(1 - float(rate))) for rate in RATES}
    return Calibration.read({"thresholds": thresholds, "impostor": {"mean": cosine(mean)}})


class People:
    """Simulated: a pair's nearness is normal, and a tenth of its variance is each person's."""

    def __init__(self, mean: float, spread: float = SPREAD) -> None:
        self.mean = mean
        self.person = spread * math.sqrt(score_tail.PERSON_SHARE)
        self.pair = math.sqrt(spread**2 - 2 * self.person**2)
        self.all = NormalDist(mean, spread)

    def gallery(self, people: int, random: np.random.Generator) -> Impostors:
        own = random.normal(0, self.person, people)
        noise = np.triu(random.normal(0, self.pair, (people, people)), 1)
        near = self.mean + own[:, None] + own + noise + noise.T
        bins = bin_of(1 - np.exp(-near))
        different = ~np.eye(people, dtype=bool)
        groups = np.arange(people) % min(people, score_tail.GROUPS)
        without = []
        for group in range(groups.max() + 1):
            left = different & (groups != group)[:, None] & (groups != group)
            without.append(np.bincount(bins[left], minlength=BINS).astype(float))
        counts = np.bincount(bins[different], minlength=BINS).astype(float)
        return Impostors(people, 1.0, counts, np.stack(without))

    def fpir(self, threshold: float, people: int) -> float:
        """What a stranger's search would really come to, at most."""
        return search_rate(1 - self.all.cdf(nearness(threshold)), people)


@pytest.mark.parametrize("people", [5, 10, 50, 200])
@pytest.mark.parametrize("moved", [-0.1, 0.0, 0.36], ids=["diverse", "as calibrated", "alike"])
def test_the_bound_holds_in_nineteen_of_twenty_galleries(people: int, moved: float) -> None:
    crowd, random = People(MEAN + moved), np.random.default_rng(people)
    solved = [
        fit(crowd.gallery(people, random), normal_calibration()).threshold(1e-3, people)
        for _ in range(60)
    ]
    held = sum(crowd.fpir(threshold, people) <= 1e-3 for threshold in solved)
    assert held >= 0.9 * len(solved), f"{held} of {len(solved)}"
    assert max(solved) < 1


def test_with_many_people_the_estimate_is_right_and_the_bound_near() -> None:
    crowd, random = People(MEAN + 0.2), np.random.default_rng(1)
    tail = fit(crowd.gallery(600, random), normal_calibration())
    right = cosine(crowd.all.inv_cdf(1 - pair_rate(1e-3, 600)))
    assert tail.threshold(1e-3, 600, bound=False) == pytest.approx(right, abs=0.01)
    assert 0 < tail.threshold(1e-3, 600) - right < 0.02


def test_many_people_less_alike_than_the_calibrations_are_believed() -> None:
    crowd, random = People(MEAN - 0.3), np.random.default_rng(2)
    calibration = normal_calibration()
    tail = fit(crowd.gallery(600, random), calibration)
    assert tail.threshold(1e-3, 600) < calibration.score_at(pair_rate(1e-3, 600)) - 0.02


def test_ten_people_less_alike_do_not_get_a_reckless_threshold() -> None:
    random, calibration = np.random.default_rng(3), normal_calibration()
    for _ in range(20):
        tail = fit(People(MEAN - 0.3).gallery(10, random), calibration)
        assert tail.threshold(1e-3, 10) > calibration.score_at(pair_rate(1e-3, 10)) - 0.02


def test_a_group_that_looks_alike_gets_a_higher_threshold_by_itself() -> None:
    random, calibration = np.random.default_rng(4), normal_calibration()
    alike = fit(People(MEAN + 0.36).gallery(7, random), calibration)
    assert alike.threshold(1e-3, 7, bound=False) > calibration.score_at(pair_rate(1e-3, 7)) + 0.02


@pytest.mark.parametrize("people", [0, 1, 2])
def test_without_people_to_compare_the_calibration_decides_with_room(people: int) -> None:
    calibration = normal_calibration()
    empty = Impostors(people, 1.0, np.zeros(BINS), np.zeros((0, BINS)))
    for impostors in (None, empty):
        tail = fit(impostors, calibration)
        asked = pair_rate(1e-3, 1)
        assert tail.threshold(1e-3, 1, bound=False) == pytest.approx(
            calibration.score_at(asked), abs=0.01
        )
        assert tail.threshold(1e-3, 1) > calibration.score_at(asked) + 0.01


def test_one_person_enrolled_twice_does_not_move_the_tail_far() -> None:
    crowd, calibration = People(MEAN), normal_calibration()
    clean = crowd.gallery(50, np.random.default_rng(5))
    twice = crowd.gallery(50, np.random.default_rng(5))
    twice.counts[bin_of(np.array(0.97))] += 2
    twice.without[1:, bin_of(np.array(0.97))] += 2
    before, after = (fit(which, calibration).threshold(1e-3, 50) for which in (clean, twice))
    assert abs(after - before) < 0.02


def test_more_people_and_smaller_budgets_ask_for_more() -> None:
    tail = fit(People(MEAN).gallery(50, np.random.default_rng(6)), normal_calibration())
    by_people = [tail.threshold(1e-3, people) for people in (1, 10, 100, 1000)]
    by_budget = [tail.threshold(fpir, 50) for fpir in (1e-2, 1e-3, 1e-4, 1e-6)]
    assert by_people == sorted(by_people)
    assert by_budget == sorted(by_budget)


def test_what_a_threshold_costs_is_the_solution_backwards() -> None:
    tail = fit(People(MEAN).gallery(50, np.random.default_rng(7)), normal_calibration())
    for bound in (True, False):
        threshold = tail.threshold(2e-4, 50, bound=bound)
        assert tail.fpir(threshold, 50, bound=bound) == pytest.approx(2e-4, rel=1e-3)
    assert tail.fpir(0.999, 50) < 1e-9
    assert tail.fpir(0.1, 50) == search_rate(tail.fits[0].fraction, 50)


def test_the_best_of_several_templates_is_compared_as_the_door_does() -> None:
    random = np.random.default_rng(8)
    vectors = random.normal(size=(9, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = np.array([1, 2, 3, 1, 2, 3, 3, 7, 7], np.int64)
    found = pair_scores(vectors, people)
    impostors, genuine, nearest = [np.zeros(BINS) for _ in range(3)]
    scores = vectors @ vectors.T
    for row, owner in enumerate(people):
        best = {other: scores[row, people == other].max() for other in set(people) - {owner}}
        for score in best.values():
            impostors[bin_of(score)] += 1 / (people == owner).sum()
        nearest[bin_of(np.array(max(best.values())))] += 1
        own = scores[row, (people == owner) & (np.arange(9) != row)].max()
        genuine[bin_of(own)] += 1
    np.testing.assert_allclose(found.impostors.counts, impostors, atol=1e-9)
    np.testing.assert_array_equal(found.genuine, genuine)
    np.testing.assert_array_equal(found.nearest, nearest)
    assert (found.impostors.people, found.with_several) == (4, 4)
    assert found.impostors.counts.sum() == pytest.approx(4 * 3)


def test_leaving_out_a_group_is_the_gallery_without_it() -> None:
    random = np.random.default_rng(9)
    vectors = random.normal(size=(25, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = np.arange(25)
    found = pair_scores(vectors, people).impostors
    assert len(found.without) == score_tail.GROUPS
    left = people % score_tail.GROUPS != 3
    alone = pair_scores(vectors[left], people[left]).impostors
    np.testing.assert_allclose(found.without[3], alone.counts, atol=1e-9)


@pytest.mark.parametrize("people", [0, 1])
def test_nobody_or_one_person_is_a_survey_without_pairs(people: int) -> None:
    vectors = np.full((people, 4), 0.5, np.float32)
    found = pair_scores(vectors, np.arange(people))
    assert found.impostors.people == people
    assert found.impostors.counts.sum() == 0
    assert found.genuine.sum() == 0


def test_a_large_gallery_is_searched_by_a_part_that_has_everybody() -> None:
    random = np.random.default_rng(10)
    vectors = random.normal(size=(300, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = pair_scores(vectors, np.arange(300) // 3, probes=120)
    assert found.genuine.sum() == 120
    assert found.impostors.counts.sum() == pytest.approx(100 * 99)


@pytest.mark.parametrize(
    "calibration",
    [{}, {"thresholds": {"1e-3": 0.5}}, {"thresholds": {"1e-2": 0.6, "1e-3": 0.5}}],
)
def test_a_calibration_that_says_nothing_is_refused(calibration: dict[str, object]) -> None:
    with pytest.raises(TailError, match="evaluate calibrate"):
        Calibration.read(calibration)


def test_a_calibration_gives_back_its_points() -> None:
    calibration = normal_calibration()
    for rate in RATES:
        expected = cosine(NormalDist(MEAN, SPREAD).inv_cdf(1 - float(rate)))
        assert calibration.score_at(float(rate)) == pytest.approx(expected)
    assert calibration.spread == pytest.approx(SPREAD, rel=1e-3)


def test_counting_scores() -> None:
    counts = count_scores([-1.2, 0.5, 0.5004, 0.7, 1.2])
    assert counts.sum() == 5
    assert share_below(counts, 0.6) == 3 / 5
    assert share_below(np.zeros(BINS), 0.6) is None


def test_wilsons_interval() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(5, 100)
    assert (round(low, 4), round(high, 4)) == (0.0215, 0.1118)
