"""What hardly anybody sends, and decoders stumble over: decoded rightly, or refused in words."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from accesscontrol.image_header import ImageFormat
from recognition.images import FRAME_LIMITS, PHOTO_LIMITS, DecodedImage, ImageError, decode
from recognition.stripping import exif_orientation, strip
from tests.recognition.bombs import (
    chunk,
    png,
    png_around,
    saved,
    segment,
    segments,
    turned,
    webp,
    webp_chunk,
)
from tests.recognition.test_images import difference, scene

ADOBE_WITHOUT_TRANSFORM = segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
ADOBE_YCCK = segment(0xEE, b"Adobe\0\x64\0\0\0\0\2")


def code_of(data: bytes) -> str:
    with pytest.raises(ImageError) as refused:
        decode(data)
    assert refused.value.message.endswith(".")
    return refused.value.code


def outcome(data: bytes) -> str:
    try:
        shape = decode(data).pixels.shape
    except ImageError as error:
        return error.code
    return "OK" if shape == (48, 64, 3) else f"of shape {shape}"


class TestJpeg:
    def test_what_follows_the_end_is_no_part_of_the_image(self) -> None:
        """A motion photo carries a film, whose bytes look like scans, segments and a second end."""
        film = np.random.default_rng(3).integers(0, 256, 400_000, dtype=np.uint8).tobytes()
        film = film.replace(b"\x01", b"\xff").replace(b"\x02", b"\xda")
        photo = saved(scene(), "JPEG", quality=95)
        assert difference(decode(photo + film, PHOTO_LIMITS).pixels, scene()) <= 3

    def test_previews_profiles_and_comments_do_not_count_as_scans(self) -> None:
        photo = saved(scene(), "JPEG", quality=95)
        preview = segment(0xE1, b"Exif\0\0" + b"\xff\xda" * 30_000)
        assert difference(decode(photo[:2] + preview * 3 + photo[2:]).pixels, scene()) <= 3

    def test_fill_bytes_and_empty_segments_between_segments_are_skipped(self) -> None:
        parts = list(segments(saved(scene(), "JPEG", quality=95)))
        odd = b"".join(b"\xff" * 7 + part + segment(0xE9, b"") for _, part in parts[:-1])
        data = b"\xff\xd8" + odd + parts[-1][1] + b"\xff\xd9"
        assert difference(decode(data).pixels, scene()) <= 3

    @pytest.mark.parametrize("adobe", [ADOBE_WITHOUT_TRANSFORM, b""], ids=["Adobe", "plain"])
    def test_printing_colours_are_taken_as_inverted_as_adobe_and_pillow_write_them(
        self, adobe: bytes
    ) -> None:
        stored = scene().convert("CMYK")
        parts = segments(saved(stored, "JPEG", quality=95))
        kept = b"".join(part for marker, part in parts if marker != 0xEE)
        found = decode(b"\xff\xd8" + adobe + kept + b"\xff\xd9").pixels
        assert difference(found, stored) <= 6

    def test_printing_colours_as_luma_and_colour_differences(self) -> None:
        """YCCK: the first three channels are transformed, which Adobe's segment alone tells."""
        stored = scene().convert("CMYK")
        parts = list(segments(saved(stored, "JPEG", quality=95)))
        body = b"".join(ADOBE_YCCK if marker == 0xEE else part for marker, part in parts)
        assert decode(b"\xff\xd8" + body + b"\xff\xd9").pixels.shape == (48, 64, 3)

    def test_the_colour_transform_survives_where_it_is_none(self) -> None:
        """RGB stored as RGB: without Adobe's segment it would come out as YCbCr."""
        data = saved(scene(), "JPEG", quality=95, keep_rgb=True, subsampling=0)
        assert difference(decode(data).pixels, scene()) <= 3

    def test_twelve_bits_are_refused(self) -> None:
        data = bytearray(saved(scene(), "JPEG"))
        data[data.index(b"\xff\xc0") + 4] = 12
        assert code_of(bytes(data)) == "CORRUPT"

    @pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC7, 0xCB])
    def test_lossless_and_hierarchical_ones_are_refused(self, marker: int) -> None:
        data = saved(scene(), "JPEG").replace(b"\xff\xc0", bytes([0xFF, marker]), 1)
        assert code_of(data) == "CORRUPT"

    def test_arithmetic_coding_is_decoded_or_refused(self) -> None:
        sound = saved(scene(), "JPEG")
        at = sound.index(b"\xff\xda")
        data = sound[:at].replace(b"\xff\xc0", b"\xff\xc9", 1) + sound[at : at + 14] + b"\xff\xd9"
        assert outcome(data) in {"OK", "CORRUPT"}

    def test_a_film_frame_after_frame_is_one_picture(self) -> None:
        """MPO: a stereo camera's second picture follows the first, whose segment points to it."""
        data = saved(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))])
        assert difference(decode(data).pixels, scene()) <= 4


