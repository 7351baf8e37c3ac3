"""Small files made to cost a decoder much memory or time."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from PIL import Image

from accesscontrol.image_header import PNG_SIGNATURE
from recognition.images import FRAME_LIMITS

ROOM = FRAME_LIMITS.max_bytes
SIDE = 2000  # 4 megapixels


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def soft(mode: str = "RGB", side: int = SIDE) -> Image.Image:
    """An image that is nowhere flat and yet a small file."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(1).integers(0, 256, (side // 16, side // 16, channels))
    small = Image.frombytes(mode, pixels.shape[:2], pixels.astype(np.uint8).tobytes())
    return small.resize((side, side), Image.Resampling.BICUBIC)


def tiled(mode: str = "RGBA") -> Image.Image:
    """Noise that repeats, which lossless formats pack well."""
    tile = np.random.default_rng(1).integers(0, 256, (100, 100, 4), dtype=np.uint8)
    return Image.fromarray(np.tile(tile, (SIDE // 100, SIDE // 100, 1))).convert(mode)


def tiny() -> Image.Image:
    return Image.new("RGB", (16, 16), "teal")


# JPEG


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(part: bytes, *, size: int = ROOM) -> bytes:
    """A tiny JPEG with as many copies of a segment as there is room for."""
    data = saved(tiny(), "JPEG")
    return data[:2] + part * ((size - len(data)) // len(part)) + data[2:]


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and bytes of each segment of a sound JPEG; a scan's has its entropy-coded data."""
    at = 2
    while (marker := data[at + 1]) != 0xD9:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            while data[end] != 0xFF or data[end + 1] in (0, *range(0xD0, 0xD8)):
                end += 1
        yield marker, data[at:end]
        at = end


def scans(count: int, *, side: int = SIDE, arithmetic: bool = False) -> bytes:
    """A progressive JPEG that goes through all of its pixels so many times.

    The scans of arithmetic coding hold data that mean work for every coefficient; those of
    Huffman coding are one long run of zeros.
    """
    sound = list(segments(saved(soft(side=16), "JPEG", progressive=True, subsampling=0)))
    tables = b"".join(part for marker, part in sound if marker == 0xDB)
    frame = bytearray(next(part for marker, part in sound if marker == 0xC2))
    frame[1] = 0xCA if arithmetic else 0xC2
    frame[5:9] = struct.pack(">HH", side, side)
    numbers = [frame[10 + 3 * component] for component in range(3)]
    # One-bit codes: a difference of 0, and a run of 16,384 blocks and more without coefficients.
    huffman = b"".join(
        segment(0xC4, bytes([table, 1, *[0] * 15, symbol]))
        for table, symbol in ((0x00, 0x00), (0x10, 0xE0))
    )
    first = b"\x7f" * 100 if arithmetic else bytes(3 * (side // 8 + 1) ** 2 // 8 + 1)
    other = b"\x7f" * 100 if arithmetic else b"\x7f\xfe" * 4
    out = bytearray(b"\xff\xd8" + tables + bytes(frame) + huffman)
    begun = bytes([3, *(byte for number in numbers for byte in (number, 0)), 0, 0, 0])
    out += segment(0xDA, begun) + first
    for index in range(count - 1):
        refines = 0x10 if index >= len(numbers) else 0x01
        out += segment(0xDA, bytes([1, numbers[index % 3], 0, 1, 63, refines])) + other
    return bytes(out) + b"\xff\xd9"


def restarts() -> bytes:
    """Restart markers and nothing between them."""
    data = saved(Image.new("RGB", (SIDE, SIDE)), "JPEG", restart_marker_blocks=1)
    start = data.index(b"\xff\xda") + 14
    markers = bytes(byte for index in range(8) for byte in (0xFF, 0xD0 + index))
    return data[:start] + markers * ((ROOM - start) // 16 - 1) + b"\xff\xd9"


def exif_bomb(size: int) -> bytes:
    """A directory each of whose entries claims the whole block as its own."""
    count = size // 24
    entries = b"".join(
        struct.pack(">HHII", 0x9000 + index, 7, size - 16, 8) for index in range(count)
    )
    block = b"MM\0*" + struct.pack(">IH", 8, count) + entries
    return block + bytes(size - len(block))


# PNG


def chunk(kind: bytes, body: bytes) -> bytes:
    length = len(body).to_bytes(4, "big")
    return length + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width: int, height: int, *extra: bytes, kind: tuple[int, int] = (8, 2)) -> bytes:
    """A small file for any number of black pixels; `kind` is bit depth and colour type."""
    depth, colour_type = kind
    ihdr = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    packer = zlib.compressobj(9)
    left, parts = height * ((width * channels * depth + 7) // 8 + 1), []
    while left:
        parts.append(packer.compress(bytes(min(left, 1 << 20))))
        left -= min(left, 1 << 20)
    body = b"".join(parts) + packer.flush()
    return png_around(ihdr, *extra, chunk(b"IDAT", body))


def png_around(ihdr: bytes, *chunks: bytes) -> bytes:
    return PNG_SIGNATURE + b"".join([chunk(b"IHDR", ihdr), *chunks, chunk(b"IEND", b"")])


def with_chunks(part: bytes) -> bytes:
    """A tiny PNG with as many copies of a chunk as there is room for."""
    data = png(16, 16)
    return data[:33] + part * ((ROOM - len(data)) // len(part)) + data[33:]


def texts(kind: bytes) -> Iterator[bytes]:
    """A megabyte of text each; one odd character makes Python keep four bytes for every one."""
    for index in range(62):
        if kind == b"zTXt":
            yield chunk(kind, b"k%d\0\0" % index + zlib.compress(bytes(1_000_000), 9))
        else:
            packed = zlib.compress(("a" * 999_996 + "\N{GRINNING FACE}").encode(), 9)
            yield chunk(kind, b"k%d\0\1\0\0\0" % index + packed)


def animated_png() -> bytes:
    """Thousands of frames of one pixel."""
    pixel, frames = zlib.compress(bytes(4)), 5_000
    parts = [chunk(b"acTL", struct.pack(">II", frames, 0))]
    for number in range(0, 2 * frames, 2):
        control = struct.pack(">IIIIIHHBB", number, 1, 1, 0, 0, 1, 1, 0, 0)
        data = struct.pack(">I", number + 1) + pixel
        parts += [chunk(b"fcTL", control), chunk(b"fdAT", data)]
    still = png(200, 200, parts[0])
    return still[:-12] + b"".join(parts[1:]) + still[-12:]


# WebP


def webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunk(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def animated_webp() -> bytes:
    size = (SIDE, SIDE)
    others = [Image.new("RGB", size, (shade, 0, 0)) for shade in range(1, 12)]
    return saved(Image.new("RGB", size), "WEBP", save_all=True, append_images=others)


def webp_that_grows() -> bytes:
    """A canvas of 16 pixels a side around a picture of 8,000."""
    inner = saved(Image.new("RGB", (8_000, 8_000)), "WEBP", lossless=True, quality=0, method=0)
    canvas = bytes(4) + (15).to_bytes(3, "little") * 2
    return webp(webp_chunk(b"VP8X", canvas), inner[12:])


LARGE: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(soft(), "JPEG", quality=30),
    "JPEG, progressive, full colour, turned": lambda: saved(
        soft(), "JPEG", quality=30, progressive=True, subsampling=0, exif=turned(5)
    ),
    "JPEG, progressive, printing colours, turned": lambda: saved(
        soft("CMYK"), "JPEG", quality=5, progressive=True, exif=turned(5)
    ),
    "JPEG as wide as can be": lambda: saved(Image.new("RGB", (65_500, 61)), "JPEG"),
    "JPEG as high as can be": lambda: saved(
        Image.new("RGB", (61, 65_500)), "JPEG", progressive=True
    ),
    "JPEG of restart markers": restarts,
    "JPEG of 32 scans": lambda: scans(32),
    "JPEG of 32 arithmetic-coded scans": lambda: scans(32, arithmetic=True),
    "PNG": lambda: png(SIDE, SIDE),
    "PNG, 16 bits, transparent, turned": lambda: png(
        SIDE, SIDE, chunk(b"eXIf", turned(5).tobytes()[6:]), kind=(16, 6)
    ),
    "PNG, 16 bits, grey": lambda: png(SIDE, SIDE, kind=(16, 0)),
    "PNG, grey, transparent": lambda: png(SIDE, SIDE, kind=(8, 4)),
    "PNG, palette, transparent": lambda: png(
        SIDE, SIDE, chunk(b"PLTE", bytes(768)), chunk(b"tRNS", bytes(256)), kind=(8, 3)
    ),
    "PNG, one transparent colour": lambda: png(SIDE, SIDE, chunk(b"tRNS", bytes(6))),
    "PNG as wide as can be": lambda: png(65_535, 61),
    "WebP": lambda: saved(soft(), "WEBP", quality=50),
    "WebP, transparent, turned": lambda: saved(
        soft("RGBA"), "WEBP", quality=5, alpha_quality=10, exif=turned(6)
    ),
    "WebP, lossless, transparent, turned": lambda: saved(
        tiled(), "WEBP", lossless=True, exif=turned(5)
    ),
    "WebP as wide as can be": lambda: saved(Image.new("RGBA", (16_383, 244)), "WEBP"),
    "WebP, animated": animated_webp,
    "PNG, animated": animated_png,
    "PNG with texts": lambda: png(16, 16, *texts(b"zTXt")),
    "PNG with wide texts": lambda: png(16, 16, *texts(b"iTXt")),
    "PNG with texts at its end": lambda: (
        png(16, 16)[:-12] + b"".join(texts(b"iTXt")) + png(16, 16)[-12:]
    ),
    "PNG with a packed profile": lambda: png(
        16, 16, chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(100_000_000), 9))
    ),
    "PNG with 100 MB of pixels too many": lambda: png_around(
        struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0),
        chunk(b"IDAT", zlib.compress(bytes(100_000_000), 9)),
    ),
    "JPEG with an Exif bomb": lambda: with_segments(segment(0xE1, b"Exif\0\0" + exif_bomb(60_000))),
    "PNG with an Exif bomb": lambda: png(16, 16, chunk(b"eXIf", exif_bomb(500_000))),
    "WebP with an Exif bomb": lambda: saved(tiny(), "WEBP", exif=exif_bomb(500_000)),
    "JPEG with profiles": lambda: with_segments(
        segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(60_000))
    ),
    "JPEG of fill bytes": lambda: with_segments(b"\xff"),
}
"""Files within a frame's limits: they may be decoded."""

REFUSED: dict[str, Callable[[], bytes]] = {
    "JPEG of empty segments": lambda: with_segments(segment(0xE4, b"")),
    "JPEG of Exif segments": lambda: with_segments(segment(0xE1, b"Exif\0\0a")),
    "JPEG of profile segments": lambda: with_segments(segment(0xE2, b"ICC_PROFILE\0\1\1")),
    "JPEG of Huffman tables": lambda: with_segments(segment(0xC4, bytes([0x00, 1, *[0] * 15, 0]))),
    "JPEG of 33 scans": lambda: scans(33),
    "JPEG of 20,000 scans": lambda: scans(20_000, side=16)[:ROOM],
    "PNG of empty chunks": lambda: with_chunks(chunk(b"abCd", b"")),
    "PNG of empty pixel chunks": lambda: with_chunks(chunk(b"IDAT", b"")),
    "WebP of empty chunks": lambda: webp(
        saved(tiny(), "WEBP", lossless=True)[12:], webp_chunk(b"ZZZZ") * 60_000
    ),
    "PNG of a hundred megapixels": lambda: png(10_000, 10_000),
    "PNG of one row": lambda: png(4_000_000, 1, kind=(16, 6)),
    "PNG of one column": lambda: png(1, 4_000_000),
    "WebP that is larger than it says": webp_that_grows,
}
"""Files that must not be decoded at all."""


@cache
def bomb(name: str) -> bytes:
    """The file of that name, made once."""
    return (LARGE | REFUSED)[name]()
