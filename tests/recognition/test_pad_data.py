"""Which files are shown to presentation attack detection, whose they are, and their frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.pad_data import CLIP_FRAMES, Shown, frame_of, frames_of, read_shown


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def write_clip(path: Path, count: int) -> Path:
    """A clip whose frames get brighter one by one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(count):
        writer.write(np.full((48, 64, 3), 200 * number // count, np.uint8))
    writer.release()
    return path


def test_files_are_taken_in_counting_order_of_each_person_and_kind(tmp_path: Path) -> None:
    for folder in ("live/7", "spoof/print/7", "spoof/screen/8"):
        touch(tmp_path / folder, "f_156.jpg", "f_52.jpg", "f_9.jpg", "notes.txt")
    shown = read_shown([tmp_path / "live"], [tmp_path / "spoof"])
    assert [(one.kind, one.person, one.path.stem) for one in shown[:4]] == [
        ("live", "7", "f_9"), ("live", "7", "f_52"), ("live", "7", "f_156"), ("print", "7", "f_9"),
    ]  # fmt: skip
    assert {one.kind for one in shown} == {"live", "print", "screen"}
    assert not any(one.is_clip for one in shown)


def test_clips_lie_in_a_persons_folder_or_are_called_after_the_person(tmp_path: Path) -> None:
    touch(tmp_path, "live/ann/1.mp4", "live/bob.MKV", "spoof/phone/ann.avi", "spoof/bob.mov")
    shown = read_shown([tmp_path / "live"], [tmp_path / "spoof"])
    assert [(one.kind, one.person) for one in shown] == [
        ("live", "ann"), ("live", "bob"), ("video replay", "bob"), ("phone", "ann"),
    ]  # fmt: skip
    assert all(one.is_clip for one in shown)


def test_several_folders_are_read_as_one_set(tmp_path: Path) -> None:
    touch(tmp_path, "a/7/1.jpg", "b/7.mp4", "c/print/7/1.jpg", "d/7.mp4")
    live, spoof = [tmp_path / "a", tmp_path / "b"], [tmp_path / "c", tmp_path / "d"]
    assert [(one.kind, one.person) for one in read_shown(live, spoof)] == [
        ("live", "7"), ("live", "7"), ("print", "7"), ("video replay", "7"),
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["live", "spoof"])
def test_a_folder_without_anything_is_named_in_the_error(tmp_path: Path, missing: str) -> None:
    touch(tmp_path, "live/7/1.jpg", "spoof/print/7/1.jpg", "none/notes.txt")
    folders = {"live": [tmp_path / "live"], "spoof": [tmp_path / "spoof"]}
    for empty in (tmp_path / "none", tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=str(empty)):
            read_shown(**{**folders, missing: [empty]})


def test_an_attack_cannot_be_called_live(tmp_path: Path) -> None:
    touch(tmp_path, "live/7/1.jpg", "spoof/live/7/1.jpg")
    with pytest.raises(DatasetError, match="cannot be called live"):
        read_shown([tmp_path / "live"], [tmp_path / "spoof"])


@pytest.mark.parametrize(("length", "step"), [(3, 1), (CLIP_FRAMES * 2, 2)])
def test_a_clips_frames_are_spread_evenly_and_can_be_read_once_more(
    tmp_path: Path, length: int, step: int
) -> None:
    shown = Shown(write_clip(tmp_path / "a.avi", length), "a", "phone")
    found = dict(frames_of(shown))
    assert list(found) == list(range(0, length, step))
    levels = [int(pixels.mean()) for pixels in found.values()]
    assert levels == sorted(set(levels))
    last = max(found)
    assert np.array_equal(frame_of(shown, last), found[last])
    with pytest.raises(DatasetError, match="no frame 999"):
        frame_of(shown, 999)


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4"])
@pytest.mark.parametrize("content", [b"", b"neither image nor clip" * 50])
def test_a_damaged_file_has_no_frames(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert list(frames_of(Shown(tmp_path / name, "a", "print"))) == []
