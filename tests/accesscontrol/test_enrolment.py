"""Enrolment photos: taken in sealed, claimed, accepted or refused once."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from accesscontrol import crypto, enrolment, keyring
from accesscontrol.enrolment import MAX_ATTEMPTS, MAX_PHOTOS, Enrolled, EnrolmentError
from accesscontrol.models import (
    AuditEntry,
    Employee,
    EnrolmentPhoto,
    ModelVersion,
    PhotoStatus,
    Refusal,
    Template,
)
from tests.enrolled import turned, unit
from tests.factories import (
    EmployeeFactory,
    ModelVersionFactory,
    PhotoFactory,
    UserFactory,
    jpeg_bytes,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

PICTURE = jpeg_bytes()
KEPT = jpeg_bytes(colour="navy")


@pytest.fixture
def employee() -> Employee:
    employee: Employee = EmployeeFactory.create(consented=True)
    return employee


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create()
    return version


def upload(employee: Employee, data: bytes = PICTURE, name: str = "a.jpg") -> EnrolmentPhoto:
    return enrolment.upload_photo(employee, file_name=name, data=data, by=None)


class TestUploading:
    def test_a_photo_waits_sealed_and_opens_as_it_was(self, employee: Employee) -> None:
        photo = upload(employee)
        photo.refresh_from_db()
        assert photo.status == PhotoStatus.PENDING
        assert PICTURE not in bytes(photo.sealed or b"")
        assert enrolment.open_photo(photo) == PICTURE

    def test_it_is_in_the_audit_log_with_who_did_it(self, employee: Employee) -> None:
        someone = UserFactory.create(username="rosa")
        photo = enrolment.upload_photo(employee, file_name="a.jpg", data=PICTURE, by=someone)
        assert photo.uploaded_by == someone
        entry = AuditEntry.objects.get(action="upload_photo")
        assert (entry.actor, entry.subject) == ("user:rosa", f"employee:{employee.pk}")

    @pytest.mark.parametrize("trait", [{}, {"withdrawn": True}], ids=["never", "withdrawn"])
    def test_without_a_live_consent_nothing_is_taken(self, trait: dict[str, Any]) -> None:
        with pytest.raises(EnrolmentError, match="not consented"):
            upload(EmployeeFactory.create(**trait))
        assert not EnrolmentPhoto.objects.exists()

    def test_the_same_photo_again_is_the_one_there_is(self, employee: Employee) -> None:
        assert upload(employee) == upload(employee, name="again.jpg")
        assert EnrolmentPhoto.objects.count() == 1

    def test_the_same_photo_of_two_people_is_two(self, employee: Employee) -> None:
        assert upload(employee) != upload(EmployeeFactory.create(consented=True))

    def test_a_refused_photo_may_be_uploaded_again(self, employee: Employee) -> None:
        first = upload(employee)
        enrolment.refuse_photo(first, Refusal.NOT_PROCESSED)
        assert upload(employee) != first

    def test_a_person_has_ten_photos_at_most(self, employee: Employee) -> None:
        for number in range(MAX_PHOTOS):
            upload(employee, jpeg_bytes(32 + number))
        with pytest.raises(EnrolmentError, match="10 photos already"):
            upload(employee, jpeg_bytes(99))
        assert upload(employee, jpeg_bytes(32)).status == PhotoStatus.PENDING, "it is there already"

    def test_refused_photos_do_not_count(self, employee: Employee) -> None:
        PhotoFactory.create_batch(MAX_PHOTOS, employee=employee, refused=True)
        upload(employee)

    def test_a_full_backlog_turns_photos_away(self, employee: Employee, settings: Settings) -> None:
        settings.PHOTO_BACKLOG_MAX = 2
        PhotoFactory.create_batch(2)
        with pytest.raises(EnrolmentError, match="waiting to be processed"):
            upload(employee)

    @pytest.mark.parametrize(
        "data",
        [b"", b"text", b"%PDF-1.7", b"GIF89a" + bytes(50), PICTURE[:20], b"\xff\xd8\xff"],
        ids=["empty", "text", "PDF", "GIF", "cut off", "three bytes"],
    )
    def test_what_is_no_image_is_refused_with_the_files_name(
        self, employee: Employee, data: bytes
    ) -> None:
        with pytest.raises(EnrolmentError, match=r"holiday\.jpg: The"):
            upload(employee, data, "holiday.jpg")
        assert not EnrolmentPhoto.objects.exists()

    def test_a_file_of_too_many_bytes_is_refused(
        self, employee: Employee, settings: Settings
    ) -> None:
        with pytest.raises(EnrolmentError, match="bytes"):
            upload(employee, PICTURE + bytes(settings.PHOTO_MAX_BYTES))

    def test_an_image_of_too_many_pixels_is_refused_undecoded(
        self, employee: Employee, settings: Settings
    ) -> None:
        settings.PHOTO_MAX_PIXELS = 64 * 64 - 1
        with pytest.raises(EnrolmentError, match="pixels"):
            upload(employee)

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("../../etc/passwd.jpg", "passwd.jpg"),
            (r"C:\Users\rosa\me.jpg", "me.jpg"),
            ("x" * 500 + ".jpg", "x" * 200),
            ("", ""),
        ],
    )
    def test_only_the_last_part_of_a_name_is_kept(
        self, employee: Employee, given: str, kept: str
    ) -> None:
        assert upload(employee, name=given).file_name == kept


class TestAtRest:
    def test_no_picture_lies_open_in_the_table(
        self, employee: Employee, version: ModelVersion
    ) -> None:
        upload(employee)
        accepted = upload(employee, jpeg_bytes(80))
        enrolment.accept_photo(accepted, Enrolled(KEPT, unit(1), {}), version)
        with connection.cursor() as cursor:
            cursor.execute("SELECT sealed FROM accesscontrol_enrolmentphoto")
            rows = [bytes(row[0]) for row in cursor.fetchall()]
        assert len(rows) == 2
        assert not any(b"\xff\xd8\xff" in row or b"JFIF" in row for row in rows)

    def test_bytes_moved_to_another_photo_do_not_open(self, employee: Employee) -> None:
        one, other = upload(employee), upload(employee, jpeg_bytes(80))
        EnrolmentPhoto.objects.filter(pk=other.pk).update(sealed=one.sealed)
        other.refresh_from_db()
        with pytest.raises(crypto.SealError):
            enrolment.open_photo(other)

    def test_changed_bytes_do_not_open(self, employee: Employee) -> None:
        photo = upload(employee)
        sealed = bytearray(photo.sealed or b"")
        sealed[40] ^= 1
        photo.sealed = bytes(sealed)
        with pytest.raises(crypto.SealError):
            enrolment.open_photo(photo)

    def test_a_key_that_is_not_in_the_keyring_is_named(self, employee: Employee) -> None:
        photo = upload(employee)
        photo.key_id = "0badc0de"
        with pytest.raises(keyring.KeyringError, match="0badc0de"):
            enrolment.open_photo(photo)

    def test_a_refused_photo_has_nothing_to_open(self) -> None:
        with pytest.raises(EnrolmentError, match="not kept"):
            enrolment.open_photo(PhotoFactory.create(refused=True))

    def test_the_digest_is_not_a_plain_one(self, employee: Employee) -> None:
        assert upload(employee).digest != hashlib.sha256(PICTURE).hexdigest()

    def test_templates_are_not_the_plain_embeddings_but_compare_alike(
        self, employee: Employee, version: ModelVersion
    ) -> None:
        plain = [unit(1), turned(unit(1), 0.7), unit(3)]
        for number, vector in enumerate(plain):
            photo = upload(employee, jpeg_bytes(32 + number))
            enrolment.accept_photo(photo, Enrolled(KEPT, vector, {}), version)
        kept = [
            np.asarray(made.embedding, dtype=np.float32) for made in Template.objects.order_by("id")
        ]
        for before, after in zip(plain, kept, strict=True):
            assert abs(float(before @ after)) < 0.4
        of_kept, of_plain = (np.stack(v) @ np.stack(v).T for v in (kept, plain))
        assert np.abs(of_kept - of_plain).max() < 2e-3


class TestClaiming:
    @pytest.fixture(autouse=True)
    def uploads(self, employee: Employee) -> None:
        self.photos = [upload(employee, jpeg_bytes(32 + number)) for number in range(3)]

    def test_the_longest_waiting_comes_first(self) -> None:
        assert [enrolment.claim_photo() for _ in range(3)] == self.photos

    def test_none_is_left_when_all_are_done(self) -> None:
        for photo in self.photos:
            enrolment.refuse_photo(photo, Refusal.NO_FACE)
        assert enrolment.claim_photo() is None

    def claim_of_a_worker_that_dies(self) -> EnrolmentPhoto | None:
        claimed = enrolment.claim_photo()
        EnrolmentPhoto.objects.update(claimed_at=timezone.now() - enrolment.CLAIM_LASTS)
        return claimed

    def test_a_photo_being_worked_on_is_nobody_elses(self) -> None:
        working = [enrolment.claim_photo() for _ in range(3)]
        assert working == self.photos
        assert enrolment.claim_photo() is None

    def test_a_photo_that_kills_its_worker_is_given_up_after_three_attempts(self) -> None:
        claimed = [self.claim_of_a_worker_that_dies() for _ in range(3 * MAX_ATTEMPTS)]
        assert all(claimed.count(photo) == MAX_ATTEMPTS for photo in self.photos)
        assert enrolment.claim_photo() is None
        for photo in self.photos:
            photo.refresh_from_db()
            assert (photo.status, photo.refusal) == (PhotoStatus.REFUSED, Refusal.NOT_PROCESSED)
            assert photo.sealed is None

    def test_new_photos_do_not_wait_for_a_hopeless_one(self) -> None:
        hopeless = self.photos[0]
        EnrolmentPhoto.objects.filter(pk=hopeless.pk).update(attempts=2)
        assert [enrolment.claim_photo() for _ in range(2)] == self.photos[1:]


class TestAccepting:
    def test_it_keeps_the_fresh_picture_and_a_template(
        self, employee: Employee, version: ModelVersion
    ) -> None:
        photo = upload(employee)
        assert enrolment.accept_photo(photo, Enrolled(KEPT, unit(1), {"score": 0.9}), version)
        photo.refresh_from_db()
        assert photo.status == PhotoStatus.ACCEPTED
        assert enrolment.open_photo(photo) == KEPT
        assert photo.quality == {"score": 0.9}
        made = Template.objects.get()
        assert (made.employee, made.photo, made.consent) == (employee, photo, photo.consent)
        assert (made.model_version, made.dimension) == (version, 192)

    def test_twice_makes_one_template(self, employee: Employee, version: ModelVersion) -> None:
        photo = upload(employee)
        enrolled = Enrolled(KEPT, unit(1), {})
        assert enrolment.accept_photo(photo, enrolled, version)
        assert not enrolment.accept_photo(photo, enrolled, version)
        assert Template.objects.count() == 1

    def test_a_refused_photo_is_not_accepted_later(
        self, employee: Employee, version: ModelVersion
    ) -> None:
        photo = upload(employee)
        assert enrolment.refuse_photo(photo, Refusal.NO_FACE)
        assert not enrolment.accept_photo(photo, Enrolled(KEPT, unit(1), {}), version)
        assert not enrolment.refuse_photo(photo, Refusal.LOW_QUALITY)
        photo.refresh_from_db()
        assert (photo.refusal, photo.sealed) == (Refusal.NO_FACE, None)
        assert not Template.objects.exists()

    def test_a_deleted_photo_is_not_accepted_later(
        self, employee: Employee, version: ModelVersion
    ) -> None:
        photo = upload(employee)
        enrolment.delete_photo(photo, by=None)
        assert not enrolment.accept_photo(photo, Enrolled(KEPT, unit(1), {}), version)
        assert not enrolment.refuse_photo(photo, Refusal.NO_FACE)

    def test_deleting_takes_the_template_along(
        self, employee: Employee, version: ModelVersion
    ) -> None:
        photo = upload(employee)
        enrolment.accept_photo(photo, Enrolled(KEPT, unit(1), {}), version)
        enrolment.delete_photo(photo, by=None)
        assert not Template.objects.exists()
        assert not EnrolmentPhoto.objects.exists()
        assert AuditEntry.objects.filter(action="delete_photo").count() == 1
