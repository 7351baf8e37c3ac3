"""Faces are annotated as the detector sees them, people are parted, composites carry true boxes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from recognition.commands import main
from recognition.evaluate.datasets import DatasetError
from recognition.pipeline import Pipeline
from recognition.training.cascade.annotating import annotate, make_composites, split_people
from recognition.training.cascade.annotations import AnnotatedImage, Truth, load, read_annotations
from recognition.training.cascade.compositing import (
    FACE_SIDES,
    Cutout,
    compose,
    cutouts,
    pieces_without_faces,
    texture,
)
from recognition.training.cascade.windows import overlaps
from tests.recognition.training.drawn_faces import drawn_face, drawn_images

PEOPLE = {
    f"person {number}": [Path(f"{number}/{n}.jpg") for n in range(3)] for number in range(200)
}


def test_nobody_is_on_both_sides_and_nobody_is_left_out() -> None:
    split = split_people(PEOPLE, 0.25)
    train, held = ({path.parent for path in paths} for paths in (split.train, split.held_out))
    assert not train & held
    assert len(split.train) + len(split.held_out) == 600
    assert 30 <= len(held) <= 70


def test_who_is_held_out_stays_so_when_others_come_and_images_are_added() -> None:
    held = split_people(PEOPLE, 0.25).held_out
    more = {**PEOPLE, "another": [Path("x/1.jpg")]}
    more["person 3"] = [*PEOPLE["person 3"], Path("3/9.jpg")]
    assert set(held) <= set(split_people(more, 0.25).held_out)
    assert set(held) <= set(split_people(PEOPLE, 0.5).held_out)
    assert split_people(PEOPLE, 0.0).held_out == ()


def test_a_portrait_is_annotated_with_box_and_points(
    pipeline: Pipeline, face_files: dict[str, Path]
) -> None:
    path = face_files["obama.jpg"]
    (image,) = annotate(pipeline.detector, [path], device=torch.device("cpu"))
    (face,) = [one for one in image.faces if not one.ignored]
    assert face.points is not None
    x1, y1, x2, y2 = face.box
    (left, right, nose, *mouth) = face.points
    assert x1 < left[0] < nose[0] < right[0] < x2
    assert y1 < left[1] < nose[1] < mouth[0][1] < y2


def test_an_image_that_cannot_be_read_is_named(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"bad\.jpg cannot be used"):
        annotate(pipeline.detector, [tmp_path / "bad.jpg"], device=torch.device("cpu"))


def test_a_face_is_cut_out_with_its_box_where_no_other_is(tmp_path: Path) -> None:
    pixels, truth = load(drawn_images(tmp_path, 2)[1])
    for face in cutouts(pixels, truth, np.random.default_rng(0)):
        x1, y1, x2, y2 = face.box.round().astype(int).tolist()
        own = face.pixels[max(0, y1) : y2, max(0, x1) : x2]
        places = [pixels[int(b[1]) : int(b[3]), int(b[0]) : int(b[2])] for b in truth.boxes]
        assert any(own.shape == place.shape and (own == place).all() for place in places)


def test_pieces_of_background_touch_no_face(tmp_path: Path) -> None:
    pixels, truth = load(drawn_images(tmp_path, 1)[0])
    marked = np.zeros_like(pixels)
    x1, y1, x2, y2 = truth.boxes[0].astype(int).tolist()
    marked[y1:y2, x1:x2] = 255
    pieces = pieces_without_faces(marked, truth, np.random.default_rng(0), 5)
    assert pieces
    assert not any(piece.any() for piece in pieces)
    some = Truth(truth.boxes, truth.points, truth.ignored, complete=False)
    assert pieces_without_faces(marked, some, np.random.default_rng(0), 5) == []


def one_face() -> Cutout:
    """A green face, 60 pixels wide, on black; the points where nothing is mirrored alike."""
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:80, 20:80] = (0, 255, 0)
    points = np.array([[35.0, 40], [65, 40], [50, 50], [38, 65], [62, 65]])
    return Cutout(pixels, np.array([20.0, 20, 80, 80]), points)


@pytest.mark.parametrize("seed", range(8))
def test_a_composites_boxes_lie_around_the_faces_that_were_laid_on_it(seed: int) -> None:
    black = [np.zeros((40, 40, 3), np.uint8)]
    picture, faces = compose([one_face()], black, np.random.default_rng(seed + 100))
    boxes = np.array([face.box for face in faces]).reshape(-1, 4)
    assert not np.triu(overlaps(boxes, boxes), 1).any()
    for face in faces:
        x1, y1, x2, y2 = face.box
        assert 0 <= x1 < x2 <= picture.shape[1]
        assert 0 <= y1 < y2 <= picture.shape[0]
        assert FACE_SIDES[0] * 0.9 <= np.sqrt((x2 - x1) * (y2 - y1)) <= 60 * 1.55
        middle = picture[round((y1 + y2) / 2), round((x1 + x2) / 2)].astype(int)
        assert middle[1] - middle[0] > 100
        assert face.points is not None
        (left, right, nose, low_left, low_right) = face.points
        assert left[0] < nose[0] < right[0]
        assert low_left[0] < nose[0] < low_right[0]
        # (35 + 0.5 - 20) / 60 of the box, and the same from the right where it is mirrored
        share = (left[0] + 0.5 - x1) / (x2 - x1)
        assert share == pytest.approx(15.5 / 60, abs=0.02) or share == pytest.approx(
            14.5 / 60, abs=0.02
        )


def test_a_texture_is_a_picture_of_the_size_asked_for() -> None:
    picture = texture((30, 50), np.random.default_rng(0))
    assert picture.shape == (30, 50, 3)
    assert picture.dtype == np.uint8


def test_composites_are_always_the_same_and_can_be_read(tmp_path: Path) -> None:
    images = drawn_images(tmp_path / "drawn", 6)
    first = make_composites(images, tmp_path / "a", 3, seed=5)
    second = make_composites(images, tmp_path / "b", 3, seed=5)
    for one, other in zip(first, second, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()
        assert one.faces == other.faces
        load(one)
    assert any(one.faces for one in first)


def test_without_a_face_to_cut_out_there_are_no_composites(tmp_path: Path) -> None:
    bare = [AnnotatedImage(image.path, ()) for image in drawn_images(tmp_path, 2)]
    with pytest.raises(DatasetError, match="no face can be cut out"):
        make_composites(bare, tmp_path / "made", 2, seed=0)


def test_the_command_reads_wider_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "images").mkdir()
    picture = np.zeros((100, 100, 3), np.uint8)
    drawn_face(picture, (10, 10), 50)
    cv2.imwrite(str(tmp_path / "images" / "a.png"), picture)
    (tmp_path / "list.txt").write_text("a.png\n1\n10 10 50 50 0 0 0 0 0 0\n")
    out = tmp_path / "out" / "faces.jsonl"
    arguments = ["train", "annotate", "--images", str(tmp_path / "images"), "--out", str(out)]
    assert main([*arguments, "--wider", str(tmp_path / "list.txt")]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    (image,) = read_annotations(out)
    assert load(image)[1].boxes.tolist() == [[10, 10, 60, 60]]


def test_the_command_names_what_it_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text("a.png\nx\n")
    arguments = ["train", "annotate", "--images", str(tmp_path), "--out", str(tmp_path / "o.jsonl")]
    assert main([*arguments, "--wider", str(tmp_path / "list.txt")]) == 1
    assert "line 2: expected the number of faces" in capsys.readouterr().err
    assert not (tmp_path / "o.jsonl").exists()
