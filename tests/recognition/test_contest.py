"""Systems take turns on the same frames; times are compared by their medians."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recognition.bench.contest import OURS, Candidate, Event, Ours, Run, Task, medians, race, ratio
from recognition.bench.frames import BenchError, prepare_frames
from recognition.bench.peers import frames_of_datasets, frames_of_portraits
from recognition.bench.recall import image_folder
from recognition.images import decode
from recognition.pipeline import Pipeline


class Recorder:
    """Writes into a common list what it is asked to do."""

    def __init__(self, name: str, log: list[tuple[str, Task, str]]) -> None:
        self.name = name
        self._log = log

    def keep(self, key: str, candidate: Candidate) -> None:
        raise AssertionError("frames are handed over before")

    def run(self, task: Task, key: str) -> Run:
        self._log.append((self.name, task, key))
        return Run(ms=len(self._log), cpu_ms=1, faces=1)


def test_systems_take_turns_and_each_begins_as_often() -> None:
    log: list[tuple[str, Task, str]] = []
    first, second = Recorder("first", log), Recorder("second", log)
    event = Event("detect", ("a", "b"), (first, second))
    counts: list[tuple[int, int]] = []
    race({"event": event}, rounds=2, progress=lambda done, total: counts.append((done, total)))
    rounds = [log[start : start + 4] for start in range(0, len(log), 4)]
    assert [[name for name, _, _ in each] for each in rounds] == [
        ["first", "first", "second", "second"],
        ["second", "second", "first", "first"],
    ] * 2
    assert all([key for _, _, key in each] == ["a", "b"] * 2 for each in rounds)
    assert counts == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_first_two_rounds_do_not_count() -> None:
    log: list[tuple[str, Task, str]] = []
    event = Event("chain", ("a",), (Recorder("only", log),))
    runs = race({"event": event}, rounds=3, progress=lambda done, total: None)
    assert [run.ms for run in runs["event"]["only"]] == [3, 4, 5]


def test_medians_leave_outliers_out() -> None:
    runs = [Run(1, 0.5, 1), Run(2, 1.5, 1), Run(1000, 3, 0)]
    assert medians(runs) == {"ms": 2, "cpu_ms": 1.5, "faces": 0.667, "runs": 3}


def test_the_ratio_is_above_one_where_the_peer_takes_longer() -> None:
    times = {OURS: {"ms": 20.0, "cpu_ms": 10.0}, "peer": {"ms": 50.0, "cpu_ms": 40.0}}
    assert ratio(times, "peer") == 2.5
    assert ratio(times, "peer", of="cpu_ms") == 4


@pytest.fixture(scope="module")
def frame(pipeline: Pipeline, face_files: dict[str, Path]) -> bytes:
    return prepare_frames(pipeline, face_files["astronaut.png"].read_bytes()).with_face


def test_our_pipeline_does_both_tasks(pipeline: Pipeline, frame: bytes) -> None:
    ours = Ours(pipeline, 40)
    ours.keep("face", Candidate(decode(frame).pixels, frame))
    ours.keep("blank", Candidate(np.full((480, 640, 3), 128, dtype=np.uint8)))
    chain, detection, blank = (
        ours.run("chain", "face"),
        ours.run("detect", "face"),
        ours.run("detect", "blank"),
    )
    assert (chain.faces, detection.faces, blank.faces) == (1, 1, 0)
    ((x1, y1, x2, y2),) = detection.boxes
    assert x1 < 320 < x2
    assert y1 < 240 < y2
    assert min(run.ms for run in (chain, detection, blank)) > 0


def test_frames_of_portraits_have_one_face_between_100_and_200_pixels(
    pipeline: Pipeline, face_files: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"")
    timed = frames_of_portraits(pipeline, [*sorted(face_files.values()), broken])
    assert len(timed.with_face) >= 5
    heights = []
    for image in timed.with_face:
        assert image.jpeg is not None
        assert image.pixels.shape == (480, 640, 3)
        (face,) = pipeline.analyse([image.jpeg])[0].faces
        heights.append(face.box[3] - face.box[1])
    assert min(heights) > 90
    assert max(heights) < 220
    assert timed.without_face.jpeg is not None
    assert pipeline.analyse([timed.without_face.jpeg])[0].faces == ()


def test_without_a_usable_portrait_nothing_is_timed(pipeline: Pipeline, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"")
    with pytest.raises(BenchError, match="no frame with one face"):
        frames_of_portraits(pipeline, [broken])


def test_frames_of_a_data_set_are_preferred_where_they_fit(
    pipeline: Pipeline, face_files: dict[str, Path], frame: bytes, tmp_path: Path
) -> None:
    otherwise = frames_of_portraits(pipeline, [face_files["obama.jpg"]])
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(frame)
    fitting = image_folder("webcam", tmp_path, 100)
    timed = frames_of_datasets(pipeline, [fitting], otherwise)
    assert timed.source == "webcam"
    assert len(timed.with_face) == 6
    few = image_folder("webcam", tmp_path, 5)
    assert frames_of_datasets(pipeline, [few], otherwise) == otherwise
    assert frames_of_datasets(pipeline, [], otherwise).source == "portraits"