class TestPng:
    @pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
    @pytest.mark.parametrize("colour_type", [0, 2, 3, 4, 6])
    def test_every_depth_and_colour_type_is_decoded_or_refused(
        self, depth: int, colour_type: int
    ) -> None:
        allowed = {0: (1, 2, 4, 8, 16), 3: (1, 2, 4, 8)}.get(colour_type, (8, 16))
        palette = chunk(b"PLTE", bytes(3 * 2 ** min(depth, 8))) if colour_type == 3 else b""
        data = png(32, 16, palette, kind=(depth, colour_type))
        if depth in allowed:
            pixels = decode(data).pixels
            assert pixels.shape == (16, 32, 3)
            assert pixels.max() == (255 if colour_type in (4, 6) else 0)  # transparent or black
        else:
            assert code_of(data) == "CORRUPT"

    def test_interlaced(self) -> None:
        """Adam7: seven small pictures; here each is one colour."""
        ihdr = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 1)
        sizes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
        rows = b"".join((b"\0" + b"\xc8\x32\x14" * width) * height for width, height in sizes)
        data = png_around(ihdr, chunk(b"IDAT", zlib.compress(rows)))
        assert (decode(data).pixels == (0xC8, 0x32, 0x14)).all()

    def test_grey_with_transparency_is_laid_over_white(self) -> None:
        stored = Image.merge("LA", [scene().convert("L"), Image.new("L", (64, 48), 128)])
        expected = np.asarray(scene().convert("L")).astype(int) * 128 / 255 + 127
        found = decode(saved(stored, "PNG")).pixels
        assert np.abs(found[:, :, 0] - expected).max() <= 1.5

    def test_pixels_spread_over_many_chunks(self) -> None:
        data = saved(scene(), "PNG")
        at = data.index(b"IDAT") - 4
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 8 : at + 8 + length]
        spread = b"".join(chunk(b"IDAT", body[i : i + 1]) for i in range(length))
        found = decode(data[:at] + spread + data[at + 12 + length :])
        assert difference(found.pixels, scene()) == 0

    def test_without_pixels_it_is_refused(self) -> None:
        ihdr = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
        assert code_of(png_around(ihdr)) == "CORRUPT"
        assert code_of(png_around(ihdr, chunk(b"IDAT", b""))) == "CORRUPT"
        assert code_of(png_around(ihdr, chunk(b"IDAT", b"no deflated data"))) == "CORRUPT"


