"""A calibration counts every pair of images of two people, and says what stands behind it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recognition.evaluate.calibration import _table, all_scores, calibrate, calibration_path
from recognition.fusion import FUSED
from recognition.types import ModelInfo
from recognition.weights import MODELS

MODEL = ModelInfo("net", "1", "0" * 64, "MIT", 16)


def embeddings(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def test_every_pair_is_compared_once() -> None:
    vectors, people = embeddings(12), list("aabbbcdefgga")
    genuine, impostor = all_scores(vectors, people)
    expected: dict[bool, list[float]] = {True: [], False: []}
    for i in range(12):
        for j in range(i + 1, 12):
            expected[people[i] == people[j]].append(float(vectors[i] @ vectors[j]))
    np.testing.assert_allclose(np.sort(genuine), np.sort(expected[True]), atol=1e-6)
    np.testing.assert_allclose(np.sort(impostor), np.sort(expected[False]), atol=1e-6)


def rows(vectors: np.ndarray, people: list[str]) -> list[dict[str, Any]]:
    table = calibrate(vectors, people, MODEL, "made up")["thresholds"]
    assert isinstance(table, list)
    return table


def test_each_measured_threshold_keeps_its_false_match_rate() -> None:
    vectors, people = embeddings(800), [str(number // 2) for number in range(800)]
    _, impostor = all_scores(vectors, people)
    measured = [row for row in rows(vectors, people) if not row["extrapolated"]]
    assert [row["fmr"] for row in measured] == ["1e-2", "1e-3", "1e-4"]
    for row in measured:
        accepted = int((impostor >= row["threshold"]).sum())
        assert accepted == row["false_matches"]
        assert accepted <= float(row["fmr"]) * len(impostor)


def test_a_rate_that_too_few_pairs_would_show_is_extrapolated_and_says_so() -> None:
    table = rows(embeddings(800), [str(number // 2) for number in range(800)])
    assert [row["fmr"] for row in table if row["extrapolated"]] == ["1e-5", "1e-6"]
    thresholds = [row["threshold"] for row in table]
    assert thresholds == sorted(thresholds)


def test_the_extrapolation_of_a_normal_tail_is_the_normal_tail() -> None:
    scores = np.random.default_rng(1).normal(0.0, 0.14, size=4_000_000)
    table = _table(np.zeros(0), scores)
    assert table[-1]["extrapolated"]
    assert table[-1]["threshold"] == pytest.approx(0.14 * 4.7534, abs=0.02)


def test_with_fewer_than_two_measured_rates_nothing_is_extrapolated() -> None:
    table = rows(embeddings(100), [str(number) for number in range(100)])
    assert [row["fmr"] for row in table] == ["1e-2"]


def test_one_person_alone_gives_no_calibration() -> None:
    with pytest.raises(ValueError, match="two people"):
        calibrate(embeddings(3), ["a", "a", "a"], MODEL, "made up")


@pytest.mark.parametrize("info", [MODELS["mobilefacenet"].info, FUSED])
def test_the_shipped_calibrations_are_of_the_shipped_embedders(info: ModelInfo) -> None:
    shipped = json.loads(calibration_path(info.name).read_text())
    assert shipped["model"] == {
        "name": info.name,
        "version": info.version,
        "sha256": info.sha256,
    }
    thresholds = [row["threshold"] for row in shipped["thresholds"]]
    assert thresholds == sorted(thresholds)
    assert [row["fmr"] for row in shipped["thresholds"]] == ["1e-2", "1e-3", "1e-4", "1e-5", "1e-6"]
    assert shipped["impostor"]["pairs"] > 4_000_000
    assert all(0 < row["tar"] <= 1 for row in shipped["thresholds"])
