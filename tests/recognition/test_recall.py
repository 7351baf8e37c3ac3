"""When the person of an image counts as found, and which images of a folder are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from recognition.bench.contest import Box, Candidate, Run, Task
from recognition.bench.frames import BenchError
from recognition.bench.recall import (
    Dataset,
    Finds,
    Group,
    clip_folder,
    contains,
    find,
    image_folder,
    portraits,
    recall,
    spread,
)


def nothing() -> Iterator[Candidate]:
    return iter(())


def group(count: int, *, centred: bool) -> Group:
    return Group(nothing, count, centred)


def found(*boxes: Box, other: Sequence[Box] = ()) -> Finds:
    return Finds((100, 50), {"one": boxes, "other": other})


def test_a_box_reaches_half_its_size_beyond_each_side() -> None:
    box = (40, 40, 60, 80)
    assert contains(box, (50, 60))
    assert contains(box, (30, 20))
    assert contains(box, (70, 100))
    assert not contains(box, (29, 60))
    assert not contains(box, (50, 101))


def test_in_a_folder_the_subject_is_found_only_at_the_centre() -> None:
    images = [
        found((90, 40, 110, 60)),
        found((0, 0, 20, 20)),
        found(),
        found((0, 0, 20, 20), (95, 45, 105, 55)),
    ]
    assert recall([(group(4, centred=True), images)], "one") == 0.5
    assert recall([(group(4, centred=True), images)], "other") == 0


def test_in_a_clip_the_subject_is_where_most_systems_find_it_in_most_frames() -> None:
    here, there = (10.0, 10.0, 30.0, 30.0), (150.0, 60.0, 190.0, 100.0)
    frames = [found(here, other=(here,)) for _ in range(5)]
    frames.append(found(there, other=(here,)))
    frames.append(found())
    groups = [(group(7, centred=False), frames)]
    assert recall(groups, "one") == pytest.approx(5 / 7, abs=1e-5)
    assert recall(groups, "other") == pytest.approx(6 / 7, abs=1e-5)


def test_of_several_faces_the_largest_tells_the_place() -> None:
    small, large = (0.0, 0.0, 4.0, 4.0), (120.0, 20.0, 180.0, 90.0)
    frames = [found(small, large, other=(small,)), found(large), found(large)]
    groups = [(group(3, centred=False), frames)]
    assert recall(groups, "one") == 1
    assert recall(groups, "other") == 0


def test_where_nobody_finds_anything_everybody_misses() -> None:
    groups = [(group(2, centred=False), [found(), found()])]
    assert recall(groups, "one") == 0
    assert recall(groups, "other") == 0


def test_groups_count_by_their_images() -> None:
    hit, miss = found((90, 40, 110, 60)), found()
    groups = [(group(3, centred=True), [hit, hit, hit]), (group(1, centred=True), [miss])]
    assert recall(groups, "one") == 0.75


def test_no_images_are_an_error_and_no_share() -> None:
    with pytest.raises(BenchError, match="no image"):
        recall([], "one")


def test_a_sample_is_spread_evenly_and_always_the_same() -> None:
    assert spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(3), 5) == [0, 1, 2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        path = tmp_path / f"person{number % 2}" / f"{number}.{'png' if number == 5 else 'jpg'}"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64 + number, 48)).save(path)
    (tmp_path / "person0" / "notes.txt").write_text("not an image")
    return tmp_path


def test_a_folder_gives_its_images_with_their_files(folder: Path) -> None:
    dataset = image_folder("data", folder, 100)
    assert (dataset.name, dataset.count) == ("data", 6)
    (images,) = (list(group.images()) for group in dataset.groups)
    assert [image.pixels.shape for image in images] == [
        (48, 64 + number, 3) for number in (0, 2, 4, 1, 3, 5)
    ]
    assert [image.jpeg is not None for image in images] == [True] * 5 + [False]
    assert len(list(dataset.groups[0].images())) == 6, "they can be read again"


def test_a_folder_gives_no_more_than_the_sample(folder: Path) -> None:
    dataset = image_folder("data", folder, 2)
    assert dataset.count == 2
    assert len(list(dataset.groups[0].images())) == 2


def test_a_folder_without_images_or_clips_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="has no images"):
        image_folder("data", tmp_path / "nowhere", 5)
    with pytest.raises(BenchError, match="has no clips"):
        clip_folder("data", tmp_path, 5)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    dataset = image_folder("data", tmp_path, 5)
    with pytest.raises(BenchError, match=r"broken\.jpg cannot be used"):
        list(dataset.groups[0].images())


def write_clip(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 10 * number, dtype=np.uint8))
    writer.release()


def test_clips_share_the_sample_and_each_is_a_group_of_its_own(tmp_path: Path) -> None:
    for name in ("a.avi", "b.avi"):
        write_clip(tmp_path / name, 8)
    dataset = clip_folder("clips", tmp_path, 8)
    assert [group.count for group in dataset.groups] == [4, 4]
    frames = list(dataset.groups[0].images())
    assert [round(float(frame.pixels.mean()), -1) for frame in frames] == [0, 20, 40, 60]
    assert all(frame.jpeg is None for frame in frames)


def test_what_is_no_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a clip")
    with pytest.raises(BenchError, match=r"broken\.mp4 is no clip"):
        clip_folder("clips", tmp_path, 5)


class Fixed:
    """Finds the same boxes in every image."""

    def __init__(self, name: str, *boxes: Box) -> None:
        self.name = name
        self.seen: list[tuple[int, ...]] = []
        self._boxes = boxes

    def keep(self, key: str, candidate: Candidate) -> None:
        self.seen.append(candidate.pixels.shape)

    def run(self, task: Task, key: str) -> Run:
        assert task == "detect"
        return Run(1, 1, len(self._boxes), self._boxes)


def test_every_system_looks_at_every_image(folder: Path) -> None:
    dataset = Dataset(
        "both",
        image_folder("data", folder, 100).groups
        + portraits("one", [folder / "person0" / "0.jpg"]).groups,
    )
    systems = (Fixed("centre", (28, 20, 36, 28)), Fixed("corner", (0, 0, 4, 4)))
    counts: list[tuple[int, int]] = []
    groups = list(find(dataset, systems, lambda done, total: counts.append((done, total))))
    assert counts[-1] == (7, 7)
    assert len(systems[0].seen) == 7
    assert systems[0].seen == systems[1].seen
    assert recall(groups[:1], "centre") == 1
    assert recall(groups[:1], "corner") == 0
