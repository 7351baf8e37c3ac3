"""Scenes composed of clips: everybody is where the scene says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recognition.evaluate.composed import (
    GAP_FRAMES,
    HEIGHT,
    KINDS,
    SCENE_FRAMES,
    WIDTH,
    Clip,
    Composed,
    clip_of,
    clips_by_person,
    scenes,
)
from recognition.evaluate.datasets import DatasetError
from recognition.types import FrameResult

COLOURS = {"anna": (250, 0, 0), "bert": (0, 250, 0), "carl": (0, 0, 250)}
BOX = np.array([300, 100, 360, 180], np.float32)


def clip(person: str, frames: int = 12) -> Clip:
    picture = np.full((HEIGHT, WIDTH, 3), COLOURS[person], np.uint8)
    return Clip(person, f"{person}/clip", [picture] * frames, BOX)


CLIPS = [clip("anna"), clip("bert"), clip("carl")]


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_nobody_is_near_is_seen_where_they_stand(kind: str) -> None:
    scene = Composed(kind, tuple(CLIPS[: KINDS[kind].people]))
    for frame in scene.frames():
        assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
        for person in frame.standing:
            others = [other for other in frame.standing if other is not person]
            if all(abs(other.x - person.x) > 2 * other.width for other in others):
                assert not person.covered
                seen = frame.pixels[round(person.y), round(min(person.x, WIDTH - 1))]
                assert tuple(seen.tolist()) == COLOURS[person.person]


@pytest.mark.parametrize("kind", [kind for kind, recipe in KINDS.items() if recipe.people > 1])
def test_everybody_can_be_seen_at_some_time(kind: str) -> None:
    people = CLIPS[: KINDS[kind].people]
    frames = list(Composed(kind, tuple(people)).frames())
    for one in people:
        visible = [s for frame in frames for s in frame.standing if s.person == one.person]
        assert sum(not person.covered for person in visible) >= 8


def test_people_who_cross_change_sides() -> None:
    frames = list(Composed("crossing", tuple(CLIPS[:2])).frames())
    (first, second), (third, fourth) = frames[0].standing, frames[-1].standing
    assert first.x < second.x
    assert third.x > fourth.x
    assert any(person.covered for frame in frames for person in frame.standing)
    assert len(frames) == SCENE_FRAMES


def test_between_two_who_come_one_after_the_other_nobody_is_there() -> None:
    frames = list(Composed("one after the other", tuple(CLIPS[:2])).frames())
    assert [len(frame.standing) for frame in frames].count(0) == GAP_FRAMES


def test_scenes_are_the_same_for_the_same_seed_and_of_different_people() -> None:
    names = [scene.name for scene in scenes(CLIPS, 4, seed=3)]
    assert names == [scene.name for scene in scenes(CLIPS, 4, seed=3)]
    assert names != [scene.name for scene in scenes(CLIPS, 4, seed=4)]
    for scene in scenes(CLIPS, 4):
        assert len({one.person for one in scene.clips}) == KINDS[scene.kind].people
    assert len(names) == 3 + 4 * (len(KINDS) - 1)


def test_two_people_make_no_scenes_of_three() -> None:
    kinds = {scene.kind for scene in scenes(CLIPS[:2], 1)}
    assert kinds == {kind for kind, recipe in KINDS.items() if recipe.people < 3}


def test_a_clip_without_a_face_is_none() -> None:
    assert clip_of(Path("a/b.mkv"), CLIPS[0].frames, [FrameResult(WIDTH, HEIGHT)]) is None


def test_a_folder_without_clips_of_two_people_is_refused(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "a.mkv").write_bytes(b"")
    with pytest.raises(DatasetError, match="two or more people"):
        clips_by_person(tmp_path)
    with pytest.raises(DatasetError, match="two or more people"):
        clips_by_person(tmp_path / "nowhere")
