"""Every kind of JPEG, PNG and WebP comes out as the right upright RGB pixels."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from recognition.images import FRAME_LIMITS, PHOTO_LIMITS, ImageLimits, decode
from recognition.pipeline import Pipeline

EXIF_ORIENTATION = 0x0112


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """Four quarters of different colours: shows any turn, flip or swap of channels."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (200, 30, 30)
    pixels[: height // 2, width // 2 :] = (30, 180, 30)
    pixels[height // 2 :, : width // 2] = (30, 30, 220)
    pixels[height // 2 :, width // 2 :] = (230, 230, 40)
    return Image.fromarray(pixels)


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def difference(found: NDArray[np.uint8], expected: Image.Image) -> int:
    wanted = np.asarray(expected.convert("RGB")).astype(int)
    assert found.shape == wanted.shape
    # Corners of the quarters are blurred by lossy formats; the quarters themselves are not.
    return int(np.median(np.abs(found.astype(int) - wanted)))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_plain_images_keep_their_pixels(image_format: str) -> None:
    decoded = decode(saved(scene(), image_format))
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags["C_CONTIGUOUS"]
    assert (decoded.width, decoded.height) == (64, 48)
    assert difference(decoded.pixels, scene()) <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(image_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    data = saved(scene(), image_format, exif=exif, quality=95)
    decoded = decode(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert difference(decoded.pixels, expected) == 0
    assert (decoded.width, decoded.height) == expected.size


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_a_senseless_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    assert difference(decode(saved(scene(), "PNG", exif=exif)).pixels, scene()) == 0


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photo_has_the_embedding_of_the_upright_one(
    pipeline: Pipeline, face_files: dict[str, Path], orientation: int
) -> None:
    portrait = Image.open(face_files["obama2.jpg"]).convert("RGB")
    stored = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]  # the inverse turn
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = stored
    turned = ImageOps.exif_transpose(with_exif(portrait, exif))
    exif[EXIF_ORIENTATION] = orientation
    photos = [saved(portrait, "JPEG", quality=95), saved(turned, "JPEG", quality=95, exif=exif)]
    upright, other = pipeline.analyse(photos, limits=PHOTO_LIMITS)
    assert (upright.width, upright.height) == (other.width, other.height)
    first, second = upright.faces[0].embedding, other.faces[0].embedding
    assert first is not None
    assert second is not None
    assert float(first @ second) >= 0.99


def with_exif(image: Image.Image, exif: Image.Exif) -> Image.Image:
    return Image.open(io.BytesIO(saved(image, "PNG", exif=exif)))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "I;16"])
def test_png_of_every_colour_type(mode: str) -> None:
    image = scene()
    if mode == "I;16":
        high = np.asarray(image.convert("L")).astype(np.uint16) << 8
        expected, stored = image.convert("L"), Image.fromarray(high)
    else:
        expected = stored = image.convert(mode)
    assert difference(decode(saved(stored, "PNG")).pixels, expected) <= 1


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpeg_of_grey_and_of_printing_colours(mode: str) -> None:
    stored = scene().convert(mode)
    assert difference(decode(saved(stored, "JPEG", quality=95)).pixels, stored) <= 6


def test_sixteen_bits_a_channel_keep_the_high_byte() -> None:
    values = np.asarray(scene()).astype(np.uint16) * 256 + 17
    _, data = cv2.imencode(".png", np.ascontiguousarray(values[:, :, ::-1]))
    assert difference(decode(data.tobytes()).pixels, scene()) <= 1


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_transparency_is_laid_over_white(image_format: str) -> None:
    image = scene().convert("RGBA")
    image.putalpha(0)
    decoded = decode(saved(image, image_format, lossless=True))
    assert decoded.pixels.min() == 255


def test_a_transparent_palette_colour_is_laid_over_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 250, 0, 0])
    assert decode(saved(image, "PNG", transparency=1)).pixels.min() == 255


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_counts(image_format: str) -> None:
    others = [Image.new("RGB", (64, 48), "black")] * 3
    data = saved(
        scene(), image_format, save_all=True, append_images=others, duration=50, lossless=True
    )
    assert difference(decode(data).pixels, scene()) <= 3


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 200])
def test_a_broken_colour_profile_is_ignored(image_format: str, profile: bytes) -> None:
    data = saved(scene(), image_format, icc_profile=profile)
    assert difference(decode(data).pixels, scene()) <= 3


def test_a_sound_colour_profile_is_ignored_too() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(scene(), "PNG", icc_profile=profile)
    assert difference(decode(data).pixels, scene()) == 0


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_one_pixel_is_an_image(image_format: str) -> None:
    decoded = decode(saved(Image.new("RGB", (1, 1), "white"), image_format))
    assert decoded.pixels.shape == (1, 1, 3)
    assert decoded.pixels.min() > 250


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(3000, 2000), (2000, 3000), (2049, 10)])
def test_a_large_photo_is_reduced_and_its_own_size_kept_in_mind(
    image_format: str, size: tuple[int, int]
) -> None:
    decoded = decode(saved(scene(*size), image_format), PHOTO_LIMITS)
    assert (decoded.width, decoded.height) == size
    height, width, _ = decoded.pixels.shape
    assert max(height, width) <= PHOTO_LIMITS.max_side
    assert decoded.scale == (size[0] / width, size[1] / height)
    assert difference(decoded.pixels, scene(width, height)) <= 6


def test_faces_of_a_reduced_photo_are_told_in_the_photos_own_coordinates(
    pipeline: Pipeline, face_files: dict[str, Path]
) -> None:
    data = face_files["obama.jpg"].read_bytes()
    reduced = ImageLimits(max_bytes=10**7, max_pixels=10**7, max_side=600)
    (full,) = pipeline.analyse([data], limits=PHOTO_LIMITS)
    (small,) = pipeline.analyse([data], limits=reduced)
    assert (full.width, full.height) == (small.width, small.height) == (910, 1137)
    eyes = float(np.linalg.norm(full.faces[0].points[1] - full.faces[0].points[0]))
    assert np.abs(full.faces[0].points - small.faces[0].points).max() < 0.06 * eyes


def test_a_frame_is_capped_more_tightly_than_a_photo() -> None:
    assert FRAME_LIMITS.max_bytes == 512 * 1024
    assert FRAME_LIMITS.max_pixels == 4_000_000
    assert FRAME_LIMITS.max_bytes < PHOTO_LIMITS.max_bytes
    assert FRAME_LIMITS.max_pixels < PHOTO_LIMITS.max_pixels
