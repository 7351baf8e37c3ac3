"""Enrolment photos with real faces: accepted, or refused with the reason that HR can act on."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from django.conf import settings as django_settings
from PIL import Image, ImageFilter
from pytest_django.fixtures import Settings

from accesscontrol import crypto, enrolment, keyring, model_versions
from accesscontrol.models import (
    Employee,
    EnrolmentPhoto,
    ModelVersion,
    PhotoStatus,
    Refusal,
    Template,
)
from accesscontrol.quality import REFUSED
from recognition import photos, portraits
from recognition.align import TEMPLATE
from recognition.photos import process_photo
from recognition.pipeline import Pipeline
from recognition.quality import measure
from recognition.tasks import model_facts
from recognition.types import Face, FrameResult, Pixels, Shortfall
from tests.factories import EmployeeFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


@pytest.fixture
def version(pipeline: Pipeline) -> ModelVersion:
    return model_versions.register_model(model_facts(pipeline))


@pytest.fixture
def employee() -> Employee:
    employee: Employee = EmployeeFactory.create(consented=True)
    return employee


@pytest.fixture
def obama(portraits: dict[str, Pixels]) -> Image.Image:
    picture = Image.fromarray(portraits["obama.jpg"])
    picture.thumbnail((700, 700))
    return picture


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class Desk:
    """HR's side: uploads a photo, a worker processes it, the outcome is read."""

    def __init__(self, employee: Employee, pipeline: Pipeline, version: ModelVersion) -> None:
        self.employee, self.pipeline, self.version = employee, pipeline, version

    def process(self, data: bytes) -> EnrolmentPhoto:
        photo = enrolment.upload_photo(self.employee, file_name="x", data=data, by=None)
        claimed = enrolment.claim_photo()
        assert claimed == photo
        process_photo(claimed, self.pipeline, self.version)
        photo.refresh_from_db()
        return photo

    def outcome(self, data: bytes) -> str:
        photo = self.process(data)
        assert (photo.status == PhotoStatus.ACCEPTED) == Template.objects.filter(
            photo=photo
        ).exists()
        return photo.refusal or photo.status


@pytest.fixture
def desk(employee: Employee, pipeline: Pipeline, version: ModelVersion) -> Desk:
    return Desk(employee, pipeline, version)


def cosine(template: Template, pipeline: Pipeline, pixels: Pixels) -> float:
    """Of a kept template with the face of a picture."""
    embedding = pipeline.analyse_pixels([pixels])[0].faces[0].embedding
    assert embedding is not None
    keys = keyring.load(django_settings.KEYRING_PATH).templates
    kept = np.asarray(template.embedding, np.float32)
    return float(kept @ crypto.rotate(embedding, keys.key(template.rotation_id)))


