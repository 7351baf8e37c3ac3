"""The three networks are trained in turn; killed at any moment the whole goes on as if it had not
been."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recognition.commands import main
from recognition.mtcnn import Mtcnn, load_cascade
from recognition.training.cascade.annotations import (
    AnnotatedImage,
    read_annotations,
    write_annotations,
)
from recognition.training.cascade.run import WEIGHTS, CascadeConfig, StageConfig, train_cascade
from recognition.training.cascade.trainee import STAGES
from recognition.training.trainer import TrainingError
from recognition.weights import WeightsError, load_trained, save_trained
from tests.recognition.training.drawn_faces import drawn_images

CONFIG = CascadeConfig(
    smallest_face=60,
    stages={stage: StageConfig(6, 14, 1e-3) for stage in STAGES},
    checkpoint_every=2,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_annotations(folder / "faces.jsonl", drawn_images(folder, 6))
    return folder / "faces.jsonl"


@pytest.fixture(scope="module")
def images(file: Path) -> list[AnnotatedImage]:
    return read_annotations(file)


@pytest.fixture(scope="module")
def whole(images: list[AnnotatedImage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train_cascade(images, folder, CONFIG)
    return folder


def weights(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


def test_the_weights_are_such_as_the_cascade_loads(whole: Path) -> None:
    net = Mtcnn()
    load_trained(net, whole / WEIGHTS)
    assert not net.training
    fresh = Mtcnn().state_dict()
    assert all(not torch.equal(value, fresh[name]) for name, value in net.state_dict().items())


def test_windows_of_the_photographs_are_not_kept(whole: Path) -> None:
    assert not any(path.is_file() for path in (whole / "samples").rglob("*"))


def test_a_finished_run_says_the_same_again_without_training(
    images: list[AnnotatedImage], whole: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.glob("*net/**/*")}
    first = train_cascade(images, whole, CONFIG)
    assert first == train_cascade(images, whole, CONFIG)
    assert {path: path.stat().st_mtime_ns for path in whole.glob("*net/**/*")} == before


PROGRAM = """
import sys
from pathlib import Path
from recognition.training.cascade.annotations import read_annotations
from recognition.training.cascade.run import train_cascade
from tests.recognition.training.test_train_mtcnn import CONFIG
train_cascade(read_annotations(Path(sys.argv[1])), Path(sys.argv[2]), CONFIG)
"""


@pytest.mark.parametrize(
    "moment",
    [
        "samples/rnet/train.json",
        "onet/checkpoints/00000004.json",
    ],
)
def test_killed_it_comes_to_the_same_weights(
    file: Path, images: list[AnnotatedImage], whole: Path, tmp_path: Path, moment: str
) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(file), str(tmp_path)])
    try:
        while not (tmp_path / moment).exists() and process.poll() is None:
            time.sleep(0.001)  # another process's file: there is no event to await
        process.send_signal(signal.SIGKILL)
    finally:
        process.wait()
    assert (tmp_path / moment).exists()
    train_cascade(images, tmp_path, CONFIG)
    assert weights(tmp_path) == weights(whole)


def test_another_configuration_is_not_mixed_into_a_run(
    images: list[AnnotatedImage], whole: Path
) -> None:
    with pytest.raises(TrainingError, match="other seed; train in another folder"):
        train_cascade(images, whole, replace(CONFIG, seed=9))


def test_changed_images_are_not_mixed_into_a_run(images: list[AnnotatedImage], whole: Path) -> None:
    with pytest.raises(TrainingError, match="other annotations"):
        train_cascade(images[:-1], whole, CONFIG)


def test_a_damaged_network_is_trained_again(
    images: list[AnnotatedImage], whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "rnet.safetensors").write_bytes(b"damaged")
    (tmp_path / "run" / WEIGHTS).unlink()
    train_cascade(images, tmp_path / "run", CONFIG)
    assert weights(tmp_path / "run") == weights(whole)


@pytest.mark.parametrize("content", [b"", b"no safetensors", None])
def test_weights_that_are_none_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.safetensors"):
        load_trained(Mtcnn(), path)


def test_weights_that_are_not_numbers_are_refused(whole: Path, tmp_path: Path) -> None:
    net = Mtcnn()
    load_trained(net, whole / WEIGHTS)
    next(net.parameters()).flatten()[0] = float("nan")
    save_trained(tmp_path / "w.safetensors", net, {})
    with pytest.raises(WeightsError, match="not all numbers"):
        load_trained(Mtcnn(), tmp_path / "w.safetensors")


def test_the_command_trains_and_prints_one_object(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "mtcnn", "--annotations", str(file), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--steps", "2", "2", "2", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["images"] == 6
    thresholds = figures["thresholds"]
    assert len(thresholds) == 3
    assert load_cascade(tmp_path / "run" / WEIGHTS).thresholds == tuple(thresholds)
    assert figures["onet"]["steps"] == 2
    assert (tmp_path / "run" / WEIGHTS).is_file()
    assert main([*arguments, "--steps", "2", "2", "3", "--json"]) == 1
    assert "train in another folder" in capsys.readouterr().err
