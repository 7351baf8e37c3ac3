"""Annotated images are read as they were written, and what is wrong with a line is said."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from recognition.evaluate.datasets import DatasetError
from recognition.training.cascade.annotations import (
    AnnotatedFace,
    AnnotatedImage,
    fingerprint,
    load,
    read_annotations,
    write_annotations,
)
from tests.recognition.training.drawn_faces import drawn_images

BOX = [10.5, 20, 50, 70]


def lines(*entries: object) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def written(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "faces.jsonl"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    points = ((20.0, 30.0), (40.0, 30.0), (30.0, 40.0), (22.0, 55.5), (38.0, 55.0))
    images = [
        AnnotatedImage(
            tmp_path / "people" / "a.jpg",
            (AnnotatedFace((10.5, 20, 50, 70), points), AnnotatedFace((0, 0, 9, 9), None, True)),
        ),
        AnnotatedImage(tmp_path / "b.png", (), complete=False),
    ]
    file = tmp_path / "lists" / "faces.jsonl"
    write_annotations(file, images)
    back = read_annotations(file)
    assert [image.path.resolve() for image in back] == [image.path.resolve() for image in images]
    assert [(image.faces, image.complete) for image in back] == [
        (image.faces, image.complete) for image in images
    ]


def test_a_path_is_relative_to_the_list_so_both_can_be_moved_together(tmp_path: Path) -> None:
    (image, *_) = drawn_images(tmp_path / "old" / "pictures", 1)
    write_annotations(tmp_path / "old" / "faces.jsonl", [image])
    (tmp_path / "old").rename(tmp_path / "new")
    (moved,) = read_annotations(tmp_path / "new" / "faces.jsonl")
    assert load(moved)[0].shape == (120, 160, 3)


def test_points_and_flags_may_be_missing(tmp_path: Path) -> None:
    file = written(tmp_path, lines({"image": "a.jpg", "faces": [{"box": BOX}]}))
    (image,) = read_annotations(file)
    assert image.complete
    assert image.faces == (AnnotatedFace((10.5, 20, 50, 70), None, ignored=False),)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ([], "expected an object"),
        ({"image": "a.jpg"}, "missing: ['faces']"),
        ({"image": "a.jpg", "faces": [], "face": 1}, "unknown: ['face']"),
        ({"image": 3, "faces": []}, "`image` is the path"),
        ({"image": "", "faces": []}, "`image` is the path"),
        ({"image": "a\0.jpg", "faces": []}, "`image` is the path"),
        ({"image": "a.jpg", "faces": {}}, "`faces` is a list"),
        ({"image": "a.jpg", "faces": [], "complete": 1}, "`complete` is true or false"),
        ({"image": "a.jpg", "faces": ["box"]}, "expected an object"),
        ({"image": "a.jpg", "faces": [{"points": None}]}, "missing: ['box']"),
        ({"image": "a.jpg", "faces": [{"box": BOX, "ignore": True}]}, "unknown: ['ignore']"),
        ({"image": "a.jpg", "faces": [{"box": [1, 2, 3]}]}, "four numbers"),
        ({"image": "a.jpg", "faces": [{"box": [1, 2, 3, "4"]}]}, "four numbers"),
        ({"image": "a.jpg", "faces": [{"box": [1, 2, 3, True]}]}, "four numbers"),
        ({"image": "a.jpg", "faces": [{"box": [1, 2, 3, float("nan")]}]}, "four numbers"),
        ({"image": "a.jpg", "faces": [{"box": [1, 2, 3, float("inf")]}]}, "four numbers"),
        ({"image": "a.jpg", "faces": [{"box": [1, 2, 3, 10**400]}]}, "four numbers"),
        ({"image": "a.jpg", "faces": [{"box": [5, 2, 3, 9]}]}, "has no area"),
        ({"image": "a.jpg", "faces": [{"box": [5, 2, 5, 9]}]}, "has no area"),
        ({"image": "a.jpg", "faces": [{"box": BOX, "points": [[1, 2]] * 4}]}, "five points"),
        ({"image": "a.jpg", "faces": [{"box": BOX, "points": [[1]] * 5}]}, "two numbers"),
    ],
)
def test_a_wrong_line_is_named_with_what_is_wrong(tmp_path: Path, entry: object, says: str) -> None:
    good = {"image": "good.jpg", "faces": []}
    with pytest.raises(DatasetError) as refused:
        read_annotations(written(tmp_path, lines(good, entry)))
    assert "line 2" in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"image": "a.jpg", "faces": [], }'])
def test_what_is_no_json_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(DatasetError, match="line 1"):
        read_annotations(written(tmp_path, text))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_a_file_without_annotated_images_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DatasetError):
        read_annotations(written(tmp_path, content))


def test_an_image_that_comes_twice_is_refused(tmp_path: Path) -> None:
    entry = {"image": "a.jpg", "faces": []}
    with pytest.raises(DatasetError, match=r"line 2: .*a\.jpg was annotated before"):
        read_annotations(written(tmp_path, lines(entry, entry)))


def test_a_face_outside_its_image_is_refused_when_the_image_is_seen(tmp_path: Path) -> None:
    (image, *_) = drawn_images(tmp_path, 1)
    astray = AnnotatedImage(image.path, (AnnotatedFace((200, 10, 250, 60)),))
    with pytest.raises(DatasetError, match="outside the image of 160 x 120"):
        load(astray)


def test_a_missing_or_damaged_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.png cannot be read"):
        load(AnnotatedImage(tmp_path / "none.png", ()))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"bad\.png cannot be used"):
        load(AnnotatedImage(tmp_path / "bad.png", ()))


def test_a_photo_that_comes_out_reduced_has_its_faces_reduced_with_it(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.zeros((100, 4096, 3), np.uint8))
    points = ((99.5, 9.5), (139.5, 9.5), (119.5, 19.5), (103.5, 29.5), (135.5, 29.5))
    pixels, truth = load(AnnotatedImage(path, (AnnotatedFace((80, 0, 160, 40), points),)))
    assert pixels.shape == (50, 2048, 3)
    np.testing.assert_allclose(truth.boxes, [[40, 0, 80, 20]])
    # The edge between pixels 99 and 100 is that between pixels 49 and 50 of the half.
    np.testing.assert_allclose(truth.points[0, 0], [49.5, 4.5])


def test_the_fingerprint_changes_with_a_face_a_flag_and_a_pixel(tmp_path: Path) -> None:
    images = drawn_images(tmp_path, 2)
    whole = fingerprint(images)
    assert fingerprint(drawn_images(tmp_path / "again", 2)) == whole
    (first, second) = images
    assert fingerprint([AnnotatedImage(first.path, (), True), second]) != whole
    assert fingerprint([AnnotatedImage(first.path, first.faces, False), second]) != whole
    first.path.write_bytes(second.path.read_bytes())
    assert fingerprint(images) != whole
