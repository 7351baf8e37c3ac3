"""`evaluate budget`: thresholds of one half of the people, tried on the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recognition.evaluate import budget
from recognition.evaluate.budget import Plan, Portraits, galleries, halves, summarise
from recognition.evaluate.budget_report import write_budget_report
from recognition.types import ModelInfo
from tests.galleries import CALIBRATION, unit

MODEL = ModelInfo("test", "1", "0" * 64, "none", 192)


def portraits(people: int, images: int = 2, alike: float = 0.0) -> Portraits:
    """Of people whose embeddings have a cosine of about `alike`, images of one about 0.9."""
    random = np.random.default_rng(0)
    shared = unit(random.normal(size=192))
    faces: list[NDArray[np.float64]] = []
    for _ in range(people):
        own = unit(np.sqrt(alike) * shared + np.sqrt(1 - alike) * unit(random.normal(size=192)))
        faces += [unit(own + 0.33 * unit(random.normal(size=192))) for _ in range(images)]
    numbers = np.repeat(np.arange(people), images)
    paths = [Path(f"{person}/{number}.jpg") for number, person in enumerate(numbers)]
    return Portraits(np.array(faces, np.float32), numbers, paths)


def plan(halvings: int = 2, shipped: Mapping[str, Any] | None = CALIBRATION) -> Plan:
    return Plan(sizes=[5], model=MODEL, shipped=shipped, halvings=halvings, draws=3)


def test_everybody_is_searched_once_in_a_halving_and_never_in_the_own_half() -> None:
    given = portraits(21)
    first, second = halves(given, plan(halvings=1))
    assert len(first.strangers) + len(second.strangers) == 42
    assert first.size + second.size == 21
    assert max(first.strangers.max(), second.strangers.max()) < 0.6, "no stranger is enrolled"
    assert len(first.own) == first.size, "one image of each person is held out"
    assert first.own.min() > 0.7


def test_a_homogeneous_group_gets_a_higher_threshold_than_the_calibration_gives() -> None:
    given = portraits(16, alike=0.4)
    trials = halves(given, plan())
    figures = budget.at_target(trials, "1e-3")
    assert figures["bound"]["threshold"] > figures["calibration_alone"]["threshold"] + 0.05
    assert figures["bound"]["fpir"] == 0
    assert figures["calibration_alone"]["fpir"] > 0.01
    assert figures["bound"]["fnir"] == 0


def test_galleries_have_the_size_asked_for_even_beyond_half() -> None:
    given = portraits(20)
    assert {trial.size for trial in galleries(given, 4, plan())} == {4}
    large = galleries(given, 15, plan())
    assert {trial.size for trial in large} == {15}
    assert {len(trial.strangers) for trial in large} == {10}


def test_too_few_people_for_a_calibration_of_their_own_are_told_what_to_do() -> None:
    with pytest.raises(ValueError, match="--calibration shipped"):
        halves(portraits(12), plan(shipped=None))


def test_the_same_people_give_the_same_figures() -> None:
    given = portraits(12)
    once, again = (
        summarise(given, plan(), halves(given, plan()), {5: galleries(given, 5, plan())})
        for _ in range(2)
    )
    assert once == again
    json.dumps(once, allow_nan=False)


def test_the_report_stands_alone(tmp_path: Path) -> None:
    given = portraits(12)
    trials = halves(given, plan())
    figures = summarise(given, plan(), trials, {5: galleries(given, 5, plan())})
    write_budget_report(tmp_path, figures, given, trials)
    page = (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in page
    assert json.loads((tmp_path / "report.json").read_text())["people"] == 12
    assert "<svg" in (tmp_path / "predicted.svg").read_text()
