"""Makes hostile files and messages out of sound ones. The same numbers give the same input."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from functools import cache
from random import Random

import numpy as np
from PIL import Image

from accesscontrol.image_header import PNG_SIGNATURE
from kiosk import protocol
from kiosk.protocol import FrameMessage

TELLING_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
MARKERS = bytes(range(0xC0, 0xFF))
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"acTL", b"fcTL", b"fdAT")
WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF")
LONGEST = 64 * 1024


def _saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@cache
def images() -> tuple[bytes, ...]:
    """Small sound files of every kind that is accepted."""
    noise = np.random.default_rng(7).integers(0, 256, (40, 56, 4), dtype=np.uint8)
    rgba = Image.fromarray(noise)
    smooth = rgba.resize((96, 72), Image.Resampling.BICUBIC)
    rgb, grey = smooth.convert("RGB"), smooth.convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    frames = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}
    return (
        _saved(rgb, "JPEG", exif=exif),
        _saved(rgb, "JPEG", progressive=True, subsampling=0),
        _saved(rgb, "JPEG", restart_marker_blocks=2, icc_profile=b"profile" * 50),
        _saved(grey, "JPEG", optimize=True),
        _saved(smooth.convert("CMYK"), "JPEG"),
        _saved(rgb, "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1),  # read as arithmetic-coded
        _saved(rgb, "PNG", exif=exif),
        _saved(rgba, "PNG"),
        _saved(grey.convert("LA"), "PNG"),
        _saved(deep, "PNG"),
        _saved(rgb.quantize(16), "PNG", transparency=3),
        _saved(rgb.convert("1"), "PNG"),
        _saved(rgb, "PNG", **frames),
        _saved(rgb, "WEBP", exif=exif),
        _saved(smooth, "WEBP", quality=60),
        _saved(smooth, "WEBP", lossless=True),
        _saved(rgb, "WEBP", **frames),
    )


def _flip_bits(random: Random, data: bytearray) -> None:
    for _ in range(random.randint(1, 16)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_bytes(random: Random, data: bytearray) -> None:
    for _ in range(random.randint(1, 8)):
        data[random.randrange(len(data))] = random.choice((0, 255, random.randrange(256)))


def _lie_about_a_number(random: Random, data: bytearray) -> None:
    """Overwrite what may be a length or a side, most of all at the beginning."""
    size = random.choice((1, 2, 3, 4))
    reach = len(data) if random.random() < 0.5 else min(len(data), 64)
    at = random.randrange(reach)
    number = random.choice(TELLING_NUMBERS) & ((1 << 8 * size) - 1)
    data[at : at + size] = number.to_bytes(size, random.choice(("big", "little")))


def _truncate(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data)) :]


def _remove(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data))
    del data[at : at + random.randint(1, max(1, len(data) // 4))]


def _repeat(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data))
    part = data[at : at + random.randint(1, max(1, len(data) // 4))]
    data[at:at] = part * random.choice((1, 2, 8))


def _splice(random: Random, data: bytearray) -> None:
    """Bring in a part of another file."""
    other = random.choice(images())
    start = random.randrange(len(other))
    part = other[start : start + random.randint(1, len(other) // 2)]
    at = random.randrange(len(data))
    data[at : at + random.choice((0, len(part)))] = part


def _graft_a_header(random: Random, data: bytearray) -> None:
    """The beginning of another file, of the same format or not, on this one's content."""
    other = random.choice(images())
    cut = random.randint(1, 120)
    data[:cut] = other[:cut]


def _insert_a_part(random: Random, data: bytearray) -> None:
    """A chunk or segment where none should be, with a body and length of any kind."""
    body = random.randbytes(random.choice((0, 1, 8, 13, 100)))
    length = random.choice((len(body), len(body) + 2, *TELLING_NUMBERS))
    kind = random.randrange(3)
    if kind == 0:
        part = bytes([0xFF, random.choice(MARKERS)]) + struct.pack(">H", length & 0xFFFF) + body
    elif kind == 1:
        part = struct.pack(">I", length) + random.choice(PNG_CHUNKS) + body + random.randbytes(4)
    else:
        part = random.choice(WEBP_CHUNKS) + struct.pack("<I", length) + body
    at = random.randrange(len(data))
    data[at:at] = part


MUTATIONS: tuple[Callable[[Random, bytearray], None], ...] = (
    _flip_bits,
    _set_bytes,
    _lie_about_a_number,
    _truncate,
    _remove,
    _repeat,
    _splice,
    _graft_a_header,
    _insert_a_part,
)


def _mutated(random: Random, sound: bytes) -> bytes:
    data = bytearray(sound)
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        if data:
            random.choice(MUTATIONS)(random, data)
    return bytes(data[:LONGEST])


def _with_right_checksums(data: bytes) -> bytes:
    """A PNG's chunks as they are, but for their checksums: they would end the reading early."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        if at + 12 + length > len(data):
            break
        parts.append(data[at : at + 4] + body + zlib.crc32(body).to_bytes(4, "big"))
        at += 12 + length
    return b"".join(parts) + data[at:]


def image(seed: int, number: int) -> bytes:
    """Input `number` of the run `seed` for the decoder."""
    random = Random(f"image {seed} {number}")
    data = _mutated(random, random.choice(images()))
    if data.startswith(PNG_SIGNATURE) and random.random() < 0.7:
        return _with_right_checksums(data)
    return data


@cache
def messages() -> tuple[bytes, ...]:
    """Sound messages of a kiosk: frames, and texts in UTF-8."""
    frames = [
        protocol.pack_frame(FrameMessage(n, 10**12 + n, data)) for n, data in enumerate(images())
    ]
    texts = [
        protocol.proof(bytes(64)),
        protocol.challenge(bytes(32)),
        {"type": "rest"},
        {"type": "ping"},
        {"type": "ping", "more": [1, 2.5, None, {"deep": [[[[True]]]]}]},
    ]
    return (*frames, *(json.dumps(text).encode() for text in texts))


def message(seed: int, number: int) -> bytes:
    """Input `number` of the run `seed` for the stream."""
    random = Random(f"message {seed} {number}")
    sound = random.choice(messages()[random.choice((0, -5)) :])
    if random.random() < 0.1:
        opening = random.choice((b"[", b'{"type":', b'{"a":[', b'"\\ud800', b"1" * 50, b"-1e9"))
        return (opening * random.randint(1, 400))[:2000]
    return _mutated(random, sound)
