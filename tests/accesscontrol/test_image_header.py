"""An uploaded image is judged by its header: type, bytes and pixels, before any decoding."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from accesscontrol.image_header import PNG_SIGNATURE, ImageError, ImageHeader, probe

FORMATS = ("JPEG", "PNG", "WEBP")


def encoded(image_format: str, size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, image_format, **options)
    return buffer.getvalue()


def checked(data: bytes, *, max_bytes: int = 1_000_000, max_pixels: int = 4_000_000) -> ImageHeader:
    return probe(data, max_bytes=max_bytes, max_pixels=max_pixels)


def refusal(data: bytes, **limits: int) -> str:
    with pytest.raises(ImageError) as refused:
        checked(data, **limits)
    assert refused.value.message.endswith(".")
    return refused.value.code


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (40, 30), (1000, 3), (3, 1000)])
def test_type_and_size_are_read_from_the_header(image_format: str, size: tuple[int, int]) -> None:
    header = checked(encoded(image_format, size))
    assert (header.format, header.width, header.height) == (image_format, *size)


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"comment": b"\xff\xc0\x00\x11 not a frame header " * 9}),
        ("JPEG", {"restart_marker_blocks": 1}),
    ],
)
def test_every_variant_of_a_format_is_understood(
    image_format: str, options: dict[str, object]
) -> None:
    header = checked(encoded(image_format, (123, 45), **options))
    assert (header.width, header.height) == (123, 45)


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"") == "EMPTY"


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_file_of_one_byte_too_many_is_refused_and_of_the_limit_accepted(
    image_format: str,
) -> None:
    data = encoded(image_format)
    assert checked(data, max_bytes=len(data))
    assert refusal(data, max_bytes=len(data) - 1) == "TOO_LARGE"


@pytest.mark.parametrize("image_format", FORMATS)
def test_one_pixel_too_many_is_refused_and_the_limit_accepted(image_format: str) -> None:
    data = encoded(image_format, (40, 30))
    assert checked(data, max_pixels=1200)
    assert refusal(data, max_pixels=1199) == "TOO_MANY_PIXELS"


@pytest.mark.parametrize(
    "data",
    [b"GIF89a" + b"\0" * 60, b"BM" + b"\0" * 60, b"<svg/>", b"\0" * 64, b"hello", b"%PDF-1.7"],
)
def test_other_types_are_refused_whatever_they_are_called(data: bytes) -> None:
    assert refusal(data) == "UNKNOWN_TYPE"


def test_a_hundred_megapixels_in_a_few_bytes_are_refused_by_the_header() -> None:
    ihdr = b"IHDR" + (10_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    bomb = PNG_SIGNATURE + b"\0\0\0\x0d" + ihdr + b"\0\0\0\0"
    assert refusal(bomb) == "TOO_MANY_PIXELS"


@pytest.mark.parametrize("image_format", FORMATS)
def test_a_header_that_is_cut_off_is_refused(image_format: str) -> None:
    data = encoded(image_format)
    for length in range(1, 30):
        assert refusal(data[:length]) in {"CORRUPT", "UNKNOWN_TYPE"}


def test_a_side_of_zero_is_refused() -> None:
    data = bytearray(encoded("PNG"))
    data[16:20] = bytes(4)
    assert refusal(bytes(data)) == "CORRUPT"
    jpeg = bytearray(encoded("JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 7] = bytes(2)
    assert refusal(bytes(jpeg)) == "CORRUPT"


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    data = encoded("JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    assert refusal(data[:-2] + data[scan:-2] * 100 + data[-2:]) == "CORRUPT"


@pytest.mark.parametrize("scans", [30, 31, 32])
def test_the_end_of_an_image_ends_its_scans(scans: int) -> None:
    data = encoded("JPEG", progressive=True)
    begun = data.count(b"\xff\xda")
    scan = data[data.rindex(b"\xff\xda") : -2]
    full = data[:-2] + scan * (scans - begun) + data[-2:]
    assert checked(full + scan * 100)


def test_a_jpeg_of_thousands_of_segments_is_refused() -> None:
    data = encoded("JPEG")
    assert checked(data[:2] + b"\xff\xe9\0\2" * 1000 + data[2:])
    assert refusal(data[:2] + b"\xff\xe9\0\2" * 100_000 + data[2:]) == "CORRUPT"


@pytest.mark.parametrize("size", [(65_536, 1), (1, 65_536), (4_000_000, 1)])
def test_a_side_that_no_camera_has_is_refused(size: tuple[int, int]) -> None:
    data = bytearray(encoded("PNG"))
    data[16:24] = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big")
    assert refusal(bytes(data)) == "TOO_MANY_PIXELS"


@given(data=st.binary(max_size=300), start=st.sampled_from([b"", *(encoded(f) for f in FORMATS)]))
@settings(max_examples=400, deadline=None)
def test_any_bytes_give_a_header_or_a_coded_error(data: bytes, start: bytes) -> None:
    for content in (start + data, start[:30] + data, start[:12] + data):
        assert outcome(content) in {"OK", "EMPTY", "UNKNOWN_TYPE", "CORRUPT", "TOO_MANY_PIXELS"}


def outcome(content: bytes) -> str:
    try:
        header = checked(content)
    except ImageError as error:
        return error.code
    return "OK" if 1 <= header.width * header.height <= 4_000_000 else "out of bounds"


def test_it_needs_neither_django_nor_an_imaging_library() -> None:
    code = (
        "import sys, accesscontrol.image_header; "
        "print([m for m in ('django', 'PIL', 'numpy', 'torch', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
