"""Faces found and missed are counted as by hand, and the points' error as its formula says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recognition.commands import main
from recognition.detections import Detections
from recognition.evaluate.detection import (
    Matched,
    froc,
    match,
    point_errors,
    run_detectors,
    summarise,
)
from recognition.mtcnn import Mtcnn
from recognition.training.cascade.annotations import (
    AnnotatedFace,
    AnnotatedImage,
    Truth,
    write_annotations,
)
from recognition.types import Pixels
from recognition.weights import save_trained
from tests.recognition.training.drawn_faces import drawn_images

FIVE = np.array([[3.0, 4], [7, 4], [5, 6], [4, 8], [6, 8]])


def truth(*boxes: list[float], ignored: tuple[int, ...] = ()) -> Truth:
    array = np.array(boxes, np.float64).reshape(-1, 4)
    points = FIVE + array[:, None, :2]
    out = np.array([row in ignored for row in range(len(boxes))], np.bool_)
    return Truth(array, points, out, complete=True)


def found(of: Truth, *detections: tuple[list[float], float]) -> Matched:
    boxes = np.array([box for box, _ in detections], np.float64).reshape(-1, 4)
    scores = np.array([score for _, score in detections])
    return match(of, boxes, FIVE + boxes[:, None, :2], scores)


def test_a_face_is_found_once_by_the_surest_detection() -> None:
    one = found(truth([0, 0, 10, 10]), ([0, 0, 10, 9], 0.8), ([0, 0, 10, 10], 0.9))
    assert one.scores.tolist() == [0.9, 0.8]
    assert one.faces.tolist() == [0, -1]


def test_half_of_the_union_finds_a_face_and_less_does_not() -> None:
    of = truth([0, 0, 10, 10])
    assert found(of, ([0, 0, 10, 5], 0.9)).faces.tolist() == [0]
    assert found(of, ([0, 0, 10, 4.9], 0.9)).faces.tolist() == [-1]


def test_a_detection_that_overlaps_two_faces_takes_the_nearer_free_one() -> None:
    of = truth([0, 0, 10, 10], [2, 0, 12, 10])
    one = found(of, ([0, 0, 10, 10], 0.9), ([0.5, 0, 10.5, 10], 0.8))
    assert one.faces.tolist() == [0, 1]


def test_what_lies_on_an_ignored_face_counts_neither_way() -> None:
    of = truth([0, 0, 10, 10], [50, 50, 90, 90], ignored=(1,))
    one = found(of, ([50, 50, 90, 90], 0.99), ([60, 60, 70, 70], 0.95), ([0, 0, 10, 10], 0.9))
    assert one.total == 1
    assert one.scores.tolist() == [0.9]


def test_recall_and_false_positives_are_those_of_counting_at_every_threshold() -> None:
    draw = np.random.default_rng(4)
    matched = []
    for _ in range(20):
        scores = -np.sort(-draw.integers(0, 12, 6) / 12)
        faces = np.where(draw.random(6) < 0.5, np.arange(6), -1)
        matched.append(Matched(scores, faces, np.full(6, np.nan), 7))
    curve = froc(matched)
    assert curve.scores.tolist() == sorted({s for one in matched for s in one.scores}, reverse=True)
    for score, recall, rate in zip(curve.scores, curve.recall, curve.false_positives, strict=True):
        kept = [
            (s >= score, face >= 0)
            for one in matched
            for s, face in zip(one.scores, one.faces, strict=True)
        ]
        assert recall == pytest.approx(sum(in_it and hit for in_it, hit in kept) / 140)
        assert rate == pytest.approx(sum(in_it and not hit for in_it, hit in kept) / 20)
    allowed = [r for r, f in zip(curve.recall, curve.false_positives, strict=True) if f <= 1]
    assert curve.recall_at(1.0) == max(allowed)


def test_where_the_surest_are_all_false_there_is_no_recall_without_them() -> None:
    of = truth([0, 0, 10, 10])
    curve = froc([found(of, *(([20.0 + n, 20, 30 + n, 30], 0.9) for n in (0, 20)))])
    assert curve.recall_at(1.0) == 0
    assert curve.threshold_at(1.0) == 1


def test_nothing_found_is_no_recall_and_no_face_is_refused() -> None:
    assert froc([found(truth([0, 0, 10, 10]))]).recall_at(1.0) == 0
    with pytest.raises(ValueError, match="no face"):
        froc([found(truth(), ([0, 0, 10, 10], 0.9))])


def test_the_points_error_is_the_mean_distance_over_that_of_the_eyes() -> None:
    off = FIVE + np.array([[3, 4], [0, 0], [0, 0], [0, 0], [0, 5]])
    boxes = np.array([[0.0, 0, 10, 10]])
    assert point_errors(off[None], FIVE[None], boxes)[0] == pytest.approx((5 + 5) / 5 / 4)


def test_a_profile_and_a_face_without_points_have_no_error() -> None:
    boxes = np.array([[0.0, 0, 10, 10]])
    profile = FIVE.copy()
    profile[1] = profile[0] + np.array([1.4, 0])
    unknown = np.full((1, 5, 2), np.nan)
    assert np.isnan(point_errors(FIVE[None], profile[None], boxes)[0])
    assert np.isnan(point_errors(FIVE[None], unknown, boxes)[0])


def test_figures_tell_a_perfect_detector_from_a_worse_one(tmp_path: Path) -> None:
    images = drawn_images(tmp_path, 4)
    truths = [Truth.of(image) for image in images]
    count = iter(range(100))

    def perfect(pixels: Sequence[Pixels]) -> list[Detections]:
        return [_detections(truths[next(count) % 4], 0.0) for _ in pixels]

    def worse(pixels: Sequence[Pixels]) -> list[Detections]:
        return [_detections(truths[next(count) % 4], 2.0, most=1) for _ in pixels]

    matched = run_detectors({"perfect": perfect, "worse": worse}, images)
    figures = summarise(matched, 0.85)
    assert figures["images"] == 4
    assert figures["faces"] == 6
    assert figures["perfect"]["recall_at_1_fp"] == 1
    assert figures["perfect"]["point_error"]["median"] == 0
    assert figures["worse"]["recall_at_1_fp"] == pytest.approx(4 / 6, abs=1e-4)
    assert figures["worse"]["point_error"]["median"] > 0.05
    assert figures["found_by_all"]["faces"] == 4
    assert figures["worse"]["as_shipped"]["false_positives"] == 0
    json.dumps(figures, allow_nan=False)


def _detections(of: Truth, shift: float, most: int = 9) -> Detections:
    rows = min(most, len(of.boxes))
    return Detections(
        torch.zeros(rows, dtype=torch.int64),
        torch.from_numpy(of.boxes[:rows]).float(),
        torch.from_numpy(of.points[:rows] + shift).float(),
        torch.full((rows,), 0.9),
    )


def measured(
    folder: Path, weights: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> dict[str, Any]:
    """What the command prints of drawn images and these weights beside the shipped ones."""
    write_annotations(folder / "faces.jsonl", drawn_images(folder, 3))
    arguments = ["evaluate", "detection", "--annotations", str(folder / "faces.jsonl")]
    arguments += ["--weights", str(weights), "--smallest-face", "40", "--json", *more]
    assert main(arguments) == 0
    figures: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return figures


@pytest.fixture
def at_home(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(models_dir.parent))


@pytest.mark.usefixtures("at_home")
def test_the_command_puts_trained_weights_beside_the_shipped_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    save_trained(tmp_path / "run" / "mtcnn.safetensors", Mtcnn(), {})
    report = tmp_path / "report"
    more = ("--thresholds", "0.5", "0.3", "--report", str(report))
    figures = measured(tmp_path, tmp_path / "run", capsys, *more)
    assert figures["faces"] == 4
    for name in ("shipped", "trained"):
        assert figures[name]["thresholds"] == [0.5, 0.3]
        assert 0 <= figures[name]["recall_at_1_fp"] <= 1
    for name in ("report.html", "report.json", "froc.svg"):
        assert (report / name).stat().st_size > 0


@pytest.mark.usefixtures("at_home")
def test_each_cascade_is_run_with_the_thresholds_of_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_trained(tmp_path / "w.safetensors", Mtcnn(), {"thresholds": [0.9, 0.8, 0.85]})
    figures = measured(tmp_path, tmp_path / "w.safetensors", capsys)
    assert figures["shipped"]["thresholds"] == [0.6, 0.7]
    assert figures["trained"]["thresholds"] == [0.9, 0.8]


def test_the_command_refuses_images_in_which_not_all_faces_are_annotated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [
        AnnotatedImage(one.path, one.faces, complete=False) for one in drawn_images(tmp_path, 2)
    ]
    write_annotations(tmp_path / "faces.jsonl", images)
    assert main(["evaluate", "detection", "--annotations", str(tmp_path / "faces.jsonl")]) == 1
    assert "not all faces are annotated" in capsys.readouterr().err


def test_the_command_refuses_images_without_a_face(
    models_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(models_dir.parent))
    ignored = [
        AnnotatedImage(one.path, (AnnotatedFace((1, 1, 9, 9), None, ignored=True),))
        for one in drawn_images(tmp_path, 1)
    ]
    write_annotations(tmp_path / "faces.jsonl", ignored)
    assert main(["evaluate", "detection", "--annotations", str(tmp_path / "faces.jsonl")]) == 1
    assert "no face to be found" in capsys.readouterr().err
