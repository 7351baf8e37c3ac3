"""Damaged images are refused with a code, whole: never a crash, never half a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recognition.images import FRAME_LIMITS, ImageError, decode

FORMATS = ("JPEG", "PNG", "WEBP")


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def textured(width: int = 160, height: int = 120) -> Image.Image:
    random = np.random.default_rng(5)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def code_of(data: bytes) -> str:
    with pytest.raises(ImageError) as refused:
        decode(data)
    return refused.value.code


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("part", range(64))
def test_a_truncated_file_is_refused_at_any_point(image_format: str, part: int) -> None:
    data = saved(textured(), image_format)
    cut = max(1, len(data) * part // 64)
    assert code_of(data[:cut]) in {"CORRUPT", "UNKNOWN_TYPE"}


@pytest.mark.parametrize("missing", [1, 2, 3, 20])
def test_a_jpeg_whose_last_bytes_are_missing_is_refused(missing: int) -> None:
    assert code_of(saved(textured(), "JPEG")[:-missing]) == "CORRUPT"


@pytest.mark.parametrize("progressive", [False, True])
def test_a_progressive_jpeg_without_its_last_scans_is_refused(progressive: bool) -> None:
    data = saved(textured(), "JPEG", progressive=progressive)
    assert code_of(data[: int(len(data) * 0.7)]) == "CORRUPT"


def test_the_header_and_the_content_must_agree_on_the_size() -> None:
    """A second frame header, behind the one that was checked, must not smuggle in a larger one."""
    data = saved(textured(), "JPEG")
    frame = data.index(b"\xff\xc0")
    length = 2 + int.from_bytes(data[frame + 2 : frame + 4], "big")
    header = bytearray(data[frame : frame + length])
    header[5:9] = (16).to_bytes(2, "big") * 2
    assert code_of(data[:frame] + bytes(header) + data[frame:]) == "CORRUPT"


@given(data=st.data(), image_format=st.sampled_from(FORMATS))
@settings(max_examples=500, deadline=None)
def test_a_file_with_any_bytes_changed_decodes_or_is_refused(
    data: st.DataObject, image_format: str
) -> None:
    content = bytearray(saved(textured(24, 18), image_format))
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    decodes_or_is_refused(bytes(content))


@given(start=st.sampled_from(FORMATS), kept=st.integers(0, 200), rest=st.binary(max_size=400))
@settings(max_examples=500, deadline=None)
def test_any_bytes_after_a_sound_beginning_decode_or_are_refused(
    start: str, kept: int, rest: bytes
) -> None:
    decodes_or_is_refused(saved(textured(24, 18), start)[:kept] + rest)


def decodes_or_is_refused(data: bytes) -> None:
    refused, pixels = "", None
    try:
        pixels = decode(data).pixels
    except ImageError as error:
        refused = error.code
    if pixels is None:
        assert refused in {"EMPTY", "TOO_LARGE", "UNKNOWN_TYPE", "CORRUPT", "TOO_MANY_PIXELS"}
    else:
        assert pixels.shape[2] == 3
        assert pixels.size <= 3 * FRAME_LIMITS.max_pixels
