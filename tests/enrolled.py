"""Enrolled people with made-up faces: a template from a vector, without a photo's face."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from pgvector import HalfVector

from accesscontrol import crypto, keyring
from accesscontrol.models import Employee, ModelVersion, Template
from tests.factories import DIMENSION, PhotoFactory, active_model_version, live_consent_of

Vector = NDArray[np.float32]


def unit(seed: int, dimension: int = DIMENSION) -> Vector:
    """A random direction, the same for the same seed."""
    vector = np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def turned(vector: Vector, cosine: float, seed: int = 0) -> Vector:
    """A unit vector that has this cosine with the given one."""
    other = unit(seed, len(vector))
    across = other - float(other @ vector) * vector
    across /= np.float32(np.linalg.norm(across))
    result: Vector = (cosine * vector + np.sqrt(1 - cosine**2) * across).astype(np.float32)
    return result


def rotated(embedding: Vector) -> Vector:
    """As the gallery holds it, under the installation's current template key."""
    keys = keyring.load(settings.KEYRING_PATH).templates
    return crypto.rotate(embedding, keys.key(keys.current))


def template(
    employee: Employee, embedding: Vector, *, version: ModelVersion | None = None, **fields: Any
) -> Template:
    """Give the employee a template of this face, with an accepted photo and a live consent."""
    version = version or active_model_version()
    photo = PhotoFactory.create(employee=employee, consent=live_consent_of(employee), accepted=True)
    return Template.objects.create(
        employee=employee,
        photo=photo,
        consent=photo.consent,
        model_version=version,
        **{
            "dimension": version.dimension,
            "rotation_id": keyring.load(settings.KEYRING_PATH).templates.current,
            "embedding": HalfVector(rotated(embedding)),
            **fields,
        },
    )
