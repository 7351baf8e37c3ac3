"""Reads labelled images: LFW's list of pairs, and folders named by identity."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class DatasetError(Exception):
    """A data set that cannot be used as it is. The message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One image of a person: the person's name and the image's number, from 1, or its file."""

    person: str
    number: int
    file: str = ""


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
    In place of a number an image's file name in the person's folder may stand.

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
                return Pair(fold, _portrait(person, first), _portrait(person, second))
            case [person, first, other, second] if other != person:
                return Pair(fold, _portrait(person, first), _portrait(other, second))
    except ValueError:
        pass  # a number that is none: the message below says what is expected
    raise DatasetError(
        f"{path}, line {line}: expected `name number number` or `name number name number`"
    )


def _portrait(person: str, image: str) -> Portrait:
    """Raises ValueError unless `image` is a number or the plain name of an image file."""
    if image.lower().endswith(SUFFIXES) and PurePath(image).name == image:
        return Portrait(person, 0, image)
    return Portrait(person, int(image))


def portrait_path(folder: Path, portrait: Portrait) -> Path:
    """Where LFW's layout keeps an image: `Name/Name_0001.jpg`, or another image suffix.

    An image with a file of its own lies below its person's folder under that name.

    Raises:
        DatasetError: there is none.
    """
    if portrait.file:
        named = folder / portrait.person / portrait.file
        if named.is_file():
            return named
        raise DatasetError(f"there is no image {named}; is {folder} the folder of the images?")
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


def make_pairs(
    people: Mapping[str, Sequence[Path]], first: str, second: str, *, folds: int
) -> list[list[str]]:
    """Pairs of an image that matches `first` with one that matches `second`, as read by
    `read_pairs`, by fold.

    People are dealt into folds in the order of their names, so that no person is in two. A fold
    has all pairs of one person that it can, and as many of two of its people, drawn with a fixed
    seed. All folds are cut to the smallest.

    Args:
        people: images by person.
        first: pattern of file names, as in the shell.
        second: another.
        folds: at least 1.

    Raises:
        DatasetError: a fold has no pair, or names have white space.
    """
    draw = random.Random(0)  # noqa: S311 (the same pairs everywhere, no secret)
    names = sorted(people)
    dealt = []
    for fold in range(folds):
        members = names[fold * len(names) // folds : (fold + 1) * len(names) // folds]
        left = [(n, p.name) for n in members for p in people[n] if p.match(first)]
        right = [(n, p.name) for n in members for p in people[n] if p.match(second)]
        every = {(a, b) for a in left for b in right if a != b}
        both = sorted((a, b) for a, b in every if a < b or (b, a) not in every)
        same = [(a, b) for a, b in both if a[0] == b[0]]
        different = [(a, b) for a, b in both if a[0] != b[0]]
        draw.shuffle(same)
        draw.shuffle(different)
        dealt.append((same, different))
    each = min(min(len(same), len(different)) for same, different in dealt)
    if each == 0:
        raise DatasetError(f"a fold has no pairs of {first} and {second}; try fewer folds")
    if any(len(word.split()) != 1 for same, _ in dealt for pair in same for word in sum(pair, ())):
        raise DatasetError("names of people and files must not have white space")
    lines = [[str(folds), str(each)]]
    for same, different in dealt:
        lines += [[a[0], a[1], b[1]] for a, b in sorted(same[:each])]
        lines += [[*a, *b] for a, b in sorted(different[:each])]
    return lines
