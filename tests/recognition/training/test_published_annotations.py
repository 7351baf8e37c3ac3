"""WIDER FACE's and CelebA's annotations are read as their authors write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognition.evaluate.datasets import DatasetError
from recognition.training.cascade.annotations import AnnotatedFace
from recognition.training.cascade.published_formats import read_celeba, read_wider

WIDER = """0--Parade/0_Parade_marchingband_1_849.jpg
1
449 330 122 149 0 0 0 0 0 0
0--Parade/0_Parade_Parade_0_452.jpg
0
0 0 0 0 0 0 0 0 0 0
1--Handshaking/1_Handshaking_Handshaking_1_35.jpg
3
10 20 30 40 2 0 0 1 2 0
50 60 0 0 2 0 0 0 0 0
70 80 9 10 2 0 1 0 0 1
"""

BOXES = """2
image_id x_1 y_1 width height
000001.jpg    95  71 226 313
000002.jpg    72  94 221 306
"""

LANDMARKS = """2
lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y
000001.jpg 165  184  244  176  196  249  194  271  266  260
000002.jpg 140  204  220  204  168  254  146  289  226  289
"""  # noqa: E501 (as published)

IMAGES = Path("images")


def written(tmp_path: Path, text: str, name: str = "list.txt") -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


def test_wider_face_gives_boxes_and_ignores_what_is_invalid(tmp_path: Path) -> None:
    first, empty, several = read_wider(written(tmp_path, WIDER), IMAGES)
    assert first.path == IMAGES / "0--Parade" / "0_Parade_marchingband_1_849.jpg"
    assert first.faces == (AnnotatedFace((449, 330, 571, 479)),)
    assert empty.faces == ()
    assert empty.complete
    assert several.faces == (
        AnnotatedFace((10, 20, 40, 60), None, ignored=True),
        AnnotatedFace((70, 80, 79, 90)),
    )


def test_wider_face_without_the_line_of_zeros_is_read_as_well(tmp_path: Path) -> None:
    text = "a/1.jpg\n0\na/2.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n"
    first, second = read_wider(written(tmp_path, text), IMAGES)
    assert first.faces == ()
    assert second.faces == (AnnotatedFace((1, 2, 4, 6)),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no annotated images"),
        ("a/1.jpg\n", "line 2: expected the number of faces"),
        ("a/1.jpg\nmany\n", "line 2: expected the number of faces"),
        ("a/1.jpg\n-1\n", "line 2: expected the number of faces"),
        ("a/1.jpg\n99999999999999\n", "line 2: expected the number of faces"),
        ("a/1.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n", "line 1: 2 faces announced, 1 follow"),
        ("a/1.jpg\n1\n1 2 3 4\n", "line 3: expected 10 whole numbers"),
        ("a/1.jpg\n1\n1 2 3 4 0 0 0 0 0 x\n", "line 3: expected 10 whole numbers"),
        ("a/1.jpg\n1\n1 2 nan 4 0 0 0 0 0 0\n", "line 3: expected 10 whole numbers"),
        ("a/1.jpg\n1\n1 2 -3 4 0 0 0 0 0 0\n", "line 3: expected `x y width height"),
        ("a/1.jpg\n1\n1 2 3 4 0 0 0 7 0 0\n", "line 3: expected `x y width height"),
        ("a/1.jpg\n1\n1 2 3 99999999 0 0 0 0 0 0\n", "line 3: a box needs"),
        ("../a/1.jpg\n0\n", "line 1: expected an image's path below images"),
        ("/etc/passwd.jpg\n0\n", "line 1: expected an image's path below images"),
        ("12 13 14\n0\n", "line 1: expected an image's path below images"),
    ],
)
def test_a_wrong_line_of_wider_face_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DatasetError) as refused:
        read_wider(written(tmp_path, text), IMAGES)
    assert says in str(refused.value)


def test_celeba_gives_one_face_with_points_of_an_image_that_may_have_more(tmp_path: Path) -> None:
    boxes, landmarks = written(tmp_path, BOXES, "b.txt"), written(tmp_path, LANDMARKS, "l.txt")
    first, second = read_celeba(boxes, landmarks, IMAGES)
    assert not first.complete
    assert second.path == IMAGES / "000002.jpg"
    assert first.faces == (
        AnnotatedFace(
            (95, 71, 321, 384), ((165, 184), (244, 176), (196, 249), (194, 271), (266, 260))
        ),
    )


@pytest.mark.parametrize(
    ("boxes", "landmarks", "says"),
    [
        ("", LANDMARKS, "expected the number of images"),
        (BOXES.replace("2\n", "3\n", 1), LANDMARKS, "announces 3 images, but 2 follow"),
        (BOXES.replace("width", "w"), LANDMARKS, "expected the number of images"),
        (BOXES.replace("226", "x"), LANDMARKS, "line 3: expected 4 whole numbers"),
        (BOXES.replace("000002", "000001"), LANDMARKS, "line 4: 000001.jpg came before"),
        (BOXES.replace("000002", "000003"), LANDMARKS, "000002.jpg is in one only"),
        (BOXES.replace("000002.jpg", "../2.jpg"), LANDMARKS, "in one only"),
        (BOXES, LANDMARKS.replace("289\n", "\n"), "line 4: expected 10 whole numbers"),
        (BOXES, LANDMARKS.replace("289\n", "99999999\n"), "line 4: a point needs two numbers"),
        (BOXES.replace("226 313", "-5 313"), LANDMARKS, None),
    ],
)
def test_a_wrong_file_of_celeba_is_named(
    tmp_path: Path, boxes: str, landmarks: str, says: str | None
) -> None:
    files = written(tmp_path, boxes, "b.txt"), written(tmp_path, landmarks, "l.txt")
    if says is None:  # without an area there is no face, and the image is left out
        assert len(read_celeba(*files, IMAGES)) == 1
        return
    with pytest.raises(DatasetError) as refused:
        read_celeba(*files, IMAGES)
    assert says in str(refused.value)


def test_a_name_that_leads_out_of_celebas_folder_is_refused(tmp_path: Path) -> None:
    boxes = written(tmp_path, BOXES.replace("000002.jpg", "../2.jpg"), "b.txt")
    landmarks = written(tmp_path, LANDMARKS.replace("000002.jpg", "../2.jpg"), "l.txt")
    with pytest.raises(DatasetError, match="line 4: expected an image's path below"):
        read_celeba(boxes, landmarks, IMAGES)


def test_the_list_of_the_aligned_images_is_refused_as_boxes(tmp_path: Path) -> None:
    landmarks = written(tmp_path, LANDMARKS)
    with pytest.raises(DatasetError, match="in the wild"):
        read_celeba(landmarks, landmarks, IMAGES)
