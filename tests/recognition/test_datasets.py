"""Lists of pairs are read as LFW writes them; anything else is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognition.evaluate.datasets import (
    DatasetError,
    Pair,
    Portrait,
    images_by_person,
    make_pairs,
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


def test_an_image_may_be_named_by_its_file(tmp_path: Path) -> None:
    (pair, _) = read_pairs(pairs_file(tmp_path, "1 1\na front.jpg side.png\na 1 b side.png\n"))
    assert pair == Pair(0, Portrait("a", 0, "front.jpg"), Portrait("a", 0, "side.png"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "front.jpg").touch()
    assert portrait_path(tmp_path, pair.first) == tmp_path / "a" / "front.jpg"
    with pytest.raises(DatasetError, match=r"side\.png"):
        portrait_path(tmp_path, pair.second)


@pytest.mark.parametrize("name", ["../b/1.jpg", "/etc/1.jpg", "x/1.jpg", "notes.txt"])
def test_a_file_elsewhere_or_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="line 2"):
        read_pairs(pairs_file(tmp_path, f"1 1\na {name} 2.jpg\na 1 b 2\n"))


def album(people: int = 6) -> dict[str, list[Path]]:
    files = ["front_1.jpg", "front_2.jpg", "side_1.jpg"]
    return {f"p{n}": [Path("album", f"p{n}", file) for file in files] for n in range(people)}


def test_made_pairs_are_read_again_balanced_and_no_person_is_in_two_folds(tmp_path: Path) -> None:
    lines = make_pairs(album(), "front_*", "side_*", folds=3)
    pairs = read_pairs(pairs_file(tmp_path, "".join(" ".join(words) + "\n" for words in lines)))
    assert len(pairs) == 3 * 2 * 4
    folds: dict[str, set[int]] = {}
    for pair in pairs:
        assert pair.first.file.startswith("front_")
        assert pair.second.file.startswith("side_")
        for portrait in (pair.first, pair.second):
            folds.setdefault(portrait.person, set()).add(pair.fold)
    assert all(len(found) == 1 for found in folds.values())
    assert len(set(pairs)) == len(pairs)
    assert sum(pair.same for pair in pairs) == len(pairs) / 2


def test_the_same_pairs_are_made_again_and_none_both_ways_round() -> None:
    lines = make_pairs(album(), "*", "*", folds=2)
    assert lines == make_pairs(album(), "*", "*", folds=2)
    genuine = [(a, *sorted((b, c))) for a, b, c in (words for words in lines if len(words) == 3)]
    assert len(set(genuine)) == len(genuine) == 2 * 9


@pytest.mark.parametrize(("first", "folds"), [("none_*", 2), ("front_*", 7)])
def test_a_fold_without_pairs_is_a_clear_error(first: str, folds: int) -> None:
    with pytest.raises(DatasetError, match="fewer folds"):
        make_pairs(album(), first, "side_*", folds=folds)


def test_names_that_the_list_cannot_hold_are_refused() -> None:
    people = {name: [Path(name, "a 1.jpg"), Path(name, "b.jpg")] for name in ("x", "y")}
    with pytest.raises(DatasetError, match="white space"):
        make_pairs(people, "a*", "b*", folds=1)


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
