"""What is found in an image depends on that image alone, whatever else is in its batch."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognition import compiled
from recognition.pipeline import Pipeline, Runtime
from recognition.types import FrameResult, Pixels, Quality
from recognition.weights import present_extras

PLACES = [0, 1, 17, 40, 63]
"""Of the faces among 64 images."""


def jpeg(pixels: Pixels, size: tuple[int, int] = (640, 480)) -> bytes:
    """The image on a grey ground of this size."""
    ground = Image.new("RGB", size, (120, 120, 120))
    picture = Image.fromarray(pixels)
    picture.thumbnail(size)
    ground.paste(picture)
    buffer = io.BytesIO()
    ground.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def company() -> Iterator[bytes]:
    """What other kiosks may send: noise, patterns, blanks, lines, single pixels, broken files."""
    random = np.random.default_rng(11)
    blank = jpeg(np.full((480, 640, 3), 90, np.uint8))
    while True:
        noise = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        yield jpeg(np.asarray(Image.fromarray(noise).resize((640, 480))))
        yield blank[: len(blank) // 2]
        yield png(random.integers(0, 256, (200, 260, 3), dtype=np.uint8))
        yield b"no image"
        yield png(random.integers(0, 256, (1, 900, 3), dtype=np.uint8))
        yield blank
        yield png(random.integers(0, 256, (900, 1, 3), dtype=np.uint8))
        yield b""
        yield png(np.zeros((1, 1, 3), np.uint8))
        yield png(np.full((300, 500, 3), 255, np.uint8))


@pytest.fixture(scope="module")
def faces(portraits: dict[str, Pixels]) -> list[bytes]:
    """Five images with a face; the last two have sizes of their own."""
    found = list(portraits.values())
    usual = [jpeg(found[index % len(found)]) for index in range(3)]
    return [*usual, jpeg(found[-1], (800, 600)), jpeg(found[0], (333, 481))]


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engine(request: pytest.FixtureRequest, models_dir: Path) -> Pipeline:
    runtime: Runtime = request.param
    if runtime == "openvino" and not compiled.available():
        pytest.skip("OpenVINO is not installed")
    return Pipeline.load(models_dir, device="cpu", threads=1, runtime=runtime)


@pytest.fixture(scope="module")
def alone(engine: Pipeline, faces: list[bytes]) -> list[FrameResult]:
    results = [engine.analyse([image], with_pad=True)[0] for image in faces]
    assert [len(result.faces) for result in results] == [1] * len(faces)
    return results


def same(one: FrameResult, other: FrameResult) -> None:
    assert (one.width, one.height, one.error) == (other.width, other.height, other.error)
    assert len(one.faces) == len(other.faces)
    for first, second in zip(one.faces, other.faces, strict=True):
        np.testing.assert_allclose(first.box, second.box, atol=1e-2)
        np.testing.assert_allclose(first.points, second.points, atol=1e-2)
        assert first.score == pytest.approx(second.score, abs=1e-4)
        assert first.pad == pytest.approx(second.pad, abs=1e-4)
        assert first.embedding is not None
        assert second.embedding is not None
        assert np.abs(first.embedding - second.embedding).max() <= 1e-4
        assert first.quality is not None
        assert second.quality is not None
        assert first.quality.components == pytest.approx(second.quality.components, abs=1e-2)
        assert measures(first.quality) == pytest.approx(measures(second.quality), rel=1e-2)


def measures(quality: Quality) -> dict[str, float]:
    """Those that are numbers."""
    values = quality.to_dict()
    return {name: value for name, value in values.items() if isinstance(value, float)}


def same_in(
    engine: Pipeline, batch: Sequence[bytes], places: Sequence[int], alone: Sequence[FrameResult]
) -> None:
    results = engine.analyse(batch, with_pad=True)
    assert len(results) == len(batch)
    for place, expected in zip(places, alone, strict=True):
        same(results[place], expected)


def test_two_together_are_as_each_alone(
    engine: Pipeline, faces: list[bytes], alone: list[FrameResult]
) -> None:
    for first, second in ((0, 1), (2, 3), (4, 0)):
        same_in(engine, [faces[first], faces[second]], [0, 1], [alone[first], alone[second]])


def test_the_same_image_64_times_is_as_once(
    engine: Pipeline, faces: list[bytes], alone: list[FrameResult]
) -> None:
    results = engine.analyse([faces[0]] * 64)
    expected = engine.analyse([faces[0]])[0]
    for result in results:
        same(result, expected)


def test_among_64_of_all_kinds_they_are_as_alone(
    engine: Pipeline, faces: list[bytes], alone: list[FrameResult]
) -> None:
    others = company()
    batch = [next(others) for _ in range(64)]
    for place, face in zip(PLACES, faces, strict=True):
        batch[place] = face
    same_in(engine, batch, PLACES, alone)


@pytest.mark.parametrize("broken", [b"", b"garbage", b"\xff\xd8\xff\xe0", "truncated"], ids=str)
def test_one_broken_file_changes_nothing_for_the_others(
    engine: Pipeline, faces: list[bytes], broken: bytes | str
) -> None:
    bad = broken if isinstance(broken, bytes) else faces[0][: len(faces[0]) // 2]
    without = engine.analyse(faces)
    with_it = engine.analyse([*faces[:2], bad, *faces[2:]])
    assert with_it.pop(2).error_code is not None
    for one, other in zip(without, with_it, strict=True):
        np.testing.assert_array_equal(one.faces[0].box, other.faces[0].box)
        np.testing.assert_array_equal(one.faces[0].points, other.faces[0].points)
        np.testing.assert_array_equal(one.faces[0].embedding, other.faces[0].embedding)


def test_minifasnets_scores_do_not_depend_on_the_batch(
    engine: Pipeline, models_dir: Path, faces: list[bytes], alone: list[FrameResult]
) -> None:
    if "minifasnet" not in present_extras(models_dir):
        pytest.skip("MiniFASNet is not installed; get it: fetch-models --with minifasnet")
    assert engine.pair is not None
    together = engine.analyse([*faces * 12, b"garbage"], with_pad=True)
    for index, expected in enumerate(alone * 12):
        assert together[index].faces[0].pad == pytest.approx(expected.faces[0].pad, abs=1e-4)
