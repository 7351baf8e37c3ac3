"""Reads labelled images: LFW's list of pairs, and folders named by identity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class DatasetError(Exception):
    """A data set that cannot be used as it is. The message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One image of a person: the person's name and the image's number, from 1."""

    person: str
    number: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images to compare. fold counts from 0."""

    fold: int
    first: Portrait
    second: Portrait

    @property
    def same(self) -> bool:
        """Whether both are of one person."""
        return self.first.person == self.second.person


def read_pairs(path: Path) -> list[Pair]:
    """Reads LFW's `pairs.txt`.

    The first line has the number of folds F and of pairs N; then for each fold N genuine pairs
    (name, number, number) and N impostor pairs (name, number, name, number), by white space.

    Raises:
        DatasetError: another format, or not the number of lines that it announces.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    try:
        folds, pairs_each = (int(word) for word in rows[0][1])
    except (IndexError, ValueError) as error:
        message = f"{path}, line 1: expected the number of folds and of pairs in each half"
        raise DatasetError(message) from error
    if folds < 1 or pairs_each < 1 or len(rows) - 1 != folds * pairs_each * 2:
        raise DatasetError(
            f"{path}: line 1 announces {folds} folds of 2 x {pairs_each} pairs, "
            f"but {len(rows) - 1} lines follow"
        )
    return [
        _pair(path, number, words, fold=position // (2 * pairs_each))
        for position, (number, words) in enumerate(rows[1:])
    ]


def _pair(path: Path, line: int, words: list[str], *, fold: int) -> Pair:
    try:
        match words:
            case [person, first, second]:
                return Pair(fold, Portrait(person, int(first)), Portrait(person, int(second)))
            case [person, first, other, second] if other != person:
                return Pair(fold, Portrait(person, int(first)), Portrait(other, int(second)))
    except ValueError:
        pass  # a number that is none: the message below says what is expected
    raise DatasetError(
        f"{path}, line {line}: expected `name number number` or `name number name number`"
    )


def portrait_path(folder: Path, portrait: Portrait) -> Path:
    """Where LFW's layout keeps an image: `Name/Name_0001.jpg`, or another image suffix.

    Raises:
        DatasetError: there is none.
    """
    stem = folder / portrait.person / f"{portrait.person}_{portrait.number:04d}"
    for suffix in SUFFIXES:
        path = stem.with_name(stem.name + suffix)
        if path.is_file():
            return path
    raise DatasetError(f"there is no image {stem}.jpg; is {folder} the folder of the images?")


def images_by_person(folder: Path) -> dict[str, list[Path]]:
    """Images below each subfolder of `folder`, by the subfolder's name, in sorted order.

    Raises:
        DatasetError: no images there.
    """
    people: dict[str, list[Path]] = {}
    if folder.is_dir():
        for person in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
            images = sorted(p for p in person.rglob("*") if p.suffix.lower() in SUFFIXES)
            if images:
                people[person.name] = images
    if not people:
        raise DatasetError(f"{folder} has no subfolders with images")
    return people