class TestAccepted:
    def test_a_portrait_becomes_a_template_of_that_face(
        self, desk: Desk, obama: Image.Image, portraits: dict[str, Pixels], pipeline: Pipeline
    ) -> None:
        photo = desk.process(encoded(obama))
        assert photo.status == PhotoStatus.ACCEPTED
        assert photo.quality["score"] > 0.5
        kept = Template.objects.get()
        assert cosine(kept, pipeline, portraits["obama2.jpg"]) > 0.87
        assert cosine(kept, pipeline, portraits["biden.jpg"]) < 0.76

    def test_what_is_kept_is_a_fresh_picture_without_the_files_metadata(
        self, desk: Desk, obama: Image.Image
    ) -> None:
        exif = Image.Exif()
        exif[0x010E] = "taken at 12 Example Street"
        photo = desk.process(encoded(obama, exif=exif) + b"trailing secrets")
        kept = enrolment.open_photo(photo)
        assert Image.open(BytesIO(kept)).size == obama.size
        assert b"Example Street" not in kept
        assert b"trailing" not in kept
        assert not Image.open(BytesIO(kept)).getexif()

    @pytest.mark.parametrize("orientation", [3, 6, 8])
    def test_a_photo_that_lies_on_its_side_is_put_upright(
        self, desk: Desk, obama: Image.Image, pipeline: Pipeline, orientation: int
    ) -> None:
        turns = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90,
                 8: Image.Transpose.ROTATE_270}  # fmt: skip
        exif = Image.Exif()
        exif[0x0112] = orientation
        photo = desk.process(encoded(obama.transpose(turns[orientation]), quality=95, exif=exif))
        assert photo.status == PhotoStatus.ACCEPTED
        assert Image.open(BytesIO(enrolment.open_photo(photo))).size == obama.size
        assert cosine(Template.objects.get(), pipeline, np.asarray(obama)) > 0.98

    @pytest.mark.parametrize("mode", ["CMYK", "L"])
    def test_other_colours_of_jpeg_are_read(
        self, desk: Desk, obama: Image.Image, pipeline: Pipeline, mode: str
    ) -> None:
        assert desk.outcome(encoded(obama.convert(mode))) == PhotoStatus.ACCEPTED
        assert cosine(Template.objects.get(), pipeline, np.asarray(obama)) > 0.8

    @pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB")])
    def test_png_and_webp_are_read(
        self, desk: Desk, obama: Image.Image, kind: str, mode: str
    ) -> None:
        assert desk.outcome(encoded(obama.convert(mode), kind)) == PhotoStatus.ACCEPTED

    def test_of_an_animation_the_first_picture_counts(self, desk: Desk, obama: Image.Image) -> None:
        blank = Image.new("RGB", obama.size, "white")
        data = encoded(obama, "WEBP", save_all=True, append_images=[blank], duration=100)
        assert desk.outcome(data) == PhotoStatus.ACCEPTED

    def test_a_small_face_in_the_background_does_no_harm(
        self, desk: Desk, obama: Image.Image, portraits: dict[str, Pixels]
    ) -> None:
        wide = Image.new("RGB", (obama.width + 200, obama.height), (90, 90, 90))
        wide.paste(obama)
        passer_by = Image.fromarray(portraits["biden.jpg"])
        passer_by.thumbnail((120, 120))
        wide.paste(passer_by, (obama.width + 40, 40))
        assert desk.outcome(encoded(wide)) == PhotoStatus.ACCEPTED

    def test_a_photo_as_large_as_uploads_may_be_is_processed(
        self, desk: Desk, obama: Image.Image, settings: Settings
    ) -> None:
        side = int(settings.PHOTO_MAX_PIXELS**0.5)
        huge = obama.resize((side, side), Image.Resampling.NEAREST)
        data = encoded(huge, quality=30)
        assert len(data) < settings.PHOTO_MAX_BYTES
        assert desk.outcome(data) != Refusal.UNREADABLE


class TestRefused:
    def test_without_a_face(self, desk: Desk) -> None:
        assert desk.outcome(encoded(Image.new("RGB", (400, 400), "olive"))) == Refusal.NO_FACE

    def test_with_two_faces(self, desk: Desk, portraits: dict[str, Pixels]) -> None:
        both = Image.new("RGB", (1000, 500))
        for place, name in enumerate(("obama.jpg", "biden.jpg")):
            portrait = Image.fromarray(portraits[name])
            portrait.thumbnail((500, 500))
            both.paste(portrait, (500 * place, 0))
        assert desk.outcome(encoded(both)) == Refusal.SEVERAL_FACES

    def test_with_a_face_too_small(self, desk: Desk, obama: Image.Image) -> None:
        canvas = Image.new("RGB", (600, 600), (100, 100, 100))
        width = _face_width(desk.pipeline, obama)
        canvas.paste(obama.resize((int(obama.width * 40 / width), int(obama.height * 40 / width))))
        assert desk.outcome(encoded(canvas, quality=95)) == Refusal.FACE_TOO_SMALL

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda image: image.filter(ImageFilter.GaussianBlur(14)),
            lambda image: image.point(lambda value: value // 14),
        ],
        ids=["blurred", "dark"],
    )
    def test_blurred_or_dark(self, desk: Desk, obama: Image.Image, spoil: Any) -> None:
        assert desk.outcome(encoded(spoil(obama))) in {Refusal.NO_FACE, *REFUSED.values()}

    def test_truncated(self, desk: Desk, obama: Image.Image) -> None:
        assert desk.outcome(encoded(obama)[:-4000]) == Refusal.UNREADABLE

    def test_of_somebody_else(
        self, desk: Desk, obama: Image.Image, portraits: dict[str, Pixels]
    ) -> None:
        assert desk.outcome(encoded(obama)) == PhotoStatus.ACCEPTED
        other = Image.fromarray(portraits["biden.jpg"])
        assert desk.outcome(encoded(other)) == Refusal.OTHER_PERSON
        again = Image.fromarray(portraits["obama2.jpg"])
        assert desk.outcome(encoded(again)) == PhotoStatus.ACCEPTED
        assert Template.objects.count() == 2

    def test_the_bytes_of_a_refused_photo_are_gone(self, desk: Desk) -> None:
        photo = desk.process(encoded(Image.new("RGB", (400, 400), "olive")))
        assert photo.sealed is None
        assert photo.processed_at is not None


