"""A model change for tests: two models, people enrolled under the old one, photos that embed."""

# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import numpy as np

from accesscontrol import embedding_anew, model_change
from accesscontrol.models import Employee, EnrolmentPhoto, ModelChange, ModelVersion, Refusal
from tests.enrolled import template, unit
from tests.factories import EmployeeFactory, ModelVersionFactory, SiteFactory
from tests.galleries import CALIBRATION

NEW_DIMENSION = 320


def two_models() -> tuple[ModelVersion, ModelVersion]:
    """The active one, of 192 numbers, and another one, of 320."""
    old = ModelVersionFactory.create(name="old", calibration=CALIBRATION)
    new = ModelVersionFactory.create(
        name="new", calibration=CALIBRATION, dimension=NEW_DIMENSION, is_active=False
    )
    return old, new


def enrolled(people: int, *, photos: int = 1) -> list[Employee]:
    """People of one site with templates of the active model."""
    site = SiteFactory.create()
    found = [EmployeeFactory.create(site=site, consented=True) for _ in range(people)]
    for employee in found:
        for number in range(photos):
            template(employee, unit(employee.pk * 10 + number))
    return found


def embed_all(version: ModelVersion, failing: Iterable[UUID] = ()) -> int:
    """What workers do, with made-up faces: embed every photo that is due; how many they were."""
    fails, count = set(failing), 0
    while found := embedding_anew.next_due(version, 3):
        for photo_id in found:
            photo = embedding_anew.claim(photo_id, version)
            assert photo is not None
            if photo.pk in fails:
                embedding_anew.give_up(photo, version, Refusal.BLURRED)
            else:
                vector = face_of(photo, version.dimension)
                assert embedding_anew.keep_template(photo, vector, version)
            count += 1
    return count


def face_of(photo: EnrolmentPhoto, dimension: int) -> np.typing.NDArray[np.float32]:
    return unit(photo.employee_id, dimension)


def started(new: ModelVersion) -> ModelChange:
    return model_change.start(new, None)


def ready_change(people: int = 3) -> tuple[ModelChange, list[Employee]]:
    """A change whose photos are embedded and whose sites have their thresholds."""
    _, new = two_models()
    employees = enrolled(people)
    change = started(new)
    embed_all(new)
    return change, employees
