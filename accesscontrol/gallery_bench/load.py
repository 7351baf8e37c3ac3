"""Searches at a steady rate while people are enrolled and leave."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.utils import timezone
from numpy.typing import NDArray
from pgvector import HalfVector

from accesscontrol.gallery import Probe, nearest
from accesscontrol.gallery_bench.scratch import ROTATION, Filled
from accesscontrol.gallery_bench.searches import Query, summary
from accesscontrol.models import (
    Consent,
    Employee,
    EnrolmentPhoto,
    PhotoStatus,
    Template,
)

PROBES_A_SECOND = 50
CHANGES_A_SECOND = 5
"""Enrolments, and as many leavers."""


@dataclass(slots=True)
class Changes:
    """What was done to the galleries meanwhile."""

    enrolled: int = 0
    left: int = 0
    not_found: int = 0
    """People whom a search right after the commit of their enrolment did not name first."""
    still_found: int = 0
    """People whom a search right after the commit of their leaving still named."""
    times: list[float] = field(default_factory=list)


def under_load(filled: Filled, asked: Sequence[Query], *, seconds: float) -> dict[str, Any]:
    """Search PROBES_A_SECOND for so long, each at its moment or as soon after as can be.

    A probe's time counts from the moment at which it was due. Beside that another connection
    enrols people at the sites, by way of consent, photo and template, and lets others go.
    """
    over, changes, failed = threading.Event(), Changes(), []

    def change() -> None:
        try:
            _keep_changing(filled, changes, over)
        except Exception as error:  # noqa: BLE001  raised below, in the caller's thread
            failed.append(error)
        finally:
            connection.close()

    changer = threading.Thread(target=change)
    changer.start()
    times = []
    begun = time.perf_counter()
    for number in range(int(seconds * PROBES_A_SECOND)):
        due = begun + number / PROBES_A_SECOND
        over.wait(max(0.0, due - time.perf_counter()))
        nearest([asked[number % len(asked)].probe], filled.version, ROTATION)
        times.append(1000 * (time.perf_counter() - due))
    taken = time.perf_counter() - begun
    over.set()
    changer.join()
    if failed:
        raise failed[0]
    return {
        "seconds": seconds,
        "probes_a_second": round(len(times) / taken, 1),
        **summary(np.array(times)),
        "enrolled": changes.enrolled,
        "left": changes.left,
        "enrol_ms": round(float(np.median(changes.times)), 3) if changes.times else None,
        "not_found_after_enrolment": changes.not_found,
        "still_found_after_leaving": changes.still_found,
    }


def _keep_changing(filled: Filled, changes: Changes, over: threading.Event) -> None:
    dice = np.random.default_rng(99)
    sites = list(filled.sizes)
    begun = time.perf_counter()
    while not over.wait(
        max(0.0, begun + changes.enrolled / CHANGES_A_SECOND - time.perf_counter())
    ):
        site = int(dice.choice(sites))
        face = filled.crowd.strangers(1, dice)[0]
        at = time.perf_counter()
        person = _enrol(filled, site, face, changes.enrolled)
        changes.times.append(1000 * (time.perf_counter() - at))
        changes.enrolled += 1
        changes.not_found += _best(filled, site, face) != person
        leaver = filled.person(site, changes.left)
        shown = _template(site, leaver)
        Employee.objects.filter(pk=leaver).update(is_active=False)
        changes.left += 1
        changes.still_found += _best(filled, site, shown) == leaver


def _template(site: int, person: int) -> NDArray[np.float32]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT embedding::real[] FROM accesscontrol_gallery"
            " WHERE site_id = %s AND employee_id = %s LIMIT 1",
            [site, person],
        )
        (vector,) = cursor.fetchone()
    return np.array(vector, np.float32)


def _best(filled: Filled, site: int, face: NDArray[np.float32]) -> int:
    (candidates,) = nearest([Probe(site, face)], filled.version, ROTATION)
    return candidates[0].employee_id if candidates else 0


@transaction.atomic
def _enrol(filled: Filled, site: int, face: NDArray[np.float32], number: int) -> int:
    person = Employee.objects.create(site_id=site, number=f"new {number}", name="New")
    now = timezone.now()
    consent = Consent.objects.create(employee=person, given_at=now, text_version="bench")
    photo = EnrolmentPhoto.objects.create(
        employee=person,
        consent=consent,
        status=PhotoStatus.ACCEPTED,
        sealed=b"none",
        digest=hashlib.sha256(str(number).encode()).hexdigest(),
        processed_at=now,
    )
    Template.objects.create(
        employee=person,
        photo=photo,
        consent=consent,
        model_version=filled.version,
        dimension=filled.version.dimension,
        rotation_id=ROTATION,
        embedding=HalfVector(face),
    )
    return person.pk
