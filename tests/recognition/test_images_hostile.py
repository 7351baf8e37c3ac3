"""Damaged and hostile images are refused with a code: never a crash, never much memory."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from accesscontrol.image_header import PNG_SIGNATURE
from recognition.images import FRAME_LIMITS, ImageError, decode

FORMATS = ("JPEG", "PNG", "WEBP")


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def textured(width: int = 160, height: int = 120) -> Image.Image:
    random = np.random.default_rng(5)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def chunk(kind: bytes, body: bytes) -> bytes:
    length = len(body).to_bytes(4, "big")
    return length + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png_of(width: int, height: int, *extra: bytes) -> bytes:
    """A tiny file for any number of black pixels."""
    ihdr = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    packer = zlib.compressobj(9)
    rows = bytes(width * 3 + 1)
    body = b"".join(packer.compress(rows) for _ in range(height)) + packer.flush()
    chunks = [chunk(b"IHDR", ihdr), *extra, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(chunks)


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


def test_a_hundred_megapixels_are_refused() -> None:
    assert code_of(png_of(10_000, 10_000)) == "TOO_MANY_PIXELS"


def peak_growth_mb(data: bytes, folder: Path) -> float:
    """How much a fresh process grows by decoding the file, whatever comes of it."""
    path = folder / "image"
    path.write_bytes(data)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from recognition.images import ImageError, decode\n"
        "from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "data = Path(sys.argv[1]).read_bytes()\n"
        "before = peak()\n"
        "try:\n"
        "    decode(data)\n"
        "except ImageError as error:\n"
        "    print(error.code, file=sys.stderr)\n"
        "print((peak() - before) / 1024)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def bombs() -> dict[str, bytes]:
    flat = Image.new("RGB", (2000, 2000))
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(50_000_000)))
    return {
        "100 megapixel PNG": png_of(10_000, 10_000),
        "4 megapixel PNG": png_of(2000, 2000),
        "4 megapixel JPEG": saved(flat, "JPEG"),
        "4 megapixel progressive JPEG": saved(flat, "JPEG", progressive=True, subsampling=0),
        "4 megapixel WebP": saved(flat, "WEBP"),
        "4 megapixel transparent WebP": saved(flat.convert("RGBA"), "WEBP", lossless=True),
        "packed texts": png_of(10, 10, *[text] * 60),
        "packed profile": png_of(10, 10, profile),
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_memory_stays_within_64_megabytes(name: str, tmp_path: Path) -> None:
    data = bombs()[name]
    assert len(data) <= FRAME_LIMITS.max_bytes
    assert peak_growth_mb(data, tmp_path) <= 64


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
