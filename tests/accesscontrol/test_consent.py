"""Consent: given once, withdrawn with everything that rested on it."""

from __future__ import annotations

import pytest

from accesscontrol import enrolment
from accesscontrol.enrolment import Enrolled, EnrolmentError
from accesscontrol.models import AuditEntry, Consent, Employee, EnrolmentPhoto, Template
from tests.enrolled import template, unit
from tests.factories import (
    EmployeeFactory,
    PhotoFactory,
    PunchFactory,
    UserFactory,
    active_model_version,
    jpeg_bytes,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


@pytest.fixture
def employee() -> Employee:
    """With a waiting, a refused and an accepted photo."""
    employee: Employee = EmployeeFactory.create(consented=True)
    template(employee, unit(1))
    PhotoFactory.create(employee=employee)
    PhotoFactory.create(employee=employee, refused=True)
    return employee


class TestGiving:
    def test_it_says_to_which_text_when_and_who_recorded_it(self) -> None:
        someone = UserFactory.create(username="rosa")
        employee = EmployeeFactory.create()
        consent = enrolment.give_consent(employee, text_version=" 2026-01 signed ", by=someone)
        assert (consent.text_version, consent.recorded_by) == ("2026-01 signed", someone)
        consent.refresh_from_db()
        assert consent.live
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action) == ("user:rosa", "give_consent")
        assert entry.detail == {"consent": consent.pk, "text_version": "2026-01 signed"}

    def test_twice_is_once(self) -> None:
        employee = EmployeeFactory.create()
        first, second = (
            enrolment.give_consent(employee, text_version=text, by=None) for text in ("a", "b")
        )
        assert first == second
        assert Consent.objects.get().text_version == "a"

    @pytest.mark.parametrize("text", ["", "   "])
    def test_it_needs_a_text(self, text: str) -> None:
        with pytest.raises(EnrolmentError, match="which consent text"):
            enrolment.give_consent(EmployeeFactory.create(), text_version=text, by=None)
        assert not Consent.objects.exists()

    def test_after_withdrawing_it_can_be_given_anew(self, employee: Employee) -> None:
        enrolment.withdraw_consent(employee, by=None)
        fresh = enrolment.give_consent(employee, text_version="2026-02", by=None)
        assert Consent.objects.filter(employee=employee).count() == 2
        assert Consent.objects.get(withdrawn_at=None) == fresh


class TestWithdrawing:
    def test_it_deletes_every_photo_and_template(self, employee: Employee) -> None:
        assert enrolment.withdraw_consent(employee, by=None) == 3
        assert not Template.objects.exists()
        assert not EnrolmentPhoto.objects.exists()
        assert not Consent.objects.filter(withdrawn_at=None).exists()

    def test_it_leaves_other_people_alone(self, employee: Employee) -> None:
        other = template(EmployeeFactory.create(), unit(2))
        enrolment.withdraw_consent(employee, by=None)
        assert Template.objects.get() == other

    def test_it_leaves_the_attendance_log_alone(self, employee: Employee) -> None:
        made = PunchFactory.create(employee=employee)
        enrolment.withdraw_consent(employee, by=None)
        made.refresh_from_db()

    def test_it_is_in_the_audit_log(self, employee: Employee) -> None:
        enrolment.withdraw_consent(employee, by=UserFactory.create(username="rosa"))
        entry = AuditEntry.objects.get(action="withdraw_consent")
        assert entry.actor == "user:rosa"
        assert entry.detail["photos_deleted"] == 3

    def test_a_worker_that_comes_late_finds_nothing(self, employee: Employee) -> None:
        claimed = enrolment.claim_photo()
        assert claimed is not None
        enrolment.withdraw_consent(employee, by=None)
        enrolled = Enrolled(jpeg_bytes(), unit(1), {})
        assert not enrolment.accept_photo(claimed, enrolled, active_model_version())
        assert not Template.objects.exists()
        assert enrolment.claim_photo() is None

    def test_even_a_new_consent_does_not_bring_a_late_photo_back(self, employee: Employee) -> None:
        claimed = enrolment.claim_photo()
        assert claimed is not None
        enrolment.withdraw_consent(employee, by=None)
        enrolment.give_consent(employee, text_version="again", by=None)
        enrolled = Enrolled(jpeg_bytes(), unit(1), {})
        assert not enrolment.accept_photo(claimed, enrolled, active_model_version())

    def test_nothing_can_be_uploaded_any_more(self, employee: Employee) -> None:
        enrolment.withdraw_consent(employee, by=None)
        with pytest.raises(EnrolmentError, match="not consented"):
            enrolment.upload_photo(employee, file_name="a.jpg", data=jpeg_bytes(), by=None)

    def test_it_cannot_be_done_without_a_consent(self) -> None:
        with pytest.raises(EnrolmentError, match="no live consent"):
            enrolment.withdraw_consent(EmployeeFactory.create(), by=None)
