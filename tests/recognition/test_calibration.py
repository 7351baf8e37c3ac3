"""A calibration counts every pair of images of two people, and says what stands behind it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recognition.evaluate.calibration import all_scores, calibrate, calibration_path
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


def test_each_threshold_keeps_its_false_match_rate() -> None:
    vectors, people = embeddings(150), [str(number // 2) for number in range(150)]
    _, impostor = all_scores(vectors, people)
    calibration = calibrate(vectors, people, MODEL, "made up")
    table = calibration["thresholds"]
    assert isinstance(table, list)
    assert [row["fmr"] for row in table] == ["1e-2", "1e-3", "1e-4"]
    for row in table:
        accepted = int((impostor >= row["threshold"]).sum())
        assert accepted == row["false_matches"]
        assert accepted <= float(row["fmr"]) * len(impostor)


def test_a_rate_that_the_data_cannot_show_is_left_out() -> None:
    calibration = calibrate(embeddings(20), [str(n) for n in range(20)], MODEL, "made up")
    table = calibration["thresholds"]
    assert isinstance(table, list)
    assert [row["fmr"] for row in table] == ["1e-2"]


def test_one_person_alone_gives_no_calibration() -> None:
    with pytest.raises(ValueError, match="two people"):
        calibrate(embeddings(3), ["a", "a", "a"], MODEL, "made up")


def test_the_shipped_calibration_is_of_the_shipped_embedder() -> None:
    shipped = json.loads(calibration_path("mobilefacenet").read_text())
    info = MODELS["mobilefacenet"].info
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
