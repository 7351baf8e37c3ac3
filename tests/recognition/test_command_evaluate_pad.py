"""`evaluate pad`: the contract of its JSON, its report, and its errors, on made-up attacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from recognition.commands import main


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


def test_clips_are_reported_one_by_one(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "clips" / "live").mkdir(parents=True)
    frame = read(data / "live" / "obama" / "0.jpg")
    size = (frame.shape[1], frame.shape[0])
    writer = cv2.VideoWriter(
        str(data / "clips/live/a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, size
    )
    for _ in range(3):
        writer.write(frame)
    writer.release()
    assert main([*arguments(data), "--json", "--clips", str(data / "clips")]) == 0
    (clip,) = last_json(capsys)["clips"]
    assert (clip["clip"], clip["frames"], clip["scored"]) == ("live/a.avi", 3, 3)
    assert clip["antispoofing"]["taken_for"] is None


@pytest.mark.parametrize("missing", ["live", "spoof"])
def test_without_images_the_error_is_clear(
    data: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(data / missing)
    assert main(arguments(data)) == 1
    error = capsys.readouterr().err
    assert str(data / missing) in error
    assert "Traceback" not in error


def test_a_folder_without_clips_is_a_clear_error(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(data), "--clips", str(data)]) == 1
    assert "no clips" in capsys.readouterr().err
