"""Says what an uploaded image is from its header alone, before anything is decoded.

The web process checks every frame here and never decodes one; the workers check again before
they decode. Standard library only: no Django, no imaging library.

The three formats' layouts: ITU T.81 annex B (JPEG), the PNG specification 11.2 and RFC 9649
(WebP).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

ImageFormat = Literal["JPEG", "PNG", "WEBP"]
ErrorCode = Literal["EMPTY", "TOO_LARGE", "UNKNOWN_TYPE", "CORRUPT", "TOO_MANY_PIXELS"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# A row or column of millions of pixels is no picture, yet takes decoders several times the memory
# of a square. No JPEG has longer sides.
MAX_SIDE = 65_535

# A progressive JPEG may name any number of scans, each a pass over the whole image: a small file
# could keep a decoder busy for long. Encoders write about ten, and 18 for four colours.
MAX_JPEG_SCANS = 32
# Cameras and editors write a few dozen segments; half a megabyte has room for 130,000.
MAX_JPEG_SEGMENTS = 2048

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame, not DHT, JPG, DAC
# Neither a stuffed zero, nor a fill byte, nor TEM and RST0-7, which have no length.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")


class ImageError(Exception):
    """An image that is refused: `code` for programs, `message` for people."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format and stored size in pixels, before any EXIF rotation."""

    format: ImageFormat
    width: int
    height: int


def probe(data: bytes, *, max_bytes: int, max_pixels: int) -> ImageHeader:
    """Read format and size from the header, refusing what is not worth decoding.

    Takes time in proportion to the bytes at most, and no memory to speak of.

    Raises:
        ImageError: EMPTY, TOO_LARGE (more than max_bytes), UNKNOWN_TYPE (not JPEG, PNG or WebP by
            its first bytes), CORRUPT (header cut off or senseless, a side of 0), TOO_MANY_PIXELS.
    """
    if not data:
        raise ImageError("EMPTY", "The image is empty (0 bytes).")
    if len(data) > max_bytes:
        raise ImageError(
            "TOO_LARGE", f"The image has {len(data)} bytes; at most {max_bytes} are accepted."
        )
    image_format = _sniff(data)
    width, height = _SIZE_READERS[image_format](data)
    if width < 1 or height < 1:
        raise _corrupt(f"the {image_format} header says {width}x{height} pixels")
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise ImageError(
            "TOO_MANY_PIXELS",
            f"The image has {width}x{height} pixels; at most {max_pixels} in all are accepted, "
            f"and {MAX_SIDE} on a side.",
        )
    return ImageHeader(image_format, width, height)


def _sniff(data: bytes) -> ImageFormat:
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == PNG_SIGNATURE:
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise ImageError("UNKNOWN_TYPE", "The file is not a JPEG, PNG or WebP image.")


def _corrupt(reason: str) -> ImageError:
    return ImageError("CORRUPT", f"The image is damaged: {reason}.")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment between SOI and EOI, found as decoders find them.

    What lies between two segments is entropy-coded data, or nothing. EOI comes last if it is
    there; what follows it (the film of a motion photo) is no part of the image.

    Raises:
        ImageError: CORRUPT, a segment is cut off or there are too many of them.
    """
    at = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            return
        start = found.start()
        marker = data[start + 1]
        if marker == EOI:
            yield marker, start, start + 2
            return
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == SOI or at < start + 4 or at > len(data):
            raise _corrupt("a segment of the JPEG file is cut off or senseless")
        yield marker, start, at
    raise _corrupt(f"the JPEG file has more than {MAX_JPEG_SEGMENTS} segments")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    size, scans = None, 0
    for marker, start, end in jpeg_segments(data):
        if marker in _SOF and size is None:
            size = _jpeg_frame_size(data[start + 4 : end])
        elif marker == SOS:
            scans += 1
        if scans and size is None:
            break
        if scans > MAX_JPEG_SCANS:
            raise _corrupt(f"the JPEG file has more than {MAX_JPEG_SCANS} scans")
    if size is None:
        raise _corrupt("the JPEG header has no size")
    return size


def _jpeg_frame_size(frame: bytes) -> tuple[int, int]:
    if len(frame) < 6:
        raise _corrupt("the JPEG header is cut off")
    return int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")


def _png_size(data: bytes) -> tuple[int, int]:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise _corrupt("the PNG header is cut off")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _webp_size(data: bytes) -> tuple[int, int]:
    if len(data) < 30:
        raise _corrupt("the WebP header is cut off")
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X":
        width = int.from_bytes(body[4:7], "little") + 1
        height = int.from_bytes(body[7:10], "little") + 1
        return width, height
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width = int.from_bytes(body[6:8], "little") & 0x3FFF
        height = int.from_bytes(body[8:10], "little") & 0x3FFF
        return width, height
    raise _corrupt("the WebP header is senseless")


_SIZE_READERS = {"JPEG": _jpeg_size, "PNG": _png_size, "WEBP": _webp_size}