class TestNotProcessed:
    def test_bytes_that_were_swapped_with_another_photos(
        self, desk: Desk, obama: Image.Image
    ) -> None:
        photo = enrolment.upload_photo(desk.employee, file_name="x", data=encoded(obama), by=None)
        EnrolmentPhoto.objects.update(sealed=bytes(5000))
        photo.refresh_from_db()
        process_photo(photo, desk.pipeline, desk.version)
        photo.refresh_from_db()
        assert photo.refusal == Refusal.NOT_PROCESSED

    def test_whatever_breaks_on_one_photo_does_not_stop_the_next(
        self, desk: Desk, obama: Image.Image, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def break_down(*_: object) -> None:
            raise cv2.error("out of paper")

        monkeypatch.setattr(photos, "_reencoded", break_down)
        assert desk.outcome(encoded(obama)) == Refusal.NOT_PROCESSED
        monkeypatch.undo()
        assert desk.outcome(encoded(obama)) == PhotoStatus.ACCEPTED

    def test_a_photo_withdrawn_while_it_was_looked_at_leaves_nothing(
        self, desk: Desk, obama: Image.Image
    ) -> None:
        photo = enrolment.upload_photo(desk.employee, file_name="x", data=encoded(obama), by=None)
        enrolment.withdraw_consent(desk.employee, by=None)
        process_photo(photo, desk.pipeline, desk.version)
        assert not EnrolmentPhoto.objects.exists()
        assert not Template.objects.exists()


class TestJudging:
    """Without a picture: which of the found faces is the photo's."""

    GOOD = measure(torch.full((1, 3, 112, 112), 128.0), torch.tensor([TEMPLATE]))[0]

    def face(
        self, width: float, *, score: float = 0.99, quality: float = 0.9, lacks: str | None = None
    ) -> Face:
        box = np.array([0, 0, width, 1.2 * width], np.float32)
        embedding = np.eye(192, dtype=np.float32)[0]
        shortfall = Shortfall(lacks) if lacks else None
        measured = replace(self.GOOD, score=quality, shortfall=shortfall)
        return Face(box, np.zeros((5, 2), np.float32), score, measured, None, embedding)

    def verdict(self, *faces: Face) -> Face | Refusal:
        return photos.judge(FrameResult(640, 480, faces))

    def test_the_widest_is_the_photos(self) -> None:
        wide = self.face(150)
        assert self.verdict(self.face(40), wide) is wide

    def test_a_second_one_of_a_third_of_its_width_is_too_many(self) -> None:
        assert self.verdict(self.face(150), self.face(50)) is Refusal.SEVERAL_FACES
        assert isinstance(self.verdict(self.face(150), self.face(49)), Face)

    def test_patterns_taken_for_faces_do_not_count(self) -> None:
        assert self.verdict(self.face(150, score=0.89)) is Refusal.NO_FACE
        assert isinstance(self.verdict(self.face(150), self.face(140, score=0.89)), Face)

    def test_the_limits_themselves_are_enough(self) -> None:
        assert isinstance(self.verdict(self.face(portraits.SMALLEST_FACE)), Face)
        assert self.verdict(self.face(47.9)) is Refusal.FACE_TOO_SMALL
        assert isinstance(self.verdict(self.face(90, quality=portraits.LOWEST_QUALITY)), Face)
        assert self.verdict(self.face(90, quality=0.399)) is Refusal.LOW_QUALITY

    @pytest.mark.parametrize(
        ("lacks", "refusal"),
        [
            ("TOO_FAR", Refusal.FACE_TOO_SMALL),
            ("BLURRED", Refusal.BLURRED),
            ("TURNED", Refusal.TURNED),
            ("COVERED", Refusal.COVERED),
            ("UNCLEAR", Refusal.LOW_QUALITY),
        ],
    )
    def test_what_a_face_lacks_most_is_the_reason(self, lacks: str, refusal: Refusal) -> None:
        assert self.verdict(self.face(90, quality=0.2, lacks=lacks)) is refusal
        assert isinstance(self.verdict(self.face(90, quality=0.5, lacks=lacks)), Face)

    def test_a_quality_that_is_no_number_is_not_enough(self) -> None:
        assert self.verdict(self.face(90, quality=float("nan"))) is Refusal.LOW_QUALITY

    def test_an_error_is_unreadable(self) -> None:
        assert photos.judge(FrameResult(0, 0, error="damaged")) is Refusal.UNREADABLE


def _face_width(pipeline: Pipeline, image: Image.Image) -> float:
    box = pipeline.analyse_pixels([np.asarray(image)])[0].faces[0].box
    return float(box[2] - box[0])
