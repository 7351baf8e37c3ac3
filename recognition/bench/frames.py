"""Makes the frames that are timed out of a portrait."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageFilter

from recognition.images import PHOTO_LIMITS, ImageError, decode
from recognition.pipeline import Pipeline
from recognition.types import Face, Pixels

FRAME_SIZE = (640, 480)
FACE_HEIGHT = 150  # pixels of the face in the frame: somebody at a terminal


class BenchError(Exception):
    """What keeps a benchmark from running. The message says what to do."""


@dataclass(frozen=True, slots=True)
class BenchFrames:
    """Two JPEG files of 640x480, one with exactly one face, one with none."""

    with_face: bytes
    without_face: bytes


def prepare_frames(
    pipeline: Pipeline, data: bytes, *, face_height: int = FACE_HEIGHT
) -> BenchFrames:
    """Make the frames out of a portrait: its largest face `face_height` pixels high.

    Raises:
        BenchError: the portrait cannot be read, or no single face is found in the frame.
    """
    try:
        portrait = decode(data, PHOTO_LIMITS).pixels
    except ImageError as error:
        raise BenchError(error.message) from error
    faces = pipeline.analyse_pixels([portrait])[0].faces
    if not faces:
        raise BenchError("there is no face in the image")
    frame = _framed(portrait, faces[0], face_height)
    with_face = jpeg(frame)
    found = pipeline.analyse([with_face])[0].faces
    if len(found) != 1:
        raise BenchError(f"the frame made of the image has {len(found)} faces, not one")
    # A strong blur keeps the light and colours of the scene, and leaves nothing to find.
    empty = frame.filter(ImageFilter.GaussianBlur(24))
    return BenchFrames(with_face, jpeg(empty))


def jpeg(image: Image.Image) -> bytes:
    """The image as a JPEG file, compressed as kiosks do."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _framed(portrait: Pixels, face: Face, face_height: int) -> Image.Image:
    x1, y1, x2, y2 = (float(side) for side in face.box)
    scale = face_height / (y2 - y1)
    image = Image.fromarray(portrait)
    size = (round(image.width * scale), round(image.height * scale))
    resized = image.resize(size, Image.Resampling.LANCZOS)
    left = round((x1 + x2) / 2 * scale - FRAME_SIZE[0] / 2)
    top = round((y1 + y2) / 2 * scale - FRAME_SIZE[1] / 2)
    frame = Image.new("RGB", FRAME_SIZE, (96, 96, 96))
    frame.paste(resized, (-left, -top))
    return frame
