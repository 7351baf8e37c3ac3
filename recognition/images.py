"""Decodes untrusted image bytes to upright RGB pixels, or says in one coded error why not.

What is accepted: JPEG, PNG and WebP, of any colour type; the first picture of an animation.
Embedded colour profiles are ignored, transparency is laid over white, 16-bit values keep their
high byte. A truncated file is refused whole: half a face is no evidence.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from accesscontrol.image_header import ImageError, ImageHeader, probe
from recognition.types import Pixels

__all__ = ["FRAME_LIMITS", "PHOTO_LIMITS", "DecodedImage", "ImageError", "ImageLimits", "decode"]

EXIF_ORIENTATION = 0x0112

# Pixel operations that make an image upright, by EXIF orientation (Exif 2.32, 4.6.4).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow raises for damaged content, next to its own UnidentifiedImageError (an OSError).
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
)


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
    try:
        with Image.open(io.BytesIO(data), formats=[header.format]) as image:
            return _decode_opened(image, header, limits.max_side)
    except _DECODER_ERRORS as error:
        raise ImageError("CORRUPT", f"The {header.format} image is damaged: {error}.") from error


def _decode_opened(image: Image.Image, header: ImageHeader, max_side: int) -> DecodedImage:
    if image.size != (header.width, header.height):
        message = f"The {header.format} image is damaged: two sizes are given."
        raise ImageError("CORRUPT", message)
    if header.format == "JPEG":
        # JPEG can be decoded at a half, quarter or eighth directly, which saves the memory of
        # a large photo.
        image.draft(None, (max_side, max_side))
    image.load()
    orientation = _orientation(image)
    rgb = _to_rgb(image)
    if max(rgb.size) > max_side:
        rgb.thumbnail((max_side, max_side), Image.Resampling.BOX, reducing_gap=None)
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    width, height = header.width, header.height
    if orientation >= 5:
        width, height = height, width
    return DecodedImage(np.ascontiguousarray(np.asarray(rgb)), width, height)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8; 1 where there is none, or none that can be read."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except _DECODER_ERRORS:
        return 1  # damaged metadata says nothing about the pixels
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16-bit grey
        high_bytes = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(high_bytes).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        backdrop = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(backdrop, image).convert("RGB")
    return image.convert("RGB")
