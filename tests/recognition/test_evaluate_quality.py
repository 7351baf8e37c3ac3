"""Error against discard: a quality that predicts errors lowers them, one that does not doesn't."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recognition.align import TEMPLATE
from recognition.evaluate.datasets import DatasetError, Pair, Portrait
from recognition.evaluate.quality import (
    DISCARDED,
    area,
    discard_curve,
    gain,
    ideal_curve,
    rate,
    spearman,
    summarise,
    without_curves,
)
from recognition.evaluate.quality_report import write_quality_report
from recognition.evaluate.verification import REJECTED, ScoredPairs
from recognition.quality import measure
from recognition.types import Shortfall

SHARES = np.array([0.0, 0.1, 0.2, 0.3])
TEN = np.arange(10.0)
TWO_FAIL = TEN < 2


class TestCurve:
    def test_discarding_the_rejected_pairs_first_is_ideal(self) -> None:
        curve = discard_curve(TWO_FAIL, TEN, SHARES)
        assert curve.tolist() == pytest.approx([2 / 10, 1 / 9, 0, 0])
        assert curve.tolist() == pytest.approx(ideal_curve(0.2, SHARES).tolist())

    def test_discarding_good_pairs_first_raises_the_error(self) -> None:
        curve = discard_curve(TWO_FAIL, -TEN, SHARES)
        assert curve.tolist() == pytest.approx([2 / 10, 2 / 9, 2 / 8, 2 / 7])

    def test_the_same_quality_everywhere_changes_nothing_in_whatever_order(self) -> None:
        for failed in (TWO_FAIL, TWO_FAIL[::-1]):
            curve = discard_curve(failed, np.ones(10), SHARES)
            assert curve.tolist() == pytest.approx([0.2] * 4)

    def test_a_pair_counts_as_often_as_its_weight(self) -> None:
        weights = np.array([2.0, 0, 1, 1])
        failed, quality = np.array([True, True, False, False]), np.arange(4.0)
        twice = discard_curve(failed, quality, SHARES, weights)
        spread = discard_curve(
            np.array([True, True, False, False]), np.array([0.0, 0, 2, 3]), SHARES
        )
        assert twice.tolist() == pytest.approx(spread.tolist())

    def test_its_area_is_its_mean(self) -> None:
        assert area(np.array([0.3, 0.1]), np.array([0, 0.5])) == pytest.approx(0.2)


class TestGain:
    def test_it_is_one_for_ideal_nothing_for_chance_and_negative_for_worse(self) -> None:
        assert gain(TWO_FAIL, TEN, SHARES) == pytest.approx(1)
        assert gain(TWO_FAIL, -TEN, SHARES) < 0
        mixed = np.array([1.0, 9, 2, 3, 4, 5, 6, 7, 8, 10])
        assert 0 < gain(TWO_FAIL, mixed, SHARES) < 1

    def test_it_is_none_without_errors_or_without_differences(self) -> None:
        assert math.isnan(gain(np.zeros(10, np.bool_), TEN, SHARES))
        assert math.isnan(gain(TWO_FAIL, np.ones(10), SHARES))


class TestSpearman:
    def test_it_sees_order_only(self) -> None:
        assert spearman(TEN, TEN**3) == pytest.approx(1)
        assert spearman(TEN, -np.exp(TEN)) == pytest.approx(-1)

    def test_ties_have_their_mean_rank(self) -> None:
        # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        assert spearman(np.array([0.0, 1, 1, 2]), TEN[:4]) == pytest.approx(0.9486833)

    def test_weights_are_repetitions(self) -> None:
        first, second = np.array([1.0, 5, 3, 4]), np.array([2.0, 1, 7, 8])
        weights = np.array([1, 3, 0, 2])
        repeated = spearman(np.repeat(first, weights), np.repeat(second, weights))
        assert spearman(first, second, weights.astype(float)) == pytest.approx(repeated)

    def test_a_constant_has_none(self) -> None:
        assert math.isnan(spearman(np.ones(4), TEN[:4]))


GOOD = measure(
    torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 255,
    torch.tensor([TEMPLATE]),
    torch.tensor([140.0]),
)[0]


def scored(folder: Path, *, missed: bool = False) -> ScoredPairs:
    """Twenty people, two images each; the worse the second image, the lower the score."""
    pairs, scores, paths, qualities = [], [], {}, {}
    for number in range(20):
        first, second = (Portrait(f"P{number:02d}", image) for image in (1, 2))
        pairs += [Pair(0, first, second), Pair(0, first, Portrait(f"P{(number + 1) % 20:02d}", 2))]
        scores += [0.3 + number / 40, number / 100]
        for portrait, score in ((first, 0.9), (second, 0.1 + number / 40)):
            path = folder / portrait.person / f"{portrait.number}.png"
            paths[portrait] = path
            low = None if score > 0.55 else Shortfall.BLURRED
            shares = {**GOOD.components, Shortfall.BLURRED: score}
            qualities[path] = replace(GOOD, score=score, components=shares, shortfall=low)
    failed = np.zeros(40, np.bool_)
    if missed:
        failed[0], scores[0] = True, REJECTED
        del qualities[paths[pairs[0].second]]
    return ScoredPairs(pairs, np.array(scores), failed, 40, (), paths, qualities)


def test_a_pair_is_as_good_as_its_worse_image(tmp_path: Path) -> None:
    rated = rate(scored(tmp_path))
    assert rated.qualities["score"].tolist() == pytest.approx([0.1 + n / 40 for n in range(20)])
    assert rated.qualities["TOO_FAR"].tolist() == [GOOD.components[Shortfall.TOO_FAR]] * 20


def test_a_quality_that_follows_the_score_wins_all_there_is(tmp_path: Path) -> None:
    made = scored(tmp_path)
    figures = json.loads(json.dumps(summarise(made, rate(made)), allow_nan=False))
    assert figures["spearman"]["score"]["value"] == pytest.approx(1)
    assert figures["spearman"]["certainty"] == {"value": None, "interval95": None}
    at = figures["at"]["fnmr_0.1"]
    assert at["fnmr"] == pytest.approx(0.1)
    assert at["by"]["score"]["gain"]["value"] == pytest.approx(1)
    assert at["by"]["BLURRED"]["gain"]["value"] == pytest.approx(1)
    assert at["by"]["score"]["area"] == pytest.approx(at["ideal"]["area"])
    assert at["by"]["TOO_FAR"]["gain"]["value"] is None
    assert len(at["by"]["score"]["curve"]) == len(DISCARDED) == len(figures["discarded"])


def test_a_face_that_was_not_found_has_no_quality_and_is_counted(tmp_path: Path) -> None:
    made = scored(tmp_path, missed=True)
    figures = summarise(made, rate(made))
    assert figures["genuine"] == {"rated": 19, "not_found": 1}


def test_pairs_of_one_kind_only_are_refused(tmp_path: Path) -> None:
    made = scored(tmp_path)
    only = replace(made, pairs=made.pairs[::2], scores=made.scores[::2], failed=made.failed[::2])
    with pytest.raises(DatasetError, match="no pairs of one and of two people"):
        rate(only)


def test_the_report_shows_the_worst_and_the_best_faces(tmp_path: Path) -> None:
    made = scored(tmp_path / "faces")
    for path in made.paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), "teal").save(path)
    rated = rate(made)
    figures = summarise(made, rated)
    write_quality_report(tmp_path / "out", figures, made, rated)
    page = (tmp_path / "out" / "report.html").read_text()
    lowest, highest = page.index("Lowest quality"), page.index("Highest quality")
    assert lowest < page.index("P00/2.png") < highest
    assert "0.100</strong>; BLURRED" in page
    assert json.loads((tmp_path / "out" / "report.json").read_text())["images"] == 40
    assert (tmp_path / "out" / "discard-fmr_1e-3.svg").read_text().startswith("<?xml")
    assert str(tmp_path) not in page


def test_figures_for_reading_leave_the_curves_out(tmp_path: Path) -> None:
    made = scored(tmp_path)
    assert "curve" not in json.dumps(without_curves(summarise(made, rate(made))))
