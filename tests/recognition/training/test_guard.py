"""A fine-tuned model takes its parent's place only if it is measurably better, and not worse."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from recognition.evaluate import calibration
from recognition.evaluate.datasets import Pair, Portrait
from recognition.training import guard
from recognition.training.guard import Ground, Trial, Verdict, compare, draw_trial, judge
from recognition.training.subjects import Subjects
from recognition.types import ModelInfo
from tests.recognition.training.made_people import damped, made_people

MODEL = ModelInfo("candidate", "1", "0" * 64, "own", 64)
SITE = made_people("site", 24, 6, nuisance=1.6, seed=1)
GENERAL = made_people("general", 300, 2, nuisance=0.0, noise=0.4, seed=2)


def noise_like(vectors: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(9)
    return functional.normalize(torch.randn(vectors.shape, generator=random), dim=1)


def ground(subjects: Subjects, after: Tensor, trial: Trial | None = None) -> Ground:
    return Ground(subjects, subjects.vectors, after, trial or draw_trial(subjects))


def verdict(site: Tensor, general: Tensor | None) -> Verdict:
    judged = None if general is None else ground(GENERAL, general)
    return judge(ground(SITE, site), judged, MODEL, "made up")


def refused(found: Verdict, why: str) -> bool:
    return not found.passed and any(why in reason for reason in found.reasons)


def test_one_that_is_better_on_the_site_and_not_worse_elsewhere_is_handed_over() -> None:
    found = verdict(damped(SITE.vectors), damped(GENERAL.vectors, 0.8))
    assert found.passed, found.reasons
    assert found.calibration is not None
    rates = {row["fmr"] for row in found.calibration["thresholds"]}  # type: ignore[attr-defined]
    assert {"1e-3", "1e-4", "1e-5", "1e-6"} <= rates


def test_one_that_changes_nothing_is_refused() -> None:
    found = verdict(SITE.vectors, GENERAL.vectors)
    assert refused(found, "not significantly better")
    assert "+0.00 points" in found.reasons[0]


def test_noise_is_refused_for_both() -> None:
    found = verdict(noise_like(SITE.vectors), noise_like(GENERAL.vectors))
    assert refused(found, "not significantly better")
    assert refused(found, "loses on the general set")


def test_better_on_the_site_and_worse_elsewhere_is_forgetting_and_refused() -> None:
    found = verdict(damped(SITE.vectors), noise_like(GENERAL.vectors))
    assert found.reasons
    assert all("general set" in reason for reason in found.reasons)
    assert refused(found, "loses on the general set")


def test_a_loss_of_a_little_more_than_a_tenth_of_a_point_is_refused() -> None:
    spoilt = GENERAL.vectors.clone()
    trial = draw_trial(GENERAL)
    genuine = np.flatnonzero(trial.same)[:2]  # two of some 600 pairs: 0.3 points
    spoilt[trial.first[genuine]] *= -1
    found = judge(
        ground(SITE, damped(SITE.vectors)), ground(GENERAL, spoilt, trial), MODEL, "made up"
    )
    assert refused(found, "loses on the general set")


@pytest.mark.parametrize("where", ["site", "general"])
def test_values_that_are_no_numbers_are_refused(where: str) -> None:
    site, general = damped(SITE.vectors), GENERAL.vectors.clone()
    (site if where == "site" else general)[3, 5] = float("nan")
    found = verdict(site, general)
    assert found.reasons == ("some of its vectors are no numbers",)
    assert found.calibration is None


def test_vectors_that_are_not_of_length_1_are_refused() -> None:
    assert refused(verdict(2 * damped(SITE.vectors), GENERAL.vectors), "not of length 1")


def test_collapsed_vectors_are_refused() -> None:
    everywhere = torch.eye(1, 64)
    near = functional.normalize(everywhere + 0.01 * noise_like(SITE.vectors), dim=1)
    found = verdict(near, GENERAL.vectors)
    assert refused(found, "collapsed into one")
    assert refused(verdict(damped(SITE.vectors), everywhere.expand(600, -1)), "collapsed into one")


def test_too_few_people_held_out_are_refused_however_much_better() -> None:
    few = made_people("few", 9, 6, nuisance=1.6, seed=1)
    found = judge(
        ground(few, damped(few.vectors)), ground(GENERAL, GENERAL.vectors), MODEL, "made up"
    )
    assert refused(found, "only 9 people with two photos or more could be held out")


def test_more_accurate_but_accepting_fewer_at_a_doors_threshold_is_refused() -> None:
    after = damped(SITE.vectors)
    after[:12] = after[0]  # two people who now look the same: few pairs, but the highest scores
    found = verdict(after, GENERAL.vectors)
    assert refused(found, "it accepts fewer of the people held out")


def test_without_a_general_set_it_is_refused() -> None:
    found = verdict(damped(SITE.vectors), None)
    assert len(found.reasons) == 1
    assert refused(found, "there is no general set")
    assert "site" in found.figures


def test_a_general_set_too_small_to_calibrate_is_refused() -> None:
    few = made_people("general", 60, 2, nuisance=0.0, noise=0.4, seed=2)
    found = judge(ground(SITE, damped(SITE.vectors)), ground(few, few.vectors), MODEL, "made up")
    assert refused(found, "cannot be calibrated")


def test_an_impostor_tail_that_leaves_no_threshold_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "FEWEST_FALSE_MATCHES", 1e9)  # no rate can be measured
    assert refused(verdict(damped(SITE.vectors), GENERAL.vectors), "cannot be calibrated")


class TestComparing:
    def test_gain_and_bounds_are_those_of_a_loop_over_drawn_people(self) -> None:
        site = ground(SITE, damped(SITE.vectors))
        found = compare(site)
        trial = site.trial
        right = []
        for vectors in (site.before, site.after):
            scores = [
                float(vectors[a].double() @ vectors[b].double())
                for a, b in zip(trial.first, trial.second, strict=True)
            ]
            hits = np.zeros(len(scores))
            for fold in set(trial.fold.tolist()):
                others = trial.fold != fold
                best = guard_threshold(np.array(scores)[others], trial.same[others])
                for row in np.flatnonzero(~others):
                    hits[row] = (scores[row] >= best) == trial.same[row]
            right.append(hits)
        change = 100 * (right[1] - right[0])
        assert found.gain == pytest.approx(change.mean())
        names = sorted({name for pair in trial.people for name in pair})
        random, drawn = np.random.default_rng(0), []
        for _ in range(guard.ROUNDS):
            count = dict.fromkeys(names, 0)
            for place in random.integers(len(names), size=len(names)):
                count[names[place]] += 1
            weights = [count[a] * (1 if a == b else count[b]) for a, b in trial.people]
            if any(weights):
                drawn.append(np.average(change, weights=weights))
        low, high = np.quantile(drawn, [0.05, 0.95])
        assert (found.at_least, found.at_most) == pytest.approx((low, high))
        assert 0 < found.at_least < found.gain < found.at_most


def guard_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The middle of the best thresholds, tried one by one."""
    ranked = sorted(set(scores.tolist()))
    tried = [(low + high) / 2 for low, high in pairwise(ranked)]
    right = [int(((scores >= one) == same).sum()) for one in tried]
    best = [one for one, count in zip(tried, right, strict=True) if count == max(right)]
    return float(best[(len(best) - 1) // 2])


class TestTrials:
    def test_nobody_is_in_two_folds_and_both_kinds_are_equally_many(self) -> None:
        trial = draw_trial(SITE)
        fold_of: dict[str, set[int]] = {}
        for people, fold in zip(trial.people, trial.fold.tolist(), strict=True):
            for person in people:
                fold_of.setdefault(person, set()).add(fold)
        assert all(len(folds) == 1 for folds in fold_of.values())
        assert trial.same.sum() == (~trial.same).sum() == 24 * 15
        assert not (trial.first == trial.second).any()

    def test_patterns_choose_what_is_compared(self) -> None:
        trial = draw_trial(SITE, first="0.jpg", second="[12].jpg")
        compared = {
            frozenset((SITE.names[a], SITE.names[b]))
            for a, b in zip(trial.first, trial.second, strict=True)
        }
        assert compared == {frozenset(("0.jpg", "1.jpg")), frozenset(("0.jpg", "2.jpg"))}

    def test_who_has_very_many_photos_is_one_person_still(self) -> None:
        crowd = made_people("many", 4, 20, nuisance=1.0)
        own = [pair for pair in draw_trial(crowd).people if pair[0] == pair[1] == "many0001"]
        assert len(own) == 60

    def test_it_is_the_same_each_time(self) -> None:
        one, other = draw_trial(SITE), draw_trial(SITE)
        np.testing.assert_array_equal(one.first, other.first)
        np.testing.assert_array_equal(one.second, other.second)

    def test_a_list_names_photos_by_number_or_file_and_missed_ones_are_left_out(self) -> None:
        subjects = Subjects(
            ("Ann", "Ann", "Bob"),
            ("Ann_0001.jpg", "x.png", "Bob_0002.jpg"),
            torch.zeros((3, 3, 112, 112), dtype=torch.uint8),
            torch.eye(3),
        )
        pairs = [
            Pair(0, Portrait("Ann", 1), Portrait("Ann", 0, "x.png")),
            Pair(1, Portrait("Ann", 1), Portrait("Bob", 2)),
            Pair(1, Portrait("Ann", 1), Portrait("Bob", 1)),
        ]
        trial = guard.listed_trial(subjects, pairs)
        assert (trial.first.tolist(), trial.second.tolist()) == ([0, 0], [1, 2])
        assert trial.fold.tolist() == [0, 1]
        assert trial.same.tolist() == [True, False]
