"""APCER for each kind of attack, BPCER, AUC: counted by hand, over people, worst kind first."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.pad import (
    PadScores,
    auc,
    by_kind,
    calibrate,
    curve,
    equal_error,
    summarise,
    together,
    upper_bound,
)
from recognition.evaluate.pad_data import KINDS, NOT_EVALUATED
from recognition.pad_threshold import calibration_path, pad_threshold
from recognition.types import ModelInfo
from recognition.weights import MODELS, published


def scored(**kinds: list[float]) -> PadScores:
    """Scores by kind; each kind's first half is of person a, the rest of b."""
    rows = [(kind, n, score) for kind, found in kinds.items() for n, score in enumerate(found)]
    return PadScores(
        np.array([score for _, _, score in rows]),
        np.ones(len(rows)),
        tuple(kind for kind, _, _ in rows),
        tuple("a" if n < len(kinds[kind]) / 2 else "b" for kind, n, _ in rows),
    )


SOME = scored(live=[0.1, 0.2, 0.3, 0.8], print=[0.7, 0.9, 0.9, 0.9], screen=[0.2, 0.4, 0.9, 0.9])


def test_each_kind_of_attack_has_a_rate_of_its_own() -> None:
    found = summarise(SOME, 0.5)
    assert found["apcer"] == {"print": 0.0, "screen": 0.5}
    assert found["bpcer"] == 0.25
    assert found["presentations"] == {"live": 4, "print": 4, "screen": 4}
    assert found["people"] == 2


def test_a_score_at_the_threshold_is_an_attack() -> None:
    found = summarise(scored(live=[0.1, 0.5], print=[0.5, 0.9]), 0.5)
    assert (found["apcer"]["print"], found["bpcer"]) == (0.0, 0.5)


def test_the_auc_is_the_share_of_pairs_in_order_a_tie_counting_half() -> None:
    scores, attack = np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, False, True, True])
    assert auc(scores, attack) == (1 + 1 + 1 + 0.5) / 4
    assert auc(scores, attack, np.array([1.0, 0, 1, 1])) == 1
    assert np.isnan(auc(scores, attack, np.array([0.0, 0, 1, 1])))


def test_the_equal_error_is_that_of_the_worst_kind_and_lies_in_the_middle() -> None:
    rate, threshold = equal_error(scored(live=[0.1, 0.3], print=[0.7, 0.9], screen=[0.5, 0.9]))
    assert rate == 0
    assert threshold == pytest.approx(0.4)
    assert equal_error(SOME)[0] == pytest.approx(0.25)


def test_intervals_come_from_drawing_people() -> None:
    # All errors are person b's: a draw of a alone has none, of b alone only errors.
    found = summarise(scored(live=[0.1, 0.1, 0.9, 0.9], print=[0.9, 0.9, 0.1, 0.1]), 0.5)
    assert found["interval95"]["bpcer"] == (0, 1)
    assert found["interval95"]["apcer"]["print"] == (0, 1)


@pytest.mark.parametrize(
    ("errors", "count", "bound"), [(0, 105, 0.0281), (0, 21, 0.1329), (1, 20, 0.2161), (5, 5, 1.0)]
)
def test_no_error_seen_does_not_mean_that_there_is_none(
    errors: int, count: int, bound: float
) -> None:
    assert upper_bound(errors / count, count) == pytest.approx(bound, abs=1e-4)


def test_a_kind_that_was_not_shown_says_so() -> None:
    frames = summarise(SOME, 0.5)
    clips: list[dict[str, object]] = [
        {"kind": "phone", "taken_for": "live"},
        {"kind": "phone", "taken_for": "attack"},
        {"kind": "phone", "taken_for": None},
        {"kind": "live", "taken_for": "attack"},
    ]
    found = by_kind(frames, None, clips)
    assert set(found) == {*KINDS, "screen"}
    assert {kind for kind, said in found.items() if said == NOT_EVALUATED} == {
        "tablet", "laptop", "video replay",
    }  # fmt: skip
    assert (found["screen"]["apcer"], found["screen"]["frames"]) == (0.5, 4)
    assert (found["phone"]["clips"], found["phone"]["clips_taken_for_live"]) == (3, 1)
    assert found["phone"]["apcer"] is None, "no frame of them had a score"


def test_without_a_kind_of_either_there_are_no_figures() -> None:
    for one_sided in (scored(live=[0.1]), scored(print=[0.9])):
        with pytest.raises(DatasetError):
            summarise(one_sided, 0.5)
        with pytest.raises(DatasetError):
            equal_error(one_sided)


def test_frames_are_averaged_within_one_person_and_kind() -> None:
    frames = PadScores(
        np.array([0.0, 1.0, 0.5, 0.5, 0.2, 0.9]),
        np.array([3.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("live", "live", "live", "print", "print", "print"),
        ("a", "a", "a", "a", "a", "b"),
    )
    found = together(frames, 2)
    assert found.scores.tolist() == pytest.approx([0.25, 0.35])
    assert list(zip(found.kinds, found.people, strict=True)) == [("live", "a"), ("print", "a")]


def test_the_curve_goes_from_refusing_all_to_accepting_most() -> None:
    points = curve(SOME)
    assert points[0]["bpcer"] == 1
    assert points[0]["apcer"] == {"print": 0, "screen": 0}
    assert all(b["bpcer"] <= a["bpcer"] for a, b in pairwise(points))


def test_a_calibration_holds_for_exactly_the_weights_it_was_made_with() -> None:
    model = published("minifasnet").info
    threshold = pad_threshold(model)
    assert threshold is not None
    assert 0 < threshold < 1
    assert json.loads(calibration_path("minifasnet").read_text())["model"]["sha256"] == model.sha256
    assert pad_threshold(replace(model, sha256="0" * 64)) is None
    assert pad_threshold(MODELS["antispoofing"].info) is None, "too weak to decide by"
    assert pad_threshold(None) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"threshold": 0.5}', "null"])
def test_a_calibration_that_cannot_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    path = tmp_path / "net.json"
    path.write_text(content)
    monkeypatch.setattr("recognition.pad_threshold.calibration_path", lambda name: path)
    assert pad_threshold(ModelInfo("net", "1", "0" * 64, "MIT", 0)) is None


@pytest.mark.parametrize("threshold", [0, 1, -1, 2, "NaN", None, "Infinity"])
def test_a_calibrated_threshold_that_cannot_be_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: object
) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"model": {"sha256": "0" * 64}, "threshold": threshold}))
    monkeypatch.setattr("recognition.pad_threshold.calibration_path", lambda name: path)
    assert pad_threshold(ModelInfo("net", "1", "0" * 64, "MIT", 0)) is None


def test_what_is_calibrated_says_what_stands_behind_it() -> None:
    found = calibrate(SOME, {"name": "net"}, "made up")
    assert found["frames"] == {"live": 4, "print": 4, "screen": 4}
    assert found["eer"] == pytest.approx(0.25)
    assert (found["highest_live"], found["lowest_attack"]) == (0.8, 0.2)
