"""A report is one page that needs nothing else, and shows hostile names as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognition.evaluate.metrics import det_curve
from recognition.evaluate.page import Picture, Shown
from recognition.evaluate.report import Report, write_report


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "<b>Ann" / "1 & 2.jpg"
    path.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (600, 900, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    return path


def report(*shown: Shown) -> Report:
    genuine, impostor = np.array([0.4, 0.8]), np.array([0.0, 0.1, 0.5])
    return Report(
        title="Verification <script>alert(1)</script>",
        figures={"accuracy": 0.75, "tar": {"1e-3": 0.5}, "missed_images": ["<i>x"], "none": []},
        curve=det_curve(genuine, impostor),
        axes=("false match rate", "false non-match rate"),
        scores={"one person": genuine, "two people": impostor, "nobody": np.zeros(0)},
        pairs=[("Lowest", list(shown)), ("Nothing to show", [])],
    )


def page_of(folder: Path, made: Report) -> str:
    write_report(folder, made)
    return (folder / "report.html").read_text()


def test_everything_is_in_the_one_file(tmp_path: Path, photo: Path) -> None:
    page = page_of(tmp_path / "out", report(Shown(0.4, photo, photo, "a note")))
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 4
    assert [source.split(",")[0] for source in sources] == [
        *["data:image/png;base64"] * 2,
        *["data:image/jpeg;base64"] * 2,
    ]
    assert "http" not in re.sub(r'"data:[^"]*"', "", page).replace("http-equiv", "")
    assert "default-src 'none'" in page
    assert "a note" in page
    assert "0.400" in page


def test_figures_lie_beside_it_as_json_and_the_curve_as_pictures(tmp_path: Path) -> None:
    made = report()
    page = page_of(tmp_path, made)
    assert json.loads((tmp_path / "report.json").read_text()) == made.figures
    assert (tmp_path / "det.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "det.svg").read_bytes()
    assert '<th scope="row">tar.1e-3</th><td>0.5</td>' in page
    assert "Nothing to show" not in page


def test_names_and_titles_are_text_not_markup(tmp_path: Path, photo: Path) -> None:
    page = page_of(tmp_path / "out", report(Shown(0.4, photo, None)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page
    assert "&lt;b&gt;Ann/1 &amp; 2.jpg" in page
    assert "<i>x" not in page


def test_photos_are_made_small(tmp_path: Path, photo: Path) -> None:
    page = page_of(tmp_path / "out", report(Shown(0.4, photo, None)))
    (embedded,) = re.findall(r"data:image/jpeg;base64,([^\"]*)", page)
    assert len(embedded) < photo.stat().st_size


def test_a_picture_needs_no_file(tmp_path: Path) -> None:
    picture = Picture("clip <b>, frame 7", np.full((9, 9, 3), 128, np.uint8))
    page = page_of(tmp_path, report(Shown(0.4, picture, None)))
    assert len(re.findall(r'src="data:image/jpeg', page)) == 1
    assert "clip &lt;b&gt;, frame 7" in page


def test_a_photo_that_cannot_be_read_leaves_an_empty_place(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no image")
    page = page_of(tmp_path / "out", report(Shown(-1.0, damaged, tmp_path / "gone.jpg")))
    assert page.count('aria-label="cannot be shown"') == 2
    assert "damaged.jpg" in page


def test_the_same_report_is_written_with_the_same_bytes(tmp_path: Path) -> None:
    assert page_of(tmp_path / "a", report()) == page_of(tmp_path / "b", report())
