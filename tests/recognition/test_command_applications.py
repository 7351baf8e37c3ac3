"""`verify`, `identify` and `cluster` on real pictures: outcomes, advice, exit codes, no traces."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from recognition.commands import calibrated, cluster, identify, main, verify
from recognition.commands.contact_sheet import _thumbnail
from recognition.pipeline import Pipeline

SAME, FAILED, NOT_THE_SAME = 0, 1, 3


@pytest.fixture(autouse=True)
def loaded_once(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands share one loaded pipeline; that they load it, test_commands shows."""
    for command in (cluster, identify, verify):
        monkeypatch.setattr(command, "load_pipeline", lambda _: pipeline)


@pytest.fixture
def album(tmp_path: Path, face_files: dict[str, Path]) -> Path:
    """Three pictures of one person, one each of two others, and two that show nobody."""
    folder = tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    for name in ("obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png"):
        shutil.copy(face_files[name], folder / name)
    shutil.copy(face_files["obama3.jpg"], folder / "below" / "obama3.jpg")
    (folder / "damaged.jpg").write_bytes(b"not an image")
    Image.new("RGB", (200, 200), "grey").save(folder / "wall.png")
    return folder


@pytest.fixture
def two_people(tmp_path: Path, face_files: dict[str, Path]) -> Path:
    """One picture of two people side by side, the left one larger."""
    left = Image.open(face_files["obama.jpg"]).convert("RGB").resize((600, 750))
    right = Image.open(face_files["biden.jpg"]).convert("RGB").resize((450, 563))
    both = Image.new("RGB", (1050, 750), "grey")
    both.paste(left, (0, 0))
    both.paste(right, (600, 100))
    path = tmp_path / "two.jpg"
    both.save(path, quality=95)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """The exit status, and the last line of stdout."""
    status = main([str(argument) for argument in arguments])
    value = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(value, dict)
    return status, value


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class TestVerify:
    def test_two_pictures_of_one_person_are_the_same(
        self, capsys: pytest.CaptureFixture[str], face_files: dict[str, Path]
    ) -> None:
        pair = face_files["obama.jpg"], face_files["obama2.jpg"]
        status, found = run(capsys, "verify", "--json", *pair)
        assert (status, found["same"]) == (SAME, True)
        assert found["score"] >= found["threshold"]
        assert found["false_match_rate"] == "1e-4"
        assert 0 < found["stranger_share"] <= 1e-4
        assert "pairs of strangers is as alike" in found["meaning"]
        assert [picture["faces"] for picture in found["images"]] == [1, 1]
        assert all(0 <= picture["quality"] <= 1 for picture in found["images"])

    def test_two_people_are_not_and_the_exit_code_says_so(
        self, capsys: pytest.CaptureFixture[str], face_files: dict[str, Path]
    ) -> None:
        pair = face_files["obama.jpg"], face_files["biden.jpg"]
        status, found = run(capsys, "verify", "--json", *pair)
        assert (status, found["same"]) == (NOT_THE_SAME, False)
        assert found["score"] < found["threshold"]

    def test_a_stricter_rate_has_a_higher_threshold(
        self, capsys: pytest.CaptureFixture[str], face_files: dict[str, Path]
    ) -> None:
        pair = face_files["obama.jpg"], face_files["obama2.jpg"]
        _, usual = run(capsys, "verify", "--json", *pair)
        _, strict = run(capsys, "verify", "--json", "--fmr", "1e-6", *pair)
        assert strict["threshold"] > usual["threshold"]
        assert strict["score"] == usual["score"]

    def test_of_several_faces_the_largest_and_most_central_is_compared(
        self,
        capsys: pytest.CaptureFixture[str],
        face_files: dict[str, Path],
        two_people: Path,
    ) -> None:
        status, found = run(capsys, "verify", "--json", two_people, face_files["obama2.jpg"])
        assert status == SAME
        assert [picture["faces"] for picture in found["images"]] == [2, 1]
        assert main(["verify", str(two_people), str(face_files["obama2.jpg"])]) == SAME
        assert "the largest and most central of 2" in capsys.readouterr().out

    @pytest.mark.parametrize("name", ["damaged.jpg", "wall.png", "nowhere.jpg"])
    def test_what_shows_no_face_is_not_compared_and_says_why(
        self, capsys: pytest.CaptureFixture[str], album: Path, name: str
    ) -> None:
        status, found = run(capsys, "verify", "--json", album / "obama.jpg", album / name)
        assert (status, found["same"], found["score"]) == (FAILED, None, None)
        assert found["images"][0]["advice"] is None
        assert found["images"][1]["advice"]
        assert main(["verify", str(album / "obama.jpg"), str(album / name)]) == FAILED
        output = capsys.readouterr()
        assert "could not be compared" in output.err
        assert "Traceback" not in output.err

    def test_a_poor_picture_is_advised_on(
        self, capsys: pytest.CaptureFixture[str], album: Path
    ) -> None:
        sharp = Image.open(album / "obama.jpg")
        small = sharp.resize((sharp.width // 24, sharp.height // 24))
        small.resize(sharp.size).save(album / "blurred.jpg")
        _, found = run(capsys, "verify", "--json", album / "obama2.jpg", album / "blurred.jpg")
        assert found["images"][0]["advice"] is None
        assert found["images"][1]["quality"] < found["images"][0]["quality"]
        assert "Use a" in found["images"][1]["advice"]

    def test_a_model_without_a_calibration_cannot_say_what_is_the_same(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        album: Path,
        tmp_path: Path,
    ) -> None:
        for place in ("calibration_path", "calibration_file"):
            monkeypatch.setattr(calibrated, place, lambda *_: tmp_path / "none")
        assert main(["verify", str(album / "obama.jpg"), str(album / "obama2.jpg")]) == FAILED
        assert "evaluate calibrate" in capsys.readouterr().err


@pytest.fixture
def enrolled(tmp_path: Path, face_files: dict[str, Path], two_people: Path) -> Path:
    """A gallery of two people with a picture of nobody, and one of two people among theirs."""
    folder = tmp_path / "gallery"
    for name, person in (("obama.jpg", "Barack"), ("obama2.jpg", "Barack"), ("biden.jpg", "Joe")):
        (folder / person).mkdir(parents=True, exist_ok=True)
        shutil.copy(face_files[name], folder / person / name)
    shutil.copy(two_people, folder / "Joe" / "two.jpg")
    return folder


class TestIdentify:
    def outcomes(self, found: dict[str, Any]) -> list[list[tuple[str, str | None]]]:
        return [
            [(face["outcome"], face["name"]) for face in probe["faces"]]
            for probe in found["probes"]
        ]

    def test_who_is_enrolled_is_found_and_a_stranger_is_nobody(
        self, capsys: pytest.CaptureFixture[str], enrolled: Path, face_files: dict[str, Path]
    ) -> None:
        probes = face_files["obama3.jpg"], face_files["astronaut.png"]
        status, found = run(capsys, "identify", "--json", "--gallery", enrolled, *probes)
        assert status == 0
        assert self.outcomes(found) == [[("ACCEPTED", "Barack")], [("NO_MATCH", None)]]
        best = found["probes"][0]["faces"][0]["candidates"][0]
        assert best["name"] == "Barack"
        assert Path(best["photo"]).parent.name == "Barack"
        assert best["score"] >= found["threshold"] > 0
        assert found["fpir"] == pytest.approx(2e-6, rel=1e-3)

    def test_a_photo_that_enrolment_refuses_is_left_out_and_said(
        self, capsys: pytest.CaptureFixture[str], enrolled: Path, face_files: dict[str, Path]
    ) -> None:
        _, found = run(
            capsys, "identify", "--json", "--gallery", enrolled, face_files["obama3.jpg"]
        )
        assert (found["gallery"]["people"], found["gallery"]["templates"]) == (2, 3)
        ((path, reason),) = found["gallery"]["left_out"].items()
        assert Path(path).name == "two.jpg"
        assert "More than one face" in reason

    def test_each_face_of_a_picture_is_searched(
        self, capsys: pytest.CaptureFixture[str], enrolled: Path, two_people: Path
    ) -> None:
        _, found = run(capsys, "identify", "--json", "--gallery", enrolled, two_people)
        assert self.outcomes(found) == [[("ACCEPTED", "Barack"), ("ACCEPTED", "Joe")]]

    def test_one_person_under_two_names_is_ambiguous(
        self, capsys: pytest.CaptureFixture[str], enrolled: Path, face_files: dict[str, Path]
    ) -> None:
        shutil.copytree(enrolled / "Barack", enrolled / "Twin")
        arguments = ["identify", "--gallery", str(enrolled), str(face_files["obama3.jpg"])]
        _, found = run(capsys, *arguments, "--json")
        assert self.outcomes(found) == [[("AMBIGUOUS", None)]]
        assert main(arguments) == 0
        assert "AMBIGUOUS, two people of the gallery" in capsys.readouterr().out

    def test_what_cannot_be_read_is_said_and_the_rest_is_done(
        self, capsys: pytest.CaptureFixture[str], enrolled: Path, album: Path
    ) -> None:
        status = main(["identify", "--json", "--gallery", str(enrolled), str(album)])
        output = capsys.readouterr()
        found = json.loads(output.out.splitlines()[-1])
        assert status == FAILED
        assert "1 of 11 images could not be read" in output.err
        names = [Path(probe["file"]).name for probe in found["probes"]]
        assert len(names) == 7
        assert found["probes"][names.index("damaged.jpg")]["error"]
        assert found["probes"][names.index("wall.png")] == {
            "file": str(album / "wall.png"),
            "error": None,
            "faces": [],
        }
        assert self.outcomes(found)[names.index("biden.jpg")] == [("ACCEPTED", "Joe")]

    def test_a_gallery_without_a_usable_photo_accepts_nobody(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        two_people: Path,
        face_files: dict[str, Path],
    ) -> None:
        (tmp_path / "empty" / "Joe").mkdir(parents=True)
        shutil.copy(two_people, tmp_path / "empty" / "Joe" / "two.jpg")
        probe = face_files["biden.jpg"]
        _, found = run(capsys, "identify", "--json", "--gallery", tmp_path / "empty", probe)
        assert self.outcomes(found) == [[("EMPTY_GALLERY", None)]]
        assert found["fpir"] == 0


class TestCluster:
    def names(self, faces: list[dict[str, Any]]) -> set[str]:
        return {Path(face["file"]).name for face in faces}

    def test_pictures_of_one_person_are_a_group_without_being_told_how_many(
        self, capsys: pytest.CaptureFixture[str], album: Path
    ) -> None:
        before = contents(album)
        status, found = run(capsys, "cluster", "--json", album)
        assert status == FAILED, "one picture cannot be read"
        (group,) = found["groups"]
        assert self.names(group) == {"obama.jpg", "obama2.jpg", "obama3.jpg"}
        assert self.names(found["alone"]) == {"biden.jpg", "astronaut.png"}
        assert {Path(one["file"]).name for one in found["left_out"]} == {"damaged.jpg", "wall.png"}
        assert (found["people"], found["faces"], found["pictures"]) == (1, 5, 7)
        assert 0 < found["link"] < 1
        likeness = [face["likeness"] for face in group]
        assert likeness == sorted(likeness, reverse=True)
        assert contents(album) == before

    def test_told_the_number_everybody_is_in_a_group(
        self, capsys: pytest.CaptureFixture[str], album: Path
    ) -> None:
        _, found = run(capsys, "cluster", "--json", "--people", "3", album)
        groups = sorted((self.names(group) for group in found["groups"]), key=len)
        assert groups[2] == {"obama.jpg", "obama2.jpg", "obama3.jpg"}
        assert groups[0] | groups[1] == {"biden.jpg", "astronaut.png"}
        assert (found["alone"], found["link"]) == ([], None)

    def test_two_faces_of_one_picture_are_two_people(
        self,
        capsys: pytest.CaptureFixture[str],
        two_people: Path,
        face_files: dict[str, Path],
    ) -> None:
        files = two_people, face_files["obama2.jpg"], face_files["biden.jpg"]
        status, found = run(capsys, "cluster", "--json", *files)
        assert status == 0
        groups = [self.names(group) for group in found["groups"]]
        assert len(groups) == 2
        assert {"two.jpg", "obama2.jpg"} in groups
        assert {"two.jpg", "biden.jpg"} in groups

    def test_a_picture_given_twice_is_looked_at_once(
        self, capsys: pytest.CaptureFixture[str], album: Path
    ) -> None:
        _, found = run(capsys, "cluster", "--json", album / "obama.jpg", album / "obama.jpg")
        assert (found["pictures"], found["groups"]) == (1, [])

    def test_the_contact_sheet_shows_the_faces_and_loads_nothing(
        self, capsys: pytest.CaptureFixture[str], album: Path, tmp_path: Path
    ) -> None:
        before = contents(album)
        report = tmp_path / "report"
        run(capsys, "cluster", "--json", "--report", report, album)
        page = (report / "report.html").read_text()
        assert page.count("data:image/jpeg;base64,") == 5
        assert "Person 1: 3 faces, by likeness" in page
        assert "Alone: 2 faces, by likeness" in page
        assert "default-src 'none'" in page
        assert [path.name for path in report.iterdir()] == ["report.html"]
        assert contents(album) == before

    @pytest.mark.parametrize("where", ["", "below", "new/below"])
    def test_no_report_is_written_among_the_pictures(
        self, capsys: pytest.CaptureFixture[str], album: Path, where: str
    ) -> None:
        before = contents(album)
        assert main(["cluster", "--report", str(album / where), str(album)]) == FAILED
        assert "whose pictures are read" in capsys.readouterr().err
        assert contents(album) == before
        assert not (album / "new").exists()

    def test_pictures_without_a_face_are_no_people(
        self, capsys: pytest.CaptureFixture[str], album: Path
    ) -> None:
        status, found = run(capsys, "cluster", "--json", album / "wall.png")
        assert status == 0
        assert (found["people"], found["groups"], found["alone"]) == (0, [], [])

    def test_a_folder_without_pictures_is_a_clear_error(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        (tmp_path / "empty").mkdir()
        assert main(["cluster", str(tmp_path / "empty")]) == FAILED
        assert "has no images" in capsys.readouterr().err


def test_a_thumbnail_is_the_face_in_the_middle_of_its_square() -> None:
    pixels = np.zeros((400, 600, 3), np.uint8)
    pixels[100:200, 300:400] = 200
    found = _thumbnail(pixels, np.array([299.5, 99.5, 399.5, 199.5], np.float32))
    assert found.shape == (160, 160, 3)
    bright = np.argwhere(found[:, :, 0] > 100)
    assert bright.min(axis=0) == pytest.approx([26.7, 26.7], abs=1.5)
    assert (found[0, 80] == 0).all(), "the picture goes on there"
    assert bright.max(axis=0) == pytest.approx([132.3, 132.3], abs=1.5)
