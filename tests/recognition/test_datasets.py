"""Lists of pairs are read as LFW writes them; anything else is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognition.evaluate.datasets import (
    DatasetError,
    Pair,
    Portrait,
    images_by_person,
    portrait_path,
    read_pairs,
)

SOUND = """2\t1
Ann_Bee\t1\t4
Ann_Bee\t1\tCarl_Dee\t2
Eve_Eff\t3\t2
Carl_Dee\t1\tEve_Eff\t1
"""


def pairs_file(folder: Path, text: str) -> Path:
    path = folder / "pairs.txt"
    path.write_text(text)
    return path


def test_pairs_come_with_their_folds(tmp_path: Path) -> None:
    pairs = read_pairs(pairs_file(tmp_path, SOUND))
    assert pairs == [
        Pair(0, Portrait("Ann_Bee", 1), Portrait("Ann_Bee", 4)),
        Pair(0, Portrait("Ann_Bee", 1), Portrait("Carl_Dee", 2)),
        Pair(1, Portrait("Eve_Eff", 3), Portrait("Eve_Eff", 2)),
        Pair(1, Portrait("Carl_Dee", 1), Portrait("Eve_Eff", 1)),
    ]
    assert [pair.same for pair in pairs] == [True, False, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1"),
        ("pairs\n", "line 1"),
        ("0 0\n", "announces"),
        (SOUND.replace("2\t1\n", "3\t1\n", 1), "announces 3 folds"),
        (SOUND + "Ann_Bee 1 2\n", "5 lines follow"),
        (SOUND.replace("Ann_Bee\t1\t4", "Ann_Bee\t1"), "line 2"),
        (SOUND.replace("Ann_Bee\t1\t4", "Ann_Bee\tone\t4"), "line 2"),
        (SOUND.replace("Carl_Dee\t2", "Ann_Bee\t2"), "line 3"),
    ],
)
def test_another_format_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_pairs(pairs_file(tmp_path, text))


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_pairs(tmp_path / "nowhere.txt")


def test_an_image_is_found_by_name_and_number(tmp_path: Path) -> None:
    folder = tmp_path / "Ann_Bee"
    folder.mkdir()
    (folder / "Ann_Bee_0004.jpg").touch()
    (folder / "Ann_Bee_0005.png").touch()
    assert portrait_path(tmp_path, Portrait("Ann_Bee", 4)).name == "Ann_Bee_0004.jpg"
    assert portrait_path(tmp_path, Portrait("Ann_Bee", 5)).name == "Ann_Bee_0005.png"
    with pytest.raises(DatasetError, match="Ann_Bee_0006"):
        portrait_path(tmp_path, Portrait("Ann_Bee", 6))


def test_people_are_folders_with_images(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "a/deep/3.webp", "c/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    people = images_by_person(tmp_path)
    assert {name: [path.name for path in paths] for name, paths in people.items()} == {
        "a": ["3.webp"],
        "b": ["1.png", "2.JPG"],
    }


def test_a_folder_without_people_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no subfolders"):
        images_by_person(tmp_path / "nowhere")
