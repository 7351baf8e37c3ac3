"""`python -m recognition finetune`, but for the finding of faces, whose vectors are made up."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest

from recognition.commands import finetune as command
from recognition.commands import main
from recognition.embedders import installed
from recognition.imported import calibration_file, entries
from recognition.pipeline import Pipeline
from recognition.training.subjects import Photo, Subjects
from tests.recognition.importer import held
from tests.recognition.test_tuned import home
from tests.recognition.training.made_people import made_people, widened

__all__ = ["home"]

SITE = widened(made_people("site", 80, 5, nuisance=1.8, seed=1), 320)
GENERAL = widened(made_people("general", 520, 2, nuisance=0.0, noise=0.4, seed=2), 320)
QUICK = ["--device", "cpu", "--threads", "1", "--steps", "150", "--keep", "1", "--json"]


class Source:
    """An installation whose people are made up; `gone` have withdrawn when it is asked."""

    def __init__(self, gone: Collection[str] = ()) -> None:
        self.gone = set(gone)

    def photos(self) -> Iterator[Photo]:
        yield Photo("site", "a photo", lambda: b"")

    def withdrawn(self, people: Collection[str]) -> set[str]:
        return self.gone & set(people)


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(home))
    for name in ("site", "general"):
        (home / "people" / name / name).mkdir(parents=True)
        (home / "people" / name / name / "photo.jpg").write_bytes(b"")

    def found(pipeline: Pipeline, photos: Iterable[Photo], **_: object) -> Subjects:
        return SITE if next(iter(photos)).person == "site" else GENERAL

    monkeypatch.setattr(command, "find_subjects", found)


def run(home: Path, *options: str, source: Source | None = None) -> int:
    people = home / "people"
    whose = ["--installation"] if source else ["--images", str(people / "site")]
    general = ["--general", str(people / "general")]
    arguments = ["finetune", *whose, *general, *QUICK, "--learning-rate", "2e-3", *options]
    return main(arguments, installation=(lambda: source) if source else None)


def test_the_winner_is_registered_with_its_parent_its_training_and_its_calibration(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, "--name", "our-site", source=Source()) == 0
    said = capsys.readouterr()
    figures = json.loads(said.out)
    assert figures["passed"]
    assert figures["site"]["gain_at_least"] > 0
    assert "change_model start our-site" in said.err
    entry = entries(home / "models")["our-site"]
    assert entry["parent"]["name"] == "mobilefacenet+resnet29"
    assert entry["training"]["people_learnt_from"] == 40
    assert entry["training"]["judged"]["site"] == figures["site"]
    calibration = json.loads(calibration_file(home / "models", "our-site").read_text())
    assert calibration["model"]["sha256"] == installed(home / "models")["our-site"].sha256
    assert not list(home.glob(".finetune-*")), "nothing of the run is left"


def test_without_a_name_it_is_only_measured(home: Path) -> None:
    before = held(home)
    assert run(home) == 0
    assert held(home) == before


def test_one_that_is_not_better_is_refused_and_not_registered(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = held(home)
    options = ["--name", "our-site", "--learning-rate", "1e-9"]
    assert run(home, *options) == command.REFUSED
    said = capsys.readouterr()
    assert "not handed over: it is not significantly better" in said.err
    assert json.loads(said.out)["registered"] is None
    assert held(home) == before


def test_if_all_are_in_the_pairs_nobody_is_replayed_and_the_site_is_held(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fold(alike: range, apart: range) -> list[str]:
        same = [f"general{who:04d}\t0.jpg\t1.jpg" for who in alike]
        two = [f"general{a:04d}\t0.jpg\tgeneral{a + 1:04d}\t0.jpg" for a in apart]
        return [*same, *two]

    lines = [
        "2\t130",
        *fold(range(130), range(130, 390, 2)),
        *fold(range(390, 520), range(0, 260, 2)),
    ]
    (home / "pairs.txt").write_text("\n".join(lines) + "\n")
    assert run(home, "--general-pairs", str(home / "pairs.txt"), "--keep", "1000") == 3
    said = capsys.readouterr()
    assert "Nobody of the general set is left to be replayed" in said.err
    figures = json.loads(said.out)
    assert figures["training"]["people_replayed"] == 0
    assert abs(figures["general"]["gain"]) < 0.5, "it could not move far"


def test_if_somebody_withdraws_while_it_learns_nothing_is_registered(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = held(home)
    assert run(home, "--name", "our-site", source=Source(SITE.people)) == 1
    assert "has withdrawn consent meanwhile" in capsys.readouterr().err
    assert held(home) == before


def test_a_fine_tuned_model_is_no_parent(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "--name", "our-site") == 0
    assert run(home, "--embedder", "our-site") == 1
    assert "fine-tune its parent" in capsys.readouterr().err


def test_a_name_of_ours_is_refused_before_anything_is_done(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(home, "--name", "fused") == 1
    assert "cannot be the model's name" in capsys.readouterr().err
