"""`train embedding` learns from a folder of people, goes on, and hands a model over."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from PIL import Image

from recognition.commands import main
from recognition.embed import MobileFaceNet
from recognition.home import PROJECT
from recognition.training.faces import PARTS, Part, part_of


@pytest.fixture(autouse=True)
def everything_fetched(models_dir: Path) -> None:
    """The command finds the models where an installation keeps them."""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, face_files: dict[str, Path]) -> Path:
    """Four people in each part, with two images of each."""
    portraits = []
    for file in ("obama.jpg", "biden.jpg", "astronaut.png"):
        portraits.append(Image.open(face_files[file]).convert("RGB"))
        portraits[-1].thumbnail((160, 160))
    chosen: dict[Part, list[str]] = {part: [] for part in PARTS}
    for name in (f"p{number}" for number in range(1000)):
        chosen[part_of(name, 0)].append(name)
    folder = tmp_path_factory.mktemp("data") / "people"
    for place, name in enumerate(sorted(name for part in PARTS for name in chosen[part][:4])):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            image = portraits[(place + number) % 3]
            image.save(folder / name / f"{number}.jpg", quality=70 + place)
    return folder


def options(people: Path, out: Path, **changed: str) -> list[str]:
    values = {
        "--images": str(people),
        "--out": str(out),
        "--faces": str(people.parent / "faces.safetensors"),
        "--backbone": "small",
        "--dimension": "64",
        "--steps": "2",
        "--people": "3",
        "--each": "2",
        "--validate-every": "2",
        **changed,
    }
    return ["train", "embedding", "--json", *(word for pair in values.items() for word in pair)]


def last_json(printed: str) -> dict[str, Any]:
    value = json.loads(printed.splitlines()[-1])
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def begun(people: Path, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(options(people, folder)) == 0
    return folder


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(begun, tmp_path / "run")


def test_a_mobilefacenet_comes_out_as_the_engine_has_it(
    people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(people, tmp_path, **{"--backbone": "mobilefacenet"})) == 0
    out, err = capsys.readouterr()
    figures = last_json(out)
    assert figures["importable"] is True
    assert figures["steps"] == 2
    assert figures["learnt_from"] == {"people": 4, "images": 8}
    assert figures["test"]["people"] == 4
    assert 0 <= figures["test"]["accuracy"] <= 1
    assert "import-model" in err
    assert "24 faces; no face in 0 images" in err
    MobileFaceNet(64).load_state_dict(
        safetensors.torch.load_file(tmp_path / "embedder.safetensors")
    )
    assert (tmp_path / "report.html").is_file()


def test_called_again_it_has_nothing_left_to_do(
    people: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "weights.safetensors").read_bytes()
    assert main(options(people, run)) == 0
    figures = last_json(capsys.readouterr().out)
    assert (figures["steps"], figures["ended"]) == (2, "finished")
    assert figures["importable"] is False
    assert (run / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [("--loss", "softmax", "about"), ("--learning-rate", "0.5", "learning_rate")],
)
def test_a_run_is_not_gone_on_with_under_other_options(
    people: Path,
    run: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    reason: str,
) -> None:
    assert main(options(people, run, **{option: value})) == 1
    assert reason in capsys.readouterr().err


def test_nor_on_other_faces(
    people: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = shutil.copytree(people, tmp_path / "people")
    owner = next(one for one in others.iterdir() if part_of(one.name, 0) == "train")
    (owner / "0.jpg").rename(owner / "2.jpg")
    assert main(options(others, run, **{"--faces": str(tmp_path / "faces")})) == 1
    assert "data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--least", "3", "more people are needed"),
        ("--people", "50", "50 people cannot be made of 4"),
        ("--leave-out", "Nobody", "nobody called 'Nobody'"),
    ],
)
def test_people_that_will_not_do_are_refused_in_a_sentence(
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    value: str,
    reason: str,
) -> None:
    assert main(options(people, tmp_path, **{option: value})) == 1
    assert reason in capsys.readouterr().err


def test_two_processes_train_together_and_one_tells(people: Path, tmp_path: Path) -> None:
    wanted = options(people, tmp_path, **{"--processes": "2"})
    command = [sys.executable, "-m", "recognition", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 1
    assert last_json(done.stdout)["steps"] == 2


@pytest.mark.parametrize("more", [[], ["--turned"]])
def test_how_faces_are_changed_is_shown_in_one_picture(tmp_path: Path, more: list[str]) -> None:
    for name in ("one.jpg", "other.jpg"):
        assert main(["train", "look", "--out", str(tmp_path / name), *more]) == 0
    assert (tmp_path / "one.jpg").read_bytes() == (tmp_path / "other.jpg").read_bytes()
    with Image.open(tmp_path / "one.jpg") as picture:
        assert picture.format == "JPEG"
        assert (picture.width > 4 * picture.height) == bool(more), "heads turned lie in one row"
