"""What the database refuses whatever the code does: consents, photos, templates."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.db import DataError, connection, transaction
from django.utils import timezone

from accesscontrol.models import Consent, Employee, EnrolmentPhoto, Template
from tests.constraints import refused
from tests.enrolled import template, unit
from tests.factories import (
    DIMENSION,
    ConsentFactory,
    EmployeeFactory,
    ModelVersionFactory,
    PhotoFactory,
    active_model_version,
)

pytestmark = pytest.mark.django_db


class TestConsent:
    def test_a_person_has_one_live_consent(self) -> None:
        first = ConsentFactory.create()
        with refused("one_live_consent"):
            ConsentFactory.create(employee=first.employee)

    def test_a_person_may_consent_again_after_withdrawing(self) -> None:
        employee = EmployeeFactory.create(withdrawn=True)
        ConsentFactory.create(employee=employee)

    def test_nobody_withdraws_before_consenting(self) -> None:
        with refused("consent_withdrawn_after_given"):
            now = timezone.now()
            ConsentFactory.create(given_at=now, withdrawn_at=now - timedelta(seconds=1))

    def test_withdrawing_is_refused_while_a_photo_remains(self) -> None:
        photo = PhotoFactory.create()
        with refused("photo_under_live_consent_of_employee"):
            Consent.objects.filter(pk=photo.consent_id).update(withdrawn_at=timezone.now())

    def test_withdrawing_is_refused_while_a_template_remains(self) -> None:
        made = template(EmployeeFactory.create(), unit(1))
        with refused("under_live_consent_of_employee"):
            Consent.objects.filter(pk=made.consent_id).update(withdrawn_at=timezone.now())

    def test_a_consent_with_photos_cannot_vanish(self) -> None:
        photo = PhotoFactory.create()
        with refused("consent"):
            Consent.objects.filter(pk=photo.consent_id)._raw_delete("default")

    def test_a_consent_cannot_pass_to_somebody_else(self) -> None:
        photo = PhotoFactory.create()
        with refused("under_live_consent_of_employee"):
            Consent.objects.filter(pk=photo.consent_id).update(employee=EmployeeFactory.create())


class TestPhoto:
    def test_a_photo_needs_a_consent(self) -> None:
        with refused("null value"):
            PhotoFactory.create(consent=None)

    def test_a_photo_needs_a_live_consent(self) -> None:
        ended = ConsentFactory.create(withdrawn_at=timezone.now())
        with refused("photo_under_live_consent_of_employee"):
            PhotoFactory.create(employee=ended.employee, consent=ended)

    def test_a_photo_cannot_claim_a_dead_consent(self) -> None:
        ended = ConsentFactory.create(withdrawn_at=timezone.now())
        with refused("photo_has_consent"):
            PhotoFactory.create(employee=ended.employee, consent=ended, consent_live=False)

    def test_a_photo_needs_the_consent_of_its_own_person(self) -> None:
        with refused("photo_under_live_consent_of_employee"):
            PhotoFactory.create(employee=EmployeeFactory.create(), consent=ConsentFactory.create())

    def test_a_photo_is_kept_once_for_a_person(self) -> None:
        photo = PhotoFactory.create()
        PhotoFactory.create(digest=photo.digest)  # of somebody else
        with refused("same_photo_once_a_person"):
            PhotoFactory.create(employee=photo.employee, digest=photo.digest)

    def test_a_refused_photo_may_be_tried_again(self) -> None:
        photo = PhotoFactory.create(refused=True)
        PhotoFactory.create(employee=photo.employee, digest=photo.digest)

    @pytest.mark.parametrize(
        "fault",
        [
            {"refused": True, "refusal": ""},
            {"refused": True, "sealed": b"still here"},
            {"accepted": True, "sealed": None},
            {"accepted": True, "refusal": "NO_FACE"},
            {"sealed": None},
            {"refusal": "NO_FACE"},
            {"status": "ODD"},
        ],
        ids=str,
    )
    def test_only_a_refused_photo_has_a_reason_and_no_bytes(self, fault: dict[str, object]) -> None:
        with refused("photo_refused_with_reason_and_without_bytes|photo_processed_at"):
            PhotoFactory.create(**fault)

    @pytest.mark.parametrize(
        "fault",
        [
            {"refused": True, "processed_at": None},
            {"accepted": True, "processed_at": None},
            {"processed_at": timezone.now()},
        ],
        ids=["refused", "accepted", "waiting"],
    )
    def test_a_photo_has_a_time_once_it_is_processed(self, fault: dict[str, object]) -> None:
        with refused("photo_processed_at"):
            PhotoFactory.create(**fault)


class TestTemplate:
    @pytest.fixture
    def employee(self) -> Employee:
        employee: Employee = EmployeeFactory.create(consented=True)
        return employee

    def test_a_template_needs_a_consent(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        with refused("null value"):
            Template.objects.filter(pk=made.pk).update(consent=None)

    def test_a_template_needs_a_live_consent(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        ended = ConsentFactory.create(employee=employee, withdrawn_at=timezone.now())
        with refused("template_under_live_consent_of_employee"):
            Template.objects.filter(pk=made.pk).update(consent=ended)

    def test_a_template_cannot_claim_a_dead_consent(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        with refused("template_has_consent"):
            Template.objects.filter(pk=made.pk).update(consent_live=False)

    def test_a_template_needs_the_consent_of_its_own_person(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        with refused("template_under_live_consent_of_employee"):
            Template.objects.filter(pk=made.pk).update(consent=ConsentFactory.create())

    def test_a_template_needs_a_photo_of_its_own_person(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        with refused("template_of_photo_of_employee"):
            Template.objects.filter(pk=made.pk).update(photo=PhotoFactory.create(accepted=True))

    def test_a_template_cannot_pass_to_somebody_else(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        with refused("of_employee"):
            Template.objects.filter(pk=made.pk).update(employee=EmployeeFactory.create())

    def test_a_photo_takes_its_templates_along(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM accesscontrol_enrolmentphoto WHERE id = %s", [made.photo_id]
            )
        assert not Template.objects.exists()
        assert not EnrolmentPhoto.objects.exists()

    def test_a_photo_has_one_template_of_a_model_version(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        made.pk = None
        with refused("one_template_a_photo_and_model"):
            made.save(force_insert=True)

    def test_a_template_needs_a_model_version(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        with refused("null value"):
            Template.objects.filter(pk=made.pk).update(model_version=None)

    def test_a_template_needs_a_model_version_that_is_registered(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        with refused("model_version"):
            Template.objects.filter(pk=made.pk).update(model_version=2**40)

    def test_a_template_has_the_dimension_of_its_model_version(self, employee: Employee) -> None:
        with refused("template_dimension_of_model_version"):
            template(employee, unit(1, 128), dimension=128)

    def test_a_template_has_the_dimension_it_says(self, employee: Employee) -> None:
        with refused("template_has_its_dimension"):
            template(employee, unit(1, 128), dimension=DIMENSION)

    def test_a_template_cannot_move_to_a_model_of_another_dimension(
        self, employee: Employee
    ) -> None:
        made = template(employee, unit(1))
        other = ModelVersionFactory.create(dimension=512, is_active=False)
        with refused("template_dimension_of_model_version"):
            Template.objects.filter(pk=made.pk).update(model_version=other)

    def test_the_dimension_of_a_model_in_use_stays(self, employee: Employee) -> None:
        made = template(employee, unit(1))
        version = made.model_version
        version.dimension = 512
        with refused("template_dimension_of_model_version"):
            version.save()

    @pytest.mark.parametrize(
        "vector",
        [
            np.zeros(DIMENSION, np.float32),
            1.02 * unit(1),
            0.98 * unit(1),
            np.ones(DIMENSION, np.float32),
        ],
        ids=["zero", "too long", "too short", "ones"],
    )
    def test_a_template_is_a_unit_vector(
        self, employee: Employee, vector: np.typing.NDArray[np.float32]
    ) -> None:
        with refused("template_is_a_unit_vector"):
            template(employee, vector)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_the_vector_type_itself_refuses_what_is_no_number(
        self, employee: Employee, value: float
    ) -> None:
        vector = unit(1)
        vector[7] = value
        with pytest.raises(DataError, match="not allowed in halfvec"), transaction.atomic():
            template(employee, vector)

    def test_a_model_version_with_templates_cannot_vanish(self, employee: Employee) -> None:
        template(employee, unit(1))
        with refused("model"):
            type(active_model_version()).objects.all()._raw_delete("default")
