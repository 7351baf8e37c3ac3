"""Decodes untrusted image bytes to upright RGB pixels, or says in one coded error why not.

What is accepted: JPEG, PNG and WebP, of any colour type; the first picture of an animation.
Embedded colour profiles are ignored, transparency is laid over white, 16-bit values keep their
high byte. A truncated file is refused whole: half a face is no evidence.

Decoding takes at most four times the pixels' memory beside them, so that the largest frame stays
within 64 MB: pictures are turned into RGB in strips, and WebP is decoded by OpenCV, since Pillow
decodes every WebP as an animation, with three canvases.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from accesscontrol.image_header import ImageError, ImageHeader, probe
from recognition.stripping import Stripped, strip
from recognition.types import Pixels

__all__ = ["FRAME_LIMITS", "PHOTO_LIMITS", "DecodedImage", "ImageError", "ImageLimits", "decode"]

# What Pillow and OpenCV raise for damaged content, next to Pillow's own UnidentifiedImageError
# (an OSError).
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    cv2.error,
)

_STRIP_PIXELS = 1 << 18


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is refused before decoding, and to which longer side larger images are reduced."""

    max_bytes: int
    max_pixels: int
    max_side: int


FRAME_LIMITS = ImageLimits(max_bytes=512 * 1024, max_pixels=4_000_000, max_side=4096)
PHOTO_LIMITS = ImageLimits(max_bytes=20 * 1024 * 1024, max_pixels=40_000_000, max_side=2048)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """Upright pixels and the size they stand for.

    pixels: (H, W, 3) uint8 RGB, contiguous.
    width, height: the upright image's own size; larger than the pixels' where it was reduced to
        the limits' `max_side`.
    """

    pixels: Pixels
    width: int
    height: int

    @property
    def scale(self) -> tuple[float, float]:
        """Image pixels for one decoded pixel, along x and y."""
        return self.width / self.pixels.shape[1], self.height / self.pixels.shape[0]


def decode(data: bytes, limits: ImageLimits = FRAME_LIMITS) -> DecodedImage:
    """Decode one JPEG, PNG or WebP file.

    Raises:
        ImageError: with the codes of `probe`; CORRUPT for every way the content can be damaged.
    """
    header = probe(data, max_bytes=limits.max_bytes, max_pixels=limits.max_pixels)
    stripped = strip(data, header.format)
    try:
        if header.format == "WEBP":
            pixels = _decode_webp(stripped, header)
        else:
            pixels = _decode_by_pillow(stripped, header, limits.max_side)
    except _DECODER_ERRORS as error:
        raise _damaged(header, str(error)) from error
    pixels = _upright(_reduced(pixels, limits.max_side), stripped.orientation)
    if stripped.orientation >= 5:
        return DecodedImage(pixels, header.height, header.width)
    return DecodedImage(pixels, header.width, header.height)


def _damaged(header: ImageHeader, reason: str) -> ImageError:
    return ImageError("CORRUPT", f"The {header.format} image is damaged: {reason}.")


def _decode_by_pillow(stripped: Stripped, header: ImageHeader, max_side: int) -> Pixels:
    with Image.open(io.BytesIO(stripped.data), formats=[header.format]) as image:
        if image.size != (header.width, header.height):
            raise _damaged(header, "two sizes are given")
        if header.format == "JPEG":
            # JPEG can be decoded at a half, quarter or eighth directly, which saves the memory
            # of a large photo.
            image.draft(None, (max_side, max_side))
        image.load()
        if image.mode == "RGB" and not image.has_transparency_data:
            return np.asarray(image)
        pixels = np.empty((image.height, image.width, 3), np.uint8)
        rows = max(1, _STRIP_PIXELS // image.width)
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            pixels[top:bottom] = _to_rgb(image.crop((0, top, image.width, bottom)))
    return pixels


def _to_rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):  # 16-bit grey
        high_bytes = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(high_bytes[:, :, None], 3, 2)
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _over_white(image: Image.Image) -> Pixels:
    backdrop = Image.new("RGB", image.size, "white")
    backdrop.paste(image, mask=image)
    return np.asarray(backdrop)


def _decode_webp(stripped: Stripped, header: ImageHeader) -> Pixels:
    data, canvas = stripped.data, (header.width, header.height)
    picture = probe(data, max_bytes=len(data), max_pixels=header.width * header.height)
    x, y = stripped.corner or (0, 0)
    right, bottom = x + picture.width, y + picture.height
    if stripped.corner is None and (right, bottom) != canvas:
        raise _damaged(header, "two sizes are given")
    if right > header.width or bottom > header.height:
        raise _damaged(header, "its picture leaves its canvas")
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.shape[:2] != (picture.height, picture.width):
        raise _damaged(header, "its content cannot be decoded")
    pixels = np.full((header.height, header.width, 3), 255, np.uint8)
    place = pixels[y:bottom, x:right]
    if decoded.shape[2] == 3:
        place[:] = decoded[:, :, ::-1]
        return pixels
    rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        rgba = cv2.cvtColor(decoded[top : top + rows], cv2.COLOR_BGRA2RGBA)
        place[top : top + rows] = _over_white(Image.fromarray(rgba))
    return pixels


def _reduced(pixels: Pixels, max_side: int) -> Pixels:
    if max(pixels.shape) <= max_side:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((max_side, max_side), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(image)


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """The pixels turned and mirrored as Exif 2.32 (4.6.4) says, contiguous."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
