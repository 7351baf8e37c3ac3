"""Pairs of people who were not learnt from, and the figures that they give."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recognition.evaluate.datasets import DatasetError
from recognition.training.face_pairs import (
    accuracy_of,
    compare,
    draw_pairs,
    figures_of,
    intervals,
    tar_of,
    validation,
    vectors,
)
from recognition.training.faces import Faces
from tests.recognition.training.drawn import drawn_faces

FACES = drawn_faces(20, 7)
PAIRS = draw_pairs(FACES)


class TestDrawing:
    def test_no_pair_comes_twice_and_nothing_is_compared_with_itself(self) -> None:
        pairs = list(zip(PAIRS.first.tolist(), PAIRS.second.tolist(), strict=True))
        assert len({frozenset(pair) for pair in pairs}) == len(pairs)
        assert all(a != b for a, b in pairs)

    def test_both_people_of_a_pair_are_of_one_fold(self) -> None:
        folds: dict[str, set[int]] = {}
        for names, fold in zip(PAIRS.people, PAIRS.fold.tolist(), strict=True):
            for name in names:
                folds.setdefault(name, set()).add(fold)
        assert all(len(own) == 1 for own in folds.values())
        assert len(set(PAIRS.fold.tolist())) == 5

    def test_a_pair_is_genuine_if_both_are_of_one_person(self) -> None:
        for a, b, same, (one, other) in zip(
            PAIRS.first, PAIRS.second, PAIRS.same, PAIRS.people, strict=True
        ):
            assert one == FACES.people[int(FACES.whose[a])]
            assert other == FACES.people[int(FACES.whose[b])]
            assert same == (one == other)

    def test_who_has_many_images_has_no_more_than_fifteen_genuine_pairs(self) -> None:
        counts = np.unique([one for one, other in PAIRS.people if one == other], return_counts=True)
        assert counts[1].tolist() == [15] * 20  # of 21

    def test_accuracy_is_taken_of_as_many_of_either_kind(self) -> None:
        for fold in range(5):
            own = PAIRS.balanced & (PAIRS.fold == fold)
            assert (own & PAIRS.same).sum() == (own & ~PAIRS.same).sum() > 0

    def test_they_are_always_the_same(self) -> None:
        assert np.array_equal(draw_pairs(FACES).first, PAIRS.first)

    def test_who_has_one_image_is_an_impostor_only(self) -> None:
        few = Faces(FACES.pixels[6:], FACES.whose[6:], FACES.people, (), (), "x")
        lone = FACES.people[0]
        involved = [pair for pair in draw_pairs(few).people if lone in pair]
        assert involved
        assert (lone, lone) not in involved

    @pytest.mark.parametrize(("people", "images"), [(2, 3), (20, 1)])
    def test_too_few_to_compare_are_refused(self, people: int, images: int) -> None:
        with pytest.raises(DatasetError, match="too few to measure on"):
            draw_pairs(drawn_faces(people, images))


class TestFigures:
    def test_scores_that_tell_everybody_apart_are_perfect(self) -> None:
        figures = figures_of(PAIRS.same.astype(float), PAIRS)
        assert figures == {"accuracy": 1.0, "tar": 1.0, "eer": 0.0}

    def test_scores_by_chance_are_worth_nothing(self) -> None:
        figures = figures_of(np.random.default_rng(0).random(len(PAIRS.first)), PAIRS)
        assert figures["accuracy"] == pytest.approx(0.5, abs=0.1)
        assert figures["tar"] < 0.1

    def test_tar_is_the_share_above_what_one_in_a_hundred_impostors_reaches(self) -> None:
        scores = np.random.default_rng(1).normal(size=len(PAIRS.first)) + 2 * PAIRS.same
        impostors = sorted(scores[~PAIRS.same], reverse=True)
        allowed = int(0.01 * len(impostors))
        expected = np.mean(scores[PAIRS.same] > impostors[allowed])
        assert tar_of(scores, PAIRS) == pytest.approx(expected)

    def test_weights_without_a_genuine_pair_give_no_number(self) -> None:
        assert math.isnan(tar_of(np.ones(len(PAIRS.same)), PAIRS, (~PAIRS.same).astype(float)))

    def test_who_was_right_is_said_of_the_balanced_pairs_alone(self) -> None:
        scores = PAIRS.same.astype(float)
        accuracy, right = accuracy_of(scores, PAIRS)
        assert accuracy == 1
        assert np.array_equal(right == 1, PAIRS.balanced)


class TestIntervals:
    random = np.random.default_rng(4)
    good = PAIRS.same + 0.5 * random.normal(size=len(PAIRS.same))
    bad = PAIRS.same + 1.5 * random.normal(size=len(PAIRS.same))

    def test_they_hold_the_mean_over_runs(self) -> None:
        found = intervals([self.good, self.bad], PAIRS)
        for key in ("accuracy", "tar"):
            interval = found[key]
            assert interval is not None
            low, high = interval
            mean = np.mean([figures_of(one, PAIRS)[key] for one in (self.good, self.bad)])
            assert low < mean < high

    def test_a_clear_gain_is_above_zero_and_none_is_around_it(self) -> None:
        for key, interval in intervals([self.good], PAIRS, against=[self.bad]).items():
            assert interval is not None, key
            assert interval[0] > 0, key
        again = self.good + 1e-9
        for interval in intervals([self.good], PAIRS, against=[again]).values():
            assert interval is not None
            assert interval[0] <= 0 <= interval[1]


class Means(nn.Module):
    """The mean colours of a face's quarters, less grey: good enough for drawn people."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, faces: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(faces, 4).flatten(1)


def test_vectors_are_of_length_one_and_do_not_depend_on_their_neighbours() -> None:
    all_together = vectors(Means(), FACES.pixels)
    assert np.allclose(np.linalg.norm(all_together, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors(Means(), FACES.pixels[70:73]), all_together[70:73], atol=1e-5)


def test_people_whom_the_network_tells_apart_come_out_so() -> None:
    assert figures_of(compare(Means(), FACES, PAIRS), PAIRS)["accuracy"] > 0.95


def test_validation_takes_nothing_but_an_embedding_model() -> None:
    with pytest.raises(TypeError, match="Means is no EmbeddingModel"):
        validation(FACES)(Means())
