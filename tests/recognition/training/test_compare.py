"""Losses are compared on people apart, from one start, and no more is claimed than was seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recognition.training.compare import (
    LOSSES,
    MINERS,
    SHARES,
    UNTRAINED,
    Budget,
    Compared,
    compare_losses,
    summarise,
)
from recognition.training.compare_report import write_compare_report
from recognition.training.config import TrainingError
from recognition.training.embedding import LossSettings
from recognition.training.face_pairs import draw_pairs
from recognition.training.faces import split
from tests.recognition.training.drawn import drawn_faces

PARTS = split(drawn_faces(40, 3, noise=60), seed=0, shares=SHARES)
BUDGET = Budget(steps=3, people=4, images=2, dimension=16)
TWO = {"softmax": LossSettings("softmax"), "triplet, hard": LossSettings("triplet", mining="hard")}


def compared(folder: Path, **changed: Any) -> Compared:
    options: dict[str, Any] = {"budget": BUDGET, "seeds": [0], "contenders": TWO, **changed}
    return compare_losses(PARTS, folder=folder, **options)


def made_up(noise: dict[str, float], seeds: int = 2) -> Compared:
    """Scores of each contender with so much noise on what is right."""
    pairs = draw_pairs(PARTS["test"])
    random = np.random.default_rng(0)
    scores = {
        name: [pairs.same + much * random.normal(size=len(pairs.same)) for _ in range(seeds)]
        for name, much in noise.items()
    }
    return Compared(scores, pairs, PARTS, BUDGET)


def test_every_loss_and_every_mining_is_compared() -> None:
    assert {one.loss for one in LOSSES.values()} == {"softmax", "centre", "triplet", "arcface"}
    assert {one.mining for one in MINERS.values()} == {"random", "hard", "semi-hard", "all"}
    assert all(LOSSES[name] == MINERS[name] for name in LOSSES.keys() & MINERS.keys())


class TestRuns:
    def test_each_contender_has_a_run_for_each_seed(self, tmp_path: Path) -> None:
        found = compared(tmp_path, seeds=[0, 1])
        assert {name: len(runs) for name, runs in found.scores.items()} == {
            UNTRAINED: 2,
            "softmax": 2,
            "triplet, hard": 2,
        }
        one, other = found.scores["softmax"]
        assert not np.array_equal(one, other)

    def test_what_was_trained_already_is_not_trained_again(self, tmp_path: Path) -> None:
        first = compared(tmp_path)
        weights = tmp_path / "softmax-0" / "weights.safetensors"
        written = weights.stat().st_mtime_ns
        again = compared(tmp_path)
        assert weights.stat().st_mtime_ns == written
        for name, runs in first.scores.items():
            np.testing.assert_array_equal(runs[0], again.scores[name][0])

    def test_another_budget_in_the_same_folder_is_refused(self, tmp_path: Path) -> None:
        compared(tmp_path)
        with pytest.raises(TrainingError, match="learning_rate"):
            compared(tmp_path, budget=Budget(**{**_fields(BUDGET), "learning_rate": 0.1}))

    def test_nobody_who_is_measured_on_was_learnt_from(self, tmp_path: Path) -> None:
        measured = {name for pair in compared(tmp_path).pairs.people for name in pair}
        assert measured <= set(PARTS["test"].people)
        assert not measured & set(PARTS["train"].people)


def _fields(budget: Budget) -> dict[str, Any]:
    return {name: getattr(budget, name) for name in budget.__slots__}


class TestFigures:
    found: Any = summarise(
        made_up({UNTRAINED: 9.0, "softmax": 0.8, "ArcFace": 0.5, "triplet, semi-hard": 1.0}),
        [0, 1],
    )

    def test_each_has_the_mean_over_seeds_and_every_seed(self) -> None:
        row = self.found["losses"]["softmax"]["accuracy"]
        assert row["mean"] == pytest.approx(np.mean(row["each"]))
        assert row["std"] == pytest.approx(np.std(row["each"], ddof=1))

    def test_a_gain_is_told_with_its_interval_against_softmax(self) -> None:
        against = self.found["losses"]["ArcFace"]["against"]
        assert against["reference"] == "softmax"
        assert against["interval95"]["accuracy"][0] > 0
        assert self.found["losses"][UNTRAINED]["against"]["interval95"]["accuracy"][1] < 0
        assert "against" not in self.found["losses"]["softmax"]

    def test_it_says_on_how_many_people_and_pairs(self) -> None:
        assert self.found["people"]["test"] == len(PARTS["test"].people)
        assert self.found["pairs"]["genuine"] == 3 * len(PARTS["test"].people)

    def test_nothing_in_it_is_anything_but_json(self) -> None:
        assert json.loads(json.dumps(self.found)) == json.loads(json.dumps(self.found))


def test_the_report_has_the_figures_and_the_picture(tmp_path: Path) -> None:
    names = [UNTRAINED, *LOSSES, *MINERS]
    figures = summarise(made_up(dict.fromkeys(names, 0.8)), [0, 1])
    write_compare_report(tmp_path, figures)
    assert json.loads((tmp_path / "losses.json").read_text()) == json.loads(json.dumps(figures))
    picture = (tmp_path / "losses.svg").read_text()
    assert picture.count("<svg") == 1
    assert "data:image/png;base64" in (tmp_path / "losses.html").read_text()
    write_compare_report(tmp_path / "again", figures)
    assert (tmp_path / "again" / "losses.svg").read_text() == picture


def test_all_contenders_start_from_the_same_weights() -> None:
    from recognition.training.compare import _network

    one, other = _network(BUDGET, 3), _network(BUDGET, 3)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
