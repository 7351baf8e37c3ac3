"""The lesson on digits: the same every time, and each figure what it says it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recognition.commands import main
from recognition.home import home
from recognition.training.digits import Digits, digits
from recognition.training.lesson import (
    Learnt,
    centre_loss_ratio_gain,
    losses,
    summarise,
    teach,
)


def quiet(message: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def halves() -> tuple[Digits, Digits]:
    return digits(home(), say=quiet)


@pytest.fixture(scope="module")
def learnt(halves: tuple[Digits, Digits]) -> list[Learnt]:
    return teach(*halves, steps=60)


def made_up(name: str, *, accuracy: float, within: float) -> Learnt:
    nothing, labels = np.zeros((2, 2)), np.zeros(2, np.int64)
    return Learnt(name, nothing, labels, accuracy, 1.0, 2.0, within, 2.0, {"cosine": 0.1})


def test_no_digit_is_measured_that_was_learnt_from(
    halves: tuple[Digits, Digits],
) -> None:
    learn, unseen = halves
    known = {image.numpy().tobytes() for image in learn.images}
    assert not known & {image.numpy().tobytes() for image in unseen.images}
    assert len(learn.labels) + len(unseen.labels) == 1797
    assert learn.labels.bincount().min() >= 87
    assert unseen.labels.bincount().min() >= 87


def test_every_loss_learns_something_even_in_a_minute(learnt: list[Learnt]) -> None:
    assert [one.name for one in learnt] == list(losses())
    for one in learnt:
        assert one.accuracy > 0.15, one.name
        assert 0 < one.ratio < 1, one.name
        assert all(0 < rate < 0.5 for rate in one.error.values()), one.name


def test_one_seed_gives_the_same_figures(
    learnt: list[Learnt], halves: tuple[Digits, Digits]
) -> None:
    assert summarise(teach(*halves, steps=60)) == summarise(learnt)


def test_distances_are_those_of_the_features(learnt: list[Learnt]) -> None:
    one = learnt[0]
    means = [one.features[one.labels == digit].mean(0) for digit in range(10)]
    apart = [
        float(np.linalg.norm(row - means[label]))
        for row, label in zip(one.features, one.labels, strict=True)
    ]
    assert one.within == pytest.approx(np.mean(apart))
    between = [float(np.linalg.norm(means[a] - means[b])) for a in range(10) for b in range(a)]
    assert one.between == pytest.approx(np.mean(between))
    assert one.ratio == pytest.approx(np.mean(np.square(apart)) / np.mean(np.square(between)))


class TestGain:
    def test_it_compares_softmax_with_the_best_weight(self) -> None:
        found = [
            made_up("softmax", accuracy=0.97, within=0.6),
            made_up("softmax + 0.1 centre", accuracy=0.97, within=0.3),
            made_up("softmax + 1 centre", accuracy=0.98, within=0.1),
        ]
        assert centre_loss_ratio_gain(found) == pytest.approx(6)

    def test_a_weight_that_costs_accuracy_does_not_count(self) -> None:
        found = [
            made_up("softmax", accuracy=0.97, within=0.6),
            made_up("softmax + 0.1 centre", accuracy=0.97, within=0.3),
            made_up("softmax + 1 centre", accuracy=0.9, within=0.1),
        ]
        assert centre_loss_ratio_gain(found) == pytest.approx(2)

    def test_without_equal_accuracy_there_is_none(self) -> None:
        found = [
            made_up("softmax", accuracy=0.97, within=0.6),
            made_up("softmax + 1 centre", accuracy=0.9, within=0.1),
        ]
        assert centre_loss_ratio_gain(found) is None


def test_the_command_prints_one_object_and_writes_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    arguments = ["train", "lesson", "--steps", "20", "--json", "--report", str(report)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out.splitlines()[-1])
    assert "centre_loss_ratio_gain" in figures
    assert set(figures["losses"]) == set(losses())
    assert "softmax ..." in err
    assert json.loads((report / "report.json").read_text()) == figures
    assert (report / "lesson.svg").read_text().count("<svg") == 1
    assert "data:image/png;base64" in (report / "report.html").read_text()
