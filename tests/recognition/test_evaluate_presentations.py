"""`evaluate presentations`: its figures against made evidence, and the command on real faces."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from accesscontrol.assurance import Assurance
from recognition.commands import main
from recognition.evaluate import composed
from recognition.evaluate.composed import Composed
from recognition.evaluate.presentations import (
    Followed,
    Ruling,
    Step,
    decide,
    rates,
    summarise,
    tally,
)
from recognition.search import Gallery
from recognition.types import Pixels
from tests.enrolled import Vector, turned, unit
from tests.recognition.test_composed import CLIPS
from tests.recognition.walk import picture

ANNA, BERT = unit(1), unit(2)
GALLERY = Gallery.of({"anna": [unit(7), ANNA], "bert": [BERT], "carl": [unit(3)]})
RULING = Ruling(0.6, 0.05, Assurance(0.1, 2, 5))
SCENE = Composed("two side by side", tuple(CLIPS[:2]))


def followed(owner: str, *probes: Vector, scene: Composed = SCENE) -> Followed:
    steps = [Step(probe, n, float(n), 100 * n) for n, probe in enumerate(probes, 1)]
    return Followed(scene, Counter({owner: len(probes)}), list(probes), steps)


class TestGallery:
    def test_a_person_scores_as_their_best_template(self) -> None:
        found = GALLERY.scores(np.stack([ANNA, BERT]))
        assert found.shape == (2, 3)
        assert found[0, 0] == pytest.approx(1, abs=1e-5)
        assert found.argmax(axis=1).tolist() == [0, 1]


class TestDecide:
    def test_a_clear_match_is_accepted_with_the_second_frame(self) -> None:
        verdict = decide(followed("anna", *[ANNA] * 6), GALLERY, RULING)
        assert (verdict.accepted_as, verdict.frames, verdict.elapsed_ms) == ("anna", 2, 200)

    def test_a_doubtful_one_later(self) -> None:
        verdict = decide(followed("anna", *[turned(ANNA, 0.61, 5)] * 6), GALLERY, RULING)
        assert (verdict.accepted_as, verdict.frames) == ("anna", 5)

    def test_a_stranger_is_refused_at_the_end(self) -> None:
        verdict = decide(followed("dora", *[unit(9)] * 6), GALLERY, RULING)
        assert (verdict.accepted_as, verdict.frames) == (None, 6)

    def test_below_the_threshold_no_number_of_frames_is_enough(self) -> None:
        verdict = decide(followed("anna", *[turned(ANNA, 0.599, 5)] * 60), GALLERY, RULING)
        assert verdict.accepted_as is None

    def test_somebody_left_out_is_found_by_nobody(self) -> None:
        assert decide(followed("anna", *[ANNA] * 6), GALLERY, RULING, "anna").accepted_as is None


class TestRates:
    def test_single_frames_and_presentations_are_counted_apart(self) -> None:
        one = followed("anna", unit(9), ANNA, ANNA)
        one.steps[-1] = Step(ANNA, 3, 3.0, 300)
        found = rates([one, followed("bert", BERT, BERT)], GALLERY, RULING)
        assert found["single_frame"].fnir == pytest.approx(1 / 5)
        assert found["single_frame"].searches == 5
        assert found["all_frames"].fnir == 0
        assert found["as_decided"].fnir == 0
        assert all(rate.fpir == 0 for rate in found.values())

    def test_whoever_is_taken_for_another_without_their_own_template_counts(self) -> None:
        twin = Gallery.of({"anna": [ANNA], "bert": [turned(ANNA, 0.95, 5)]})
        found = rates([followed("anna", ANNA, ANNA)], twin, RULING)
        assert [rate.fpir for rate in found.values()] == [1, 1, 1]


class TestTally:
    def counts(self, *people: Followed) -> dict[str, int]:
        verdicts = [decide(one, GALLERY, RULING) for one in people]
        return tally([SCENE], people, verdicts)[SCENE.kind]

    def test_one_for_each(self) -> None:
        counts = self.counts(followed("anna", ANNA, ANNA), followed("bert", BERT, BERT))
        assert counts == {
            "scenes": 1, "people": 2, "one_decision": 2, "several": 0, "no_decision": 0,
            "accepted": 2, "accepted_as_another": 0, "swaps": 0,
        }  # fmt: skip

    def test_two_for_one_and_none_for_the_other(self) -> None:
        counts = self.counts(followed("anna", ANNA, ANNA), followed("anna", ANNA))
        assert (counts["several"], counts["no_decision"], counts["one_decision"]) == (1, 1, 0)

    def test_one_on_anothers_evidence(self) -> None:
        mixed = followed("anna", BERT, BERT)
        mixed.owners["bert"] += 1
        counts = self.counts(mixed)
        assert (counts["swaps"], counts["accepted_as_another"], counts["accepted"]) == (1, 1, 0)

    def test_the_figures_are_ready_for_json(self) -> None:
        figures = summarise([SCENE], [followed("anna", ANNA)], GALLERY, {"1e-6": RULING}, "1e-6")
        assert json.loads(json.dumps(figures, allow_nan=False))["frames_to_decision"] == {
            "median": None, "p95": None,
        }  # fmt: skip


def write_clip(path: Path, portrait: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = cv2.imdecode(np.frombuffer(picture(portrait), np.uint8), cv2.IMREAD_COLOR)
    assert frame is not None
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    for _ in range(4):
        video.write(frame)
    video.release()


def test_the_command_writes_a_page_that_loads_nothing(
    tmp_path: Path,
    portraits: dict[str, Pixels],
    models_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(models_dir.parent))
    monkeypatch.setattr(composed, "SCENE_FRAMES", 6)
    monkeypatch.setattr(composed, "GAP_FRAMES", 2)
    for person, names in {
        "b": ("obama.jpg", "obama2.jpg"),
        "j": ("biden.jpg", "biden.jpg"),
    }.items():
        for number, name in enumerate(names):
            write_clip(tmp_path / "clips" / person / f"{number}.avi", portraits[name])
    command = ["evaluate", "presentations", "--clips", str(tmp_path / "clips"), "--scenes", "1"]
    assert main([*command, "--json", "--report", str(tmp_path / "report")]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["people"] >= 10
    assert figures["accepted_as_another"] == 0
    assert set(figures["rates"]) == {"1e-2", "1e-3", "1e-4", "1e-5", "1e-6"}
    page = (tmp_path / "report" / "report.html").read_text()
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == figures


def test_one_clip_of_a_person_is_not_enough(
    tmp_path: Path,
    portraits: dict[str, Pixels],
    models_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(models_dir.parent))
    for person in "bj":
        write_clip(tmp_path / person / "one.avi", portraits["obama.jpg"])
    assert main(["evaluate", "presentations", "--clips", str(tmp_path)]) != 0
    assert "beside the one that enrols them" in capsys.readouterr().err
