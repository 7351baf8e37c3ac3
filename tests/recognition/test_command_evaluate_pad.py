"""`evaluate pad`: the contract of its JSON, its report, and its errors, on made-up attacks."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from recognition.commands import main
from recognition.evaluate.pad_data import Shown
from recognition.evaluate.pad_scoring import Scored, ScoredFrame, clip_figures


def read(path: Path) -> Any:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    return pixels


@pytest.fixture
def data(tmp_path: Path, models_dir: Path, face_files: dict[str, Path]) -> Path:
    """Two people alive and the same portraits as the prints they are, five frames each."""
    for folder, name in (
        ("live/obama", "obama.jpg"),
        ("live/biden", "biden.jpg"),
        ("spoof/print/obama", "obama2.jpg"),
        ("spoof/print/biden", "biden.jpg"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        picture = cv2.resize(read(face_files[name]), (240, 300))
        for number in range(5):
            cv2.imwrite(str(tmp_path / folder / f"{number}.jpg"), picture)
    return tmp_path


def arguments(data: Path) -> list[str]:
    return ["evaluate", "pad", "--live", str(data / "live"), "--spoof", str(data / "spoof")]


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(value, dict)
    return value


def test_it_prints_one_object_and_writes_the_report(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "live" / "biden" / "9.jpg").write_bytes(b"no image")
    report = data / "report"
    assert main([*arguments(data), "--json", "--report", str(report)]) == 0
    found = last_json(capsys)
    assert set(found["apcer"]) == {"print"}
    for key in ("bpcer", "auc", "eer"):
        assert 0 <= found[key] <= 1
    assert (found["images"], found["missed"]) == (21, 1)
    assert found["presentations"] == {"live": 10, "print": 10}
    assert found["five_frames"]["presentations"] == {"live": 2, "print": 2}
    assert "antispoofing" in found["models"]
    assert found["models"]["antispoofing"]["calibrated"] is False
    assert json.loads((report / "report.json").read_text()) == found
    assert (report / "pad.png").read_bytes().startswith(b"\x89PNG")
    page = (report / "report.html").read_text()
    assert "antispoofing: live, highest attack scores" in page
    assert "antispoofing: print, lowest attack scores" in page
    # The plots, and the eight worst faces of either kind: nothing that lies outside the page.
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert [source.split(";")[0] for source in sources] == [
        "data:image/png", *["data:image/jpeg"] * 16,
    ]  # fmt: skip
    assert '<th scope="row">models.antispoofing.kinds.phone</th><td>not evaluated</td>' in page
    assert page.count(">models.antispoofing.bpcer<") == 1
    assert ">bpcer<" not in page
    assert "curve" not in page


def write_clip(path: Path, frame: Any, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (frame.shape[1], frame.shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for _ in range(count):
        writer.write(frame)
    writer.release()


def test_clips_are_reported_one_by_one_and_by_kind(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = read(data / "live" / "obama" / "0.jpg")
    write_clip(data / "live/ann.avi", frame, 3)
    write_clip(data / "spoof/phone/ann.avi", frame, 2)
    write_clip(data / "spoof/bob.avi", np.zeros_like(frame), 4)
    assert main([*arguments(data), "--json"]) == 0
    found = last_json(capsys)
    clips = {clip["clip"]: clip for clip in found["clips"]}
    assert {name: (clip["kind"], clip["person"]) for name, clip in clips.items()} == {
        "live/ann.avi": ("live", "ann"),
        "phone/ann.avi": ("phone", "ann"),
        "spoof/bob.avi": ("video replay", "bob"),
    }
    assert (clips["live/ann.avi"]["frames"], clips["live/ann.avi"]["scored"]) == (3, 3)
    assert clips["live/ann.avi"]["taken_for"] is None, "the tree has no threshold to decide by"
    assert (clips["spoof/bob.avi"]["frames"], clips["spoof/bob.avi"]["scored"]) == (4, 0)
    assert found["missed_images"] == [str(data / "spoof/bob.avi")]
    kinds = found["kinds"]
    assert kinds["tablet"] == kinds["laptop"] == "not evaluated"
    assert (kinds["print"]["frames"], kinds["print"]["clips"]) == (10, 0)
    assert (kinds["phone"]["frames"], kinds["phone"]["clips"]) == (2, 1)
    assert kinds["video replay"]["frames"] == 0
    assert kinds["video replay"]["apcer"] is None


@pytest.mark.parametrize("again", [[], ["--live"]], ids=["in one option", "in two"])
def test_several_folders_of_live_people_are_all_used(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], again: list[str]
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    write_clip(more / "ann.avi", read(data / "live" / "obama" / "0.jpg"), 2)
    folders = ["--live", str(data / "live"), *again, str(more)]
    spoof = ["--spoof", str(data / "spoof")]
    assert main(["evaluate", "pad", *folders, *spoof, "--json"]) == 0
    found = last_json(capsys)
    assert found["presentations"]["live"] == 12
    assert [clip["clip"] for clip in found["clips"]] == ["more/ann.avi"]


def test_a_clip_is_decided_by_the_mean_of_its_frames() -> None:
    clip, image = Shown(Path("live/a.mp4"), "a", "live"), Shown(Path("live/b/1.jpg"), "b", "live")
    box = np.array([0, 0, 1, 1], np.float32)
    frames = [
        ScoredFrame(clip, number, box, {"net": score}, weight)
        for number, (score, weight) in enumerate([(0.0, 3.0), (1.0, 1.0)])
    ]
    scored = Scored(frames, {clip: 5, image: 1})
    (found,) = clip_figures(scored, "net", 0.25)
    assert (found["score"], found["lowest"], found["highest"]) == (0.25, 0.0, 1.0)
    assert (found["frames"], found["scored"], found["taken_for"]) == (5, 2, "attack")
    assert clip_figures(scored, "net", 0.3)[0]["taken_for"] == "live"
    assert clip_figures(scored, "net", None)[0]["taken_for"] is None


@pytest.mark.parametrize("missing", ["live", "spoof"])
def test_without_images_the_error_is_clear(
    data: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data / missing)
    assert main(arguments(data)) == 1
    error = capsys.readouterr().err
    assert str(data / missing) in error
    assert "Traceback" not in error


def test_where_no_face_was_found_the_error_says_so(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (data / "spoof").rglob("*.jpg"):
        cv2.imwrite(str(path), np.zeros((120, 160, 3), np.uint8))
    assert main([*arguments(data), "--report", str(data / "report")]) == 1
    assert "no face was found" in capsys.readouterr().err
    assert not (data / "report").exists()
