"""Galleries of templates that score as told, really stored, for tests of thresholds."""

# mypy: allow-untyped-calls
from __future__ import annotations

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from accesscontrol import keyring
from accesscontrol.models import Employee, ModelVersion, Site, Template
from tests.factories import DIMENSION, EmployeeFactory, PhotoFactory

CALIBRATION = {
    "thresholds": {"1e-2": 0.36, "1e-3": 0.42, "1e-4": 0.5, "1e-5": 0.56, "1e-6": 0.62},
    "impostor": {"mean": 0.01, "sd": 0.145},
}
"""Of a model whose strangers have cosines around 0, like the factories' model."""


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: NDArray[np.float64] = vectors / lengths
    return scaled


def fill_gallery(
    site: Site,
    version: ModelVersion,
    people: int,
    *,
    photos: int = 1,
    alike: float = 0.0,
    seed: int = 0,
) -> list[Employee]:
    """Enrol people; two of them have a cosine of about `alike`, two photos of one about 0.9."""
    random = np.random.default_rng(seed)
    shared = unit(random.normal(size=DIMENSION))
    employees = []
    for _ in range(people):
        employee = EmployeeFactory.create(site=site, consented=True)
        own = unit(random.normal(size=DIMENSION))
        face = unit(np.sqrt(alike) * shared + np.sqrt(1 - alike) * own)
        for _ in range(photos):
            noise = unit(random.normal(size=DIMENSION))
            enrol_vector(employee, version, unit(face + 0.33 * noise))
        employees.append(employee)
    return employees


def enrol_vector(
    employee: Employee, version: ModelVersion, vector: NDArray[np.float64]
) -> Template:
    """A template with exactly this vector, beside an accepted photo."""
    photo = PhotoFactory.create(employee=employee, accepted=True)
    return Template.objects.create(
        employee=employee,
        photo=photo,
        consent=photo.consent,
        model_version=version,
        dimension=version.dimension,
        rotation_id=keyring.load(settings.KEYRING_PATH).templates.current,
        embedding=vector.tolist(),
    )