class TestWebp:
    def animation(self, corner: int, canvas: int = 64) -> bytes:
        """Begins with a red picture of 32 pixels a side."""
        red = saved(Image.new("RGB", (32, 32), (250, 0, 0)), "WEBP", lossless=True)[12:]
        place = b"".join(
            value.to_bytes(3, "little") for value in (corner // 2, corner // 2, 31, 31, 100)
        )
        size = (canvas - 1).to_bytes(3, "little") * 2
        return webp(
            webp_chunk(b"VP8X", b"\x02\0\0\0" + size),
            webp_chunk(b"ANIM", bytes(6)),
            webp_chunk(b"ANMF", place + b"\0" + red),
        )

    def test_an_animation_that_begins_with_a_part_of_its_canvas_lies_on_white(self) -> None:
        found = decode(self.animation(corner=16))
        assert (found.width, found.height) == (64, 64)
        assert (found.pixels[16:48, 16:48] == (250, 0, 0)).all()
        assert (found.pixels[:16] == 255).all()
        assert (found.pixels[48:] == 255).all()

    def test_a_picture_that_leaves_its_canvas_is_refused(self) -> None:
        assert code_of(self.animation(corner=40)) == "CORRUPT"

    def test_an_animation_without_pictures_is_refused(self) -> None:
        size = (63).to_bytes(3, "little") * 2
        for parts in ([], [webp_chunk(b"ANMF", bytes(16))], [webp_chunk(b"ANMF", b"")]):
            assert code_of(webp(webp_chunk(b"VP8X", b"\x02\0\0\0" + size), *parts)) == "CORRUPT"

    @pytest.mark.parametrize("lossless", [False, True])
    def test_half_transparent_pictures_are_blended(self, lossless: bool) -> None:
        stored = scene().convert("RGBA")
        stored.putalpha(128)
        found = decode(saved(stored, "WEBP", lossless=lossless, quality=95, exact=True)).pixels
        expected = np.asarray(scene()).astype(int) * 128 / 255 + 127
        assert np.median(np.abs(found - expected)) <= 3

    def test_a_damaged_transparency_is_refused_or_harmless(self) -> None:
        stored = scene().convert("RGBA")
        stored.putalpha(128)
        data = bytearray(saved(stored, "WEBP", quality=90))
        at = data.index(b"ALPH") + 8
        data[at : at + 20] = b"\xff" * 20
        assert outcome(bytes(data)) in {"OK", "CORRUPT"}


class TestOrientation:
    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("kind", [3, 4], ids=["short", "long"])
    def test_it_is_read_in_either_byte_order(self, order: str, kind: int) -> None:
        head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 1)
        value = struct.pack(order + ("HH" if kind == 3 else "I"), *((6, 0) if kind == 3 else (6,)))
        entry = struct.pack(order + "HHI", 0x0112, kind, 1) + value
        assert exif_orientation(head + entry) == 6
        assert exif_orientation(b"Exif\0\0" + head + entry + bytes(4)) == 6

    @pytest.mark.parametrize(
        "damaged",
        [
            b"",
            b"Exif\0\0",
            b"MM\0*",
            b"MM\0*\xff\xff\xff\xff",
            b"MM\0*\0\0\0\x08\xff\xff",
            b"II*\0" * 9,
        ],
        ids=str,
    )
    def test_damaged_metadata_say_nothing(self, damaged: bytes) -> None:
        assert exif_orientation(damaged) == 1
        assert difference(decode(saved(scene(), "WEBP", exif=damaged)).pixels, scene()) <= 3

    def test_the_first_of_several_counts(self) -> None:
        data = saved(scene(), "JPEG", exif=turned(3))
        again = segment(0xE1, turned(6).tobytes())
        at = data.index(b"\xff\xdb")
        assert strip(data[:at] + again + data[at:], "JPEG").orientation == 3


class TestThin:
    @pytest.mark.parametrize("size", [(1, 4000), (4000, 1), (1, 1), (2, 3), (1, 16_383)])
    @pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
    def test_images_of_a_line_or_a_point(self, image_format: str, size: tuple[int, int]) -> None:
        found: DecodedImage = decode(saved(Image.new("RGB", size, "white"), image_format))
        assert (found.width, found.height) == size
        assert found.pixels.shape[1] == min(size[0], FRAME_LIMITS.max_side)
        assert found.pixels.min() > 250


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_what_reaches_the_decoder_holds_the_picture_only(image_format: ImageFormat) -> None:
    metadata = {"exif": turned(6), "icc_profile": b"a profile" * 500, "comment": b"a comment" * 500}
    rich = saved(scene(), image_format, xmp=b"a packet" * 500, **metadata)
    plain = strip(rich, image_format).data
    assert len(plain) < len(rich)
    with Image.open(io.BytesIO(plain)) as image:
        image.load()
        assert not {"exif", "icc_profile", "xmp", "comment"} & set(image.info)
        assert image.size == (64, 48)
