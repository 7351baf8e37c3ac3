"""Employees in the admin: consent, photos, what became of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accesscontrol.models import (
    AuditEntry,
    Consent,
    Employee,
    EnrolmentPhoto,
    PhotoStatus,
    Refusal,
)
from tests.factories import (
    EmployeeFactory,
    PhotoFactory,
    PunchFactory,
    SiteFactory,
    jpeg_bytes,
)

pytestmark = pytest.mark.django_db


def url(name: str, *args: object) -> str:
    return reverse(f"admin:accesscontrol_employee_{name}", args=args)


def page(client: Client, employee: Employee) -> str:
    return client.get(url("change", employee.pk)).content.decode()


def jpeg(name: str, colour: str = "red") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, jpeg_bytes(colour=colour), content_type="image/jpeg")


def test_a_new_employee_is_saved_by_the_verb_and_leads_to_consent(admin_client: Client) -> None:
    site = SiteFactory.create()
    answer = admin_client.post(
        url("add"), {"site": site.pk, "number": "7", "name": "Asha", "is_active": "on"}
    )
    asha = Employee.objects.get(number="7")
    assert answer["Location"] == url("change", asha.pk)
    assert AuditEntry.objects.filter(action="add_employee", actor="user:admin").exists()
    assert "Record consent" in page(admin_client, asha)


def test_the_same_number_twice_at_a_site_is_told_on_the_form(admin_client: Client) -> None:
    employee = EmployeeFactory.create()
    answer = admin_client.post(
        url("add"), {"site": employee.site_id, "number": employee.number, "name": "Twin"}
    )
    assert answer.status_code == 200
    assert "already exists" in answer.content.decode()


def test_the_list_shows_consent_photos_and_the_last_punch(admin_client: Client) -> None:
    employee = EmployeeFactory.create(consented=True, site__time_zone="Asia/Kolkata")
    PhotoFactory.create(employee=employee, accepted=True)
    PhotoFactory.create(employee=employee, accepted=True)
    PhotoFactory.create(employee=employee, refused=True)
    PhotoFactory.create(employee=employee)
    PunchFactory.create(employee=employee, at=datetime(2026, 11, 10, 3, 30, tzinfo=UTC))
    text = admin_client.get(url("changelist")).content.decode()
    for shown in ("2 accepted", "1 refused", "1 waiting", "given", "2026-11-10 09:00:00"):
        assert shown in text
    assert "UTC+05:30" in text


def test_the_list_asks_the_database_as_often_for_many_people_as_for_few(
    admin_client: Client, django_assert_max_num_queries: object
) -> None:
    for _ in range(30):
        PhotoFactory.create(accepted=True)
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        admin_client.get(url("changelist"))


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ("enrolled", {"Enrolled"}),
        ("no_consent", {"Nothing", "Withdrawn"}),
        ("no_photo", {"Consented", "Waiting"}),
        ("waiting", {"Waiting"}),
    ],
)
def test_people_are_found_by_how_far_their_enrolment_is(
    admin_client: Client, state: str, names: set[str]
) -> None:
    EmployeeFactory.create(name="Nothing")
    EmployeeFactory.create(name="Withdrawn", withdrawn=True)
    EmployeeFactory.create(name="Consented", consented=True)
    PhotoFactory.create(employee=EmployeeFactory.create(name="Waiting", consented=True))
    PhotoFactory.create(
        employee=EmployeeFactory.create(name="Enrolled", consented=True), accepted=True
    )
    answer = admin_client.get(url("changelist"), {"enrolment": state})
    assert {row.name for row in answer.context["cl"].queryset} == names


def test_a_consent_is_recorded_with_the_text_and_who_recorded_it(admin_client: Client) -> None:
    employee = EmployeeFactory.create()
    admin_client.post(url("consent", employee.pk), {"text_version": "2026-01 signed"})
    consent = Consent.objects.get(employee=employee)
    assert consent.text_version == "2026-01 signed"
    assert consent.recorded_by is not None


def test_a_consent_to_nothing_is_refused_in_words(admin_client: Client) -> None:
    employee = EmployeeFactory.create()
    answer = admin_client.post(url("consent", employee.pk), {"text_version": " "}, follow=True)
    assert "which consent text" in answer.content.decode()
    assert not Consent.objects.exists()


def test_withdrawal_says_first_what_it_deletes_and_then_does(admin_client: Client) -> None:
    photo = PhotoFactory.create(accepted=True)
    PhotoFactory.create(employee=photo.employee)
    asked = admin_client.get(url("withdraw", photo.employee_id)).content.decode()
    assert "2 photos and all templates" in asked
    admin_client.post(url("withdraw", photo.employee_id))
    assert not EnrolmentPhoto.objects.exists()
    assert not Consent.objects.filter(withdrawn_at=None).exists()
    assert "withdrawn" in page(admin_client, photo.employee)


def test_withdrawing_twice_is_answered_in_words(admin_client: Client) -> None:
    employee = EmployeeFactory.create(withdrawn=True)
    answer = admin_client.post(url("withdraw", employee.pk), follow=True)
    assert "no live consent" in answer.content.decode()


def test_several_photos_go_in_at_once_and_a_bad_one_is_named(admin_client: Client) -> None:
    employee = EmployeeFactory.create(consented=True)
    letter = SimpleUploadedFile("letter.jpg", b"Dear Sir", content_type="image/jpeg")
    answer = admin_client.post(
        url("upload", employee.pk),
        {"photos": [jpeg("a.jpg"), letter, jpeg("b.jpg", "blue")]},
        follow=True,
    )
    text = answer.content.decode()
    assert "letter.jpg: " in text
    assert "2 photos were taken in" in text
    names = set(EnrolmentPhoto.objects.values_list("file_name", flat=True))
    assert names == {"a.jpg", "b.jpg"}
    assert text.count('data-status="PENDING"') == 2


def test_a_name_with_markup_is_shown_as_text(admin_client: Client) -> None:
    photo = PhotoFactory.create(file_name="<script>alert(1)</script>.jpg")
    text = page(admin_client, photo.employee)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_without_consent_no_photo_is_taken_in(admin_client: Client) -> None:
    employee = EmployeeFactory.create()
    answer = admin_client.post(url("upload", employee.pk), {"photos": [jpeg("a.jpg")]}, follow=True)
    assert "Record the consent first" in answer.content.decode()
    assert not EnrolmentPhoto.objects.exists()


def test_a_photo_that_is_too_large_is_refused_by_name(
    admin_client: Client, settings: object
) -> None:
    employee = EmployeeFactory.create(consented=True)
    settings.PHOTO_MAX_BYTES = 100  # type: ignore[attr-defined]
    answer = admin_client.post(
        url("upload", employee.pk), {"photos": [jpeg("big.jpg")]}, follow=True
    )
    assert "big.jpg" in answer.content.decode()
    assert not EnrolmentPhoto.objects.exists()


def test_no_file_at_all_is_answered_in_words(admin_client: Client) -> None:
    employee = EmployeeFactory.create(consented=True)
    answer = admin_client.post(url("upload", employee.pk), follow=True)
    assert "Choose one or more photos" in answer.content.decode()


def test_the_photo_is_shown_decrypted_and_kept_by_nobody(admin_client: Client) -> None:
    photo = PhotoFactory.create(accepted=True)
    answer = admin_client.get(url("photo_image", photo.employee_id, photo.pk))
    assert answer.content == jpeg_bytes()
    assert answer["Content-Type"] == "image/jpeg"
    assert "no-store" in answer["Cache-Control"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_refused_photo_has_no_picture_but_its_reason(admin_client: Client) -> None:
    photo = PhotoFactory.create(refused=True, refusal=Refusal.SEVERAL_FACES)
    image = url("photo_image", photo.employee_id, photo.pk)
    assert admin_client.get(image).status_code == 404
    text = page(admin_client, photo.employee)
    assert image not in text
    assert "More than one face" in text


def test_a_photo_is_not_found_under_another_person(admin_client: Client) -> None:
    photo, other = PhotoFactory.create(), EmployeeFactory.create()
    assert admin_client.get(url("photo_image", other.pk, photo.pk)).status_code == 404
    assert admin_client.post(url("photo_delete", other.pk, photo.pk)).status_code == 404


def test_a_photo_that_was_tampered_with_is_not_shown(admin_client: Client) -> None:
    photo = PhotoFactory.create()
    EnrolmentPhoto.objects.filter(pk=photo.pk).update(sealed=bytes(200))
    answer = admin_client.get(url("photo_image", photo.employee_id, photo.pk))
    assert answer.status_code == 500
    assert b"Tell IT" in answer.content


def test_the_state_tells_what_became_of_each_photo(admin_client: Client) -> None:
    photo = PhotoFactory.create()
    refused = PhotoFactory.create(employee=photo.employee, refused=True)
    state = admin_client.get(url("photo_state", photo.employee_id)).json()
    assert state["waiting"] == 1
    by_id = {entry["id"]: entry for entry in state["photos"]}
    assert by_id[str(photo.pk)]["status"] == PhotoStatus.PENDING
    assert "No face found" in by_id[str(refused.pk)]["message"]


def test_a_deleted_photo_is_gone(admin_client: Client) -> None:
    photo = PhotoFactory.create(accepted=True)
    admin_client.post(url("photo_delete", photo.employee_id, photo.pk))
    assert not EnrolmentPhoto.objects.exists()
    assert AuditEntry.objects.filter(action="delete_photo", actor="user:admin").exists()


def test_a_person_who_is_not_there_is_answered_calmly(admin_client: Client) -> None:
    assert admin_client.get(url("change", 999_999)).status_code == 302
    assert admin_client.post(url("upload", 999_999)).status_code == 404
