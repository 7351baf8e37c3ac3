"""The commands keep their contracts: JSON last on stdout, progress on stderr, honest exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from recognition.commands import main
from recognition.home import home

FACE_KEYS = {"box", "points", "score", "quality", "pad", "embedding"}


@pytest.fixture(autouse=True)
def everything_fetched(models_dir: Path, face_files: dict[str, Path]) -> None:
    """The commands find models and portraits where an installation keeps them."""


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(value, dict)
    return value


@pytest.fixture
def people(tmp_path: Path, face_files: dict[str, Path]) -> Path:
    """A small data set in LFW's layout, with its pairs: two folds, one face that is missed."""
    images = tmp_path / "images"
    layout = {
        "Obama": ["obama.jpg", "obama2.jpg", "obama3.jpg"],
        "Biden": ["biden.jpg"],
        "Collins": ["astronaut.png"],
    }
    for person, files in layout.items():
        for number, name in enumerate(files, 1):
            source = face_files[name]
            target = images / person / f"{person}_{number:04d}{source.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    (images / "Nobody").mkdir()
    (images / "Nobody" / "Nobody_0001.jpg").write_bytes(b"not an image")
    (tmp_path / "pairs.txt").write_text(
        "2\t2\n"
        "Obama\t1\t2\nObama\t1\t3\nObama\t1\tBiden\t1\nObama\t2\tCollins\t1\n"
        "Obama\t2\t3\nObama\t3\t1\nBiden\t1\tCollins\t1\nNobody\t1\tObama\t3\n"
    )
    return tmp_path


def test_analyse_prints_a_json_line_for_each_image(
    capsys: pytest.CaptureFixture[str], face_files: dict[str, Path]
) -> None:
    paths = [str(face_files["astronaut.png"]), str(face_files["obama.jpg"])]
    assert main(["analyse", "--json", *paths]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == paths
    assert [(line["width"], line["height"]) for line in lines] == [(512, 512), (910, 1137)]
    for line in lines:
        assert line["error"] is None
        (face,) = line["faces"]
        assert set(face) == FACE_KEYS
        assert len(face["box"]) == 4
        assert [len(point) for point in face["points"]] == [2] * 5
        assert len(face["embedding"]) == 320
        assert 0 <= face["quality"]["score"] <= 1
        assert isinstance(face["pad"], float)


def test_analyse_tells_what_cannot_be_read_goes_on_and_fails_at_the_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, face_files: dict[str, Path]
) -> None:
    garbage, empty = tmp_path / "garbage.jpg", tmp_path / "empty.png"
    garbage.write_bytes(b"garbage")
    empty.touch()
    paths = [garbage, tmp_path / "nowhere.jpg", tmp_path, empty, face_files["astronaut.png"]]
    assert main(["analyse", "--json", *map(str, paths)]) == 1
    output = capsys.readouterr()
    lines = [json.loads(line) for line in output.out.splitlines()]
    assert [bool(line["error"]) for line in lines] == [True, True, True, True, False]
    assert [len(line["faces"]) for line in lines] == [0, 0, 0, 0, 1]
    assert "4 of 5" in output.err
    assert "Traceback" not in output.err


def test_analyse_without_json_is_for_people(
    capsys: pytest.CaptureFixture[str], face_files: dict[str, Path]
) -> None:
    assert main(["analyse", str(face_files["astronaut.png"])]) == 0
    assert "512x512, 1 face(s)" in capsys.readouterr().out


def test_verify_loads_the_models_and_compares(
    capsys: pytest.CaptureFixture[str], face_files: dict[str, Path]
) -> None:
    assert main(["verify", str(face_files["obama.jpg"]), str(face_files["obama2.jpg"])]) == 0
    assert "the same person: likeness 0." in capsys.readouterr().out


