"""Takes out of an image file what its first picture's pixels need, and which way up they are.

Texts, colour profiles, previews, further pictures and whatever else a file may carry never reach
a decoder: a few kilobytes of them can unfold to hundreds of megabytes, and they are what decoders
have stumbled over most. Works on bytes alone, in time proportional to their number.

Layouts: ITU T.81 annex B (JPEG), the PNG specification, third edition (its animations, too), RFC
9649 (WebP), and Exif 2.32 with TIFF 6.0 section 2 for the orientation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from accesscontrol.image_header import (
    PNG_SIGNATURE,
    SOS,
    ImageError,
    ImageFormat,
    jpeg_segments,
)

# At 8 KB for each, as the reference library writes them, a file of 100 MB.
MAX_PNG_CHUNKS = 16_384
# Half a megabyte has room for 65,000.
MAX_WEBP_CHUNKS = 1_024

_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4
_EXIF = b"Exif\0\0"
_APP0, _APP1, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_NEEDED_BY_PNG = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


@dataclass(frozen=True, slots=True)
class Stripped:
    """A file of the same format that holds one picture and nothing else.

    orientation: of Exif, 1-8; 1 where there is none, or none that can be read.
    corner: x, y of an animation's first picture on its canvas, which may be larger; None of a
        picture that is the whole.
    """

    data: bytes
    orientation: int = 1
    corner: tuple[int, int] | None = None


def strip(data: bytes, image_format: ImageFormat) -> Stripped:
    """Leave out of a file that `probe` accepted everything but its first picture.

    Raises:
        ImageError: CORRUPT, the file's structure is senseless or it has absurdly many parts.
    """
    return _STRIPPERS[image_format](data)


def exif_orientation(exif: bytes) -> int:
    """The orientation 1-8 in an Exif block, with or without its identifier; 1 without any."""
    tiff = exif.removeprefix(_EXIF)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (at,) = struct.unpack_from(order + "I", tiff, 4)
    if at + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, at)
    entries = tiff[at + 2 : at + 2 + 12 * count]
    whole = entries[: len(entries) // 12 * 12]
    for tag, kind, values, value in struct.iter_unpack(order + "HHI4s", whole):
        if tag == _ORIENTATION and kind in (_SHORT, _LONG) and values == 1:
            (found,) = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), value)
            return int(found) if 1 <= found <= 8 else 1
    return 1


def _corrupt(reason: str) -> ImageError:
    return ImageError("CORRUPT", f"The image is damaged: {reason}.")


def _strip_jpeg(data: bytes) -> Stripped:
    parts, orientation, scanned, end = [data[:2]], 1, -1, len(data)
    for marker, start, end in jpeg_segments(data):
        if scanned >= 0:
            continue
        if marker == SOS:
            scanned = start
        elif marker == _APP1 and orientation == 1 and data[start + 4 : start + 10] == _EXIF:
            orientation = exif_orientation(data[start + 4 : end])
        # JFIF (APP0) and Adobe's (APP14) say what the colours mean.
        if marker in (_APP0, _APP14) or not (_APP0 <= marker <= _APP15 or marker == _COM):
            parts.append(data[start:end])
    if scanned >= 0:
        parts[-1] = data[scanned : end if data[end - 2 : end] == b"\xff\xd9" else len(data)]
    return Stripped(b"".join(parts), orientation)


def _strip_png(data: bytes) -> Stripped:
    parts, orientation, at = [PNG_SIGNATURE], 1, len(PNG_SIGNATURE)
    for _ in range(MAX_PNG_CHUNKS):
        kind = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if kind in _NEEDED_BY_PNG:
            parts.append(data[at:end])  # of a file that is cut off, what there is
        elif kind == b"eXIf":
            orientation = exif_orientation(data[at + 8 : end - 4])
        if kind == b"IEND" or end >= len(data):
            return Stripped(b"".join(parts), orientation)
        at = end
    raise _corrupt(f"the PNG file has more than {MAX_PNG_CHUNKS} chunks")


def _strip_webp(data: bytes) -> Stripped:
    picture: Stripped | None = None
    orientation, alpha = 1, b""
    for kind, body in _webp_chunks(data[12:]):
        if kind == b"EXIF":
            orientation = exif_orientation(body)
        elif picture is not None:
            continue
        elif kind == b"ALPH":
            alpha = body
        elif kind in (b"VP8 ", b"VP8L"):
            picture = Stripped(_still_webp(kind, body, alpha))
        elif kind == b"ANMF":
            picture = _first_of_animation(body)
    if picture is None:
        raise _corrupt("the WebP file has no picture")
    return Stripped(picture.data, orientation, picture.corner)


def _first_of_animation(frame: bytes) -> Stripped:
    alpha = b""
    for kind, body in _webp_chunks(frame[16:]):
        if kind == b"ALPH":
            alpha = body
        elif kind in (b"VP8 ", b"VP8L"):
            x, y = (2 * int.from_bytes(frame[i : i + 3], "little") for i in (0, 3))
            return Stripped(_still_webp(kind, body, alpha), corner=(x, y))
    raise _corrupt("the WebP animation begins without a picture")


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks; of one that is cut off, what there is."""
    at = 0
    for _ in range(MAX_WEBP_CHUNKS):
        if at + 8 > len(data):
            return
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise _corrupt(f"the WebP file has more than {MAX_WEBP_CHUNKS} chunks")


def _still_webp(kind: bytes, picture: bytes, alpha: bytes) -> bytes:
    """A file of one picture, which says its size itself; `alpha` is for VP8 only."""
    chunks = _webp_chunk(kind, picture)
    if alpha and kind == b"VP8 ":
        width, height = (int.from_bytes(picture[i : i + 2], "little") & 0x3FFF for i in (6, 8))
        # (0 - 1) & 0xFFFFFF for a side of 0 disagrees with the picture: it is then refused.
        canvas = b"".join(((side - 1) & 0xFFFFFF).to_bytes(3, "little") for side in (width, height))
        extended = _webp_chunk(b"VP8X", b"\x10\0\0\0" + canvas)
        chunks = extended + _webp_chunk(b"ALPH", alpha) + chunks
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WEBP" + chunks


def _webp_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


_STRIPPERS = {"JPEG": _strip_jpeg, "PNG": _strip_png, "WEBP": _strip_webp}
