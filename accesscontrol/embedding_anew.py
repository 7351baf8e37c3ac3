"""Templates of photos under a further model version: which are due, made piece by piece, and who
is left without one.

What is due is never stored: it is every accepted photo without a template. So a worker may die at
any moment, photos may come and people may go, and the next look finds what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import numpy as np
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from numpy.typing import NDArray

from accesscontrol import enrolment, model_versions
from accesscontrol.enrolment import CLAIM_LASTS
from accesscontrol.models import (
    Consent,
    EmbeddingAttempt,
    Employee,
    EnrolmentPhoto,
    ModelChange,
    ModelVersion,
    PhotoStatus,
    Refusal,
    Template,
)

MAX_ATTEMPTS = 5
"""A photo that was begun so often and never finished is given up: it ends its workers."""
RATE_OVER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the photos are under one model version."""

    photos: int
    done: int
    failed: int
    a_minute: int
    """Made in the last minute."""

    @property
    def waiting(self) -> int:
        return max(0, self.photos - self.done - self.failed)

    @property
    def percent(self) -> int:
        """Of the photos that are through; 100 only when none waits."""
        return 100 if not self.waiting else min(99, 100 * (self.done + self.failed) // self.photos)

    @property
    def minutes_left(self) -> int | None:
        """At the pace of the last minute; None where there is none."""
        return -(-self.waiting // self.a_minute) if self.a_minute else None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Somebody whom a model version does not know, and why."""

    employee: Employee
    known_now: bool
    """The model that recognises now knows them: they would be lost."""
    reasons: tuple[str, ...]


def due(version: ModelVersion) -> QuerySet[EnrolmentPhoto]:
    """The accepted photos that have no template under this version and were not given up."""
    mine = {"photo": OuterRef("pk"), "model_version": version}
    failed = EmbeddingAttempt.objects.filter(~Q(refusal=""), **mine)
    return EnrolmentPhoto.objects.filter(
        ~Exists(Template.objects.filter(**mine)), ~Exists(failed), status=PhotoStatus.ACCEPTED
    )


def next_due(version: ModelVersion, limit: int) -> list[UUID]:
    """Some photos to go on with, in a fixed order; without those another worker has just begun."""
    claimed = EmbeddingAttempt.objects.filter(
        photo=OuterRef("pk"), model_version=version, claimed_at__gte=timezone.now() - CLAIM_LASTS
    )
    found = due(version).filter(~Exists(claimed)).order_by("pk")
    return list(found.values_list("pk", flat=True)[:limit])


@transaction.atomic
def claim(photo_id: UUID, version: ModelVersion) -> EnrolmentPhoto | None:
    """The photo, with an attempt at it counted before it is made; None if it is not due any more.

    Another worker that has it just now has it alone.
    """
    photo = (
        EnrolmentPhoto.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(pk=photo_id, status=PhotoStatus.ACCEPTED)
        .first()
    )
    if photo is None or photo.templates.filter(model_version=version).exists():
        return None
    attempt, _ = EmbeddingAttempt.objects.get_or_create(photo=photo, model_version=version)
    now = timezone.now()
    if attempt.refusal or (attempt.claimed_at and attempt.claimed_at >= now - CLAIM_LASTS):
        return None
    attempt.attempts, attempt.claimed_at = attempt.attempts + 1, now
    if attempt.attempts > MAX_ATTEMPTS:
        attempt.refusal = Refusal.NOT_PROCESSED
    attempt.save()
    return None if attempt.refusal else photo


@transaction.atomic
def keep_template(
    photo: EnrolmentPhoto, embedding: NDArray[np.float32], version: ModelVersion
) -> bool:
    """Write a photo's template; False if the photo is gone, done, or the version is kept no more.

    Args:
        embedding: unit vector (D,), float32, not rotated.
    """
    Employee.objects.select_for_update(no_key=True).filter(pk=photo.employee_id).first()
    there = EnrolmentPhoto.objects.filter(pk=photo.pk, status=PhotoStatus.ACCEPTED).exists()
    done = Template.objects.filter(photo=photo.pk, model_version=version).exists()
    if done or not there or version not in model_versions.kept():
        return False
    enrolment.add_template(photo, embedding, version)
    EmbeddingAttempt.objects.filter(photo=photo.pk, model_version=version).delete()
    return True


def give_up(photo: EnrolmentPhoto, version: ModelVersion, refusal: Refusal) -> None:
    """Say why a photo gets no template under this version; its other templates stay."""
    EmbeddingAttempt.objects.filter(photo=photo.pk, model_version=version).update(refusal=refusal)


def progress(version: ModelVersion) -> Progress:
    """How many photos have their template, and how many never will."""
    accepted = EnrolmentPhoto.objects.filter(status=PhotoStatus.ACCEPTED)
    made = Template.objects.filter(model_version=version)
    failed = EmbeddingAttempt.objects.filter(~Q(refusal=""), model_version=version)
    return Progress(
        photos=accepted.count(),
        done=made.count(),
        failed=failed.count(),
        a_minute=made.filter(created_at__gte=timezone.now() - RATE_OVER).count(),
    )


def left_out(version: ModelVersion, visible: QuerySet[Employee] | None = None) -> list[LeftOut]:
    """Active people with consent whom this version does not and will not know, by name.

    Those whose photos still wait are not among them. To be enrolled with a new photo.
    """
    own = {"employee": OuterRef("pk")}
    consents = Consent.objects.filter(withdrawn_at__isnull=True, **own)
    templates = Template.objects.filter(**own)
    waiting = due(version).filter(**own)
    pending = EnrolmentPhoto.objects.filter(status=PhotoStatus.PENDING, **own)
    people = (
        (Employee.objects.all() if visible is None else visible)
        .filter(
            Exists(consents),
            ~Exists(templates.filter(model_version=version)),
            ~Exists(waiting),
            ~Exists(pending),
            is_active=True,
        )
        .annotate(known_now=Exists(templates.filter(model_version__is_active=True)))
        .select_related("site")
        .order_by("name", "number")
    )
    found = list(people)
    reasons = _reasons(version, [person.pk for person in found])
    return [
        LeftOut(person, bool(person.known_now), reasons.get(person.pk, ("There is no photo.",)))
        for person in found
    ]


def _reasons(version: ModelVersion, people: Sequence[int]) -> dict[int, tuple[str, ...]]:
    failed = EmbeddingAttempt.objects.filter(
        ~Q(refusal=""), model_version=version, photo__employee__in=people
    )
    found: dict[int, tuple[str, ...]] = {}
    for person, refusal in failed.values_list("photo__employee", "refusal").order_by("pk"):
        words = str(Refusal(refusal).label)
        if words not in found.get(person, ()):
            found[person] = (*found.get(person, ()), words)
    return found


def try_again(version: ModelVersion) -> int:
    """Forget which photos were given up under this version; how many they were."""
    forgotten, _ = EmbeddingAttempt.objects.filter(model_version=version).delete()
    return forgotten


def sweep(limit: int) -> int:
    """Delete some templates of models that a change has ended for; how many they were.

    In pieces, each committed by itself: whoever walks in meanwhile is locked only for a moment.
    """
    ended = ModelChange.objects.exclude(is_open=True)
    over = {
        *ended.filter(stage=ModelChange.Stage.FINISHED).values_list("old", flat=True),
        *ended.filter(stage=ModelChange.Stage.CANCELLED).values_list("new", flat=True),
    } - {version.pk for version in model_versions.kept()}
    rows = Template.objects.filter(model_version__in=over).order_by("employee", "pk")
    swept = list(rows.values_list("pk", flat=True)[:limit]) if over else []
    if swept:
        Template.objects.filter(pk__in=swept).delete()
    return len(swept)