def test_verification_reports_its_figures_and_writes_the_report(
    capsys: pytest.CaptureFixture[str], people: Path
) -> None:
    arguments = ["--images", str(people / "images"), "--pairs", str(people / "pairs.txt")]
    report = people / "report"
    status = main(["evaluate", "verification", *arguments, "--json", "--report", str(report)])
    assert status == 0
    figures = last_json(capsys)
    assert figures["pairs"] == 8
    assert figures["images"] == 6
    assert figures["missed"] == 1
    assert figures["missed_images"] == ["Nobody/Nobody_0001.jpg"]
    assert figures["fta"] == pytest.approx(1 / 8)
    assert figures["accuracy"] == 1
    assert figures["accuracy_std"] == 0
    assert figures["tar"] == {"1e-2": 1.0, "1e-3": 1.0, "1e-4": 1.0}
    assert 0 < figures["threshold"] < 1
    assert set(figures["interval95"]) == {"accuracy", "tar"}
    assert json.loads((report / "report.json").read_text()) == figures
    assert (report / "det.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (report / "det.svg").read_bytes()
    page = (report / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * 8 - 1  # one image is none
    assert "Obama/Obama_0001.jpg" in page


def test_quality_reports_whether_it_predicts_the_score(
    capsys: pytest.CaptureFixture[str], people: Path
) -> None:
    arguments = ["--images", str(people / "images"), "--pairs", str(people / "pairs.txt")]
    report = people / "report"
    assert main(["evaluate", "quality", *arguments, "--json", "--report", str(report)]) == 0
    figures = last_json(capsys)
    assert figures["images"] == 6
    assert figures["missed_images"] == ["Nobody/Nobody_0001.jpg"]
    assert set(figures["at"]) == {"fmr_1e-3", "fnmr_0.1"}
    assert {"score", "certainty", "TURNED", "COVERED"} <= set(figures["spearman"])
    assert json.loads((report / "report.json").read_text()) == figures
    page = (report / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * 5  # each face among the worst and the best
    assert str(people) not in page


@pytest.fixture
def searched(people: Path) -> list[str]:
    """Two enrolled people, three probes of which one has no face, and a stranger."""
    images = people / "images"
    for source, target in (
        ("Obama/Obama_0001.jpg", "gallery/Obama/a.jpg"),
        ("Biden/Biden_0001.jpg", "gallery/Biden/a.jpg"),
        ("Obama/Obama_0002.jpg", "probes/Obama/b.jpg"),
        ("Obama/Obama_0003.jpg", "probes/Obama/c.jpg"),
        ("Nobody/Nobody_0001.jpg", "probes/Biden/b.jpg"),
        ("Collins/Collins_0001.png", "strangers/Collins/a.png"),
    ):
        path = people / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / source, path)
    return [f"--{name}={people / name}" for name in ("gallery", "probes", "strangers")]


def test_identification_reports_its_figures_and_writes_the_report(
    capsys: pytest.CaptureFixture[str], searched: list[str], tmp_path: Path
) -> None:
    report = tmp_path / "report"
    arguments = [*searched, "--json", "--report", str(report)]
    assert main(["evaluate", "identification", *arguments]) == 0
    output = capsys.readouterr()
    figures = json.loads(output.out.splitlines()[-1])
    assert "6/6 images" in output.err
    missed = pytest.approx(1 / 3)
    assert figures["fnir"] == {"1e-2": missed, "1e-3": missed}
    assert figures["rank1"] == pytest.approx(2 / 3)
    assert figures["fta"] == missed
    assert figures["images"] == 3
    assert -1 < figures["threshold"] < 1
    assert set(figures["interval95"]) == {"fnir", "rank1"}
    assert figures["strangers"]["images"] == 1
    assert json.loads((report / "report.json").read_text()) == figures
    assert "no face was found" in (report / "report.html").read_text()


def test_a_folder_without_people_is_a_clear_error(
    capsys: pytest.CaptureFixture[str], searched: list[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    arguments = [searched[0], f"--probes={tmp_path / 'empty'}"]
    assert main(["evaluate", "identification", *arguments]) == 1
    assert "no subfolders with images" in capsys.readouterr().err


def test_pairs_are_written_for_verification_to_read(
    capsys: pytest.CaptureFixture[str], people: Path
) -> None:
    shutil.rmtree(people / "images" / "Nobody")
    out = people / "made.txt"
    folder = ["--images", str(people / "images")]
    assert main(["evaluate", "pairs", *folder, "--folds", "1", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    lines = out.read_text().splitlines()
    assert lines[0] == "1\t3"
    assert lines[1] == "Obama\tObama_0001.jpg\tObama_0002.jpg"
    assert len(lines) == 7


def test_the_embedder_is_chosen_by_an_option(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    face_files: dict[str, Path],
    models_dir: Path,
) -> None:
    path = str(face_files["astronaut.png"])
    monkeypatch.setenv("GATEHOUSE_HOME", str(models_dir.parent))
    assert main(["analyse", "--json", "--embedder", "mobilefacenet", path]) == 0
    (face,) = last_json(capsys)["faces"]
    assert len(face["embedding"]) == 192


def test_a_missing_image_of_a_pair_is_a_clear_error(
    capsys: pytest.CaptureFixture[str], people: Path
) -> None:
    shutil.rmtree(people / "images" / "Collins")
    arguments = ["--images", str(people / "images"), "--pairs", str(people / "pairs.txt")]
    assert main(["evaluate", "verification", *arguments]) == 1
    error = capsys.readouterr().err
    assert "Collins_0001" in error
    assert "Traceback" not in error


def test_calibration_is_written_from_all_pairs_of_people(
    capsys: pytest.CaptureFixture[str], people: Path
) -> None:
    out = people / "calibration.json"
    arguments = ["--images", str(people / "images"), "--data", "portraits", "--out", str(out)]
    assert main(["evaluate", "calibrate", *arguments]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    calibration = json.loads(out.read_text())
    assert calibration["data"] == "portraits"
    assert (calibration["images"], calibration["people"]) == (5, 3)
    assert calibration["genuine"]["pairs"] == 3
    assert calibration["impostor"]["pairs"] == 7


def test_without_models_the_error_names_the_command_that_gets_them(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    face_files: dict[str, Path],
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(tmp_path))
    assert main(["analyse", str(face_files["astronaut.png"])]) == 1
    assert "python -m recognition fetch-models" in capsys.readouterr().err


def test_the_home_is_the_one_named_else_var_in_the_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(tmp_path / "elsewhere"))
    assert home() == tmp_path / "elsewhere"
    monkeypatch.setenv("GATEHOUSE_HOME", "")
    assert home() == Path(__file__).resolve().parents[2] / "var"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["analyse"],
        ["verify", "one.jpg"],
        ["verify", "one.jpg", "two.jpg", "--fmr", "0.5"],
        ["identify", "probe.jpg"],
        ["cluster", "--people", "0", "album"],
        ["bench", "--threads", "0"],
        ["bench", "--smallest-face", "3"],
        ["bench", "--peers", "--sample", "0"],
    ],
)
def test_a_wrong_command_line_is_refused_with_its_usage(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_budget_is_not_evaluated_on_a_handful_of_people(
    people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--images", str(people / "images"), "--calibration", "shipped"]
    assert main(["evaluate", "budget", *arguments]) == 1
    assert "too few: it takes 6" in capsys.readouterr().err
    assert main(["evaluate", "budget", *arguments, "--same-person", "Obama=Nemo"]) == 1
    assert "there are no two such folders" in capsys.readouterr().err
