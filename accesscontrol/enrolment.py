"""Enrolment: consent, photos, and the templates made from them.

A photo is sealed as it arrives and waits in the database; a worker accepts or refuses it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath

import numpy as np
from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from numpy.typing import NDArray
from pgvector import HalfVector

from accesscontrol import audit, crypto, keyring, look_alikes, notify, quality, visits
from accesscontrol.candidates import forget_candidate
from accesscontrol.image_header import ImageError, probe
from accesscontrol.models import (
    Consent,
    Employee,
    EnrolmentPhoto,
    ModelVersion,
    PhotoStatus,
    Refusal,
    Template,
    User,
)

logger = logging.getLogger(__name__)

# Who writes templates locks the employee before anything else, as the gallery's triggers do.
# Employees are locked with no_key=True: a full lock would also stop whoever only refers to the row,
# and a deferred foreign key is checked at the commit, when its transaction holds the audit log.
CONSENT_TEXT_MAX = 100
MAX_PHOTOS = 10
MAX_ATTEMPTS = 3
CLAIM_LASTS = timedelta(seconds=30)
"""After which a photo that a worker claimed and did not finish is another one's to try."""


class EnrolmentError(Exception):
    """The request cannot be carried out; the message tells HR what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a worker made of a photo: the upright JPEG to keep, and its embedding."""

    jpeg: bytes
    embedding: NDArray[np.float32]
    """Unit vector (D,), float32, not rotated."""
    quality: dict[str, object]
    """Measures by name, ready for JSON; "shortfall" names what it lacks most, if anything."""


@transaction.atomic
def give_consent(employee: Employee, *, text_version: str, by: User | None) -> Consent:
    """Record an employee's consent; the live one is returned if there is one already."""
    Employee.objects.select_for_update(no_key=True).get(pk=employee.pk)
    live = Consent.objects.filter(employee=employee, withdrawn_at__isnull=True).first()
    if live:
        return live
    if not text_version.strip():
        raise EnrolmentError("Say which consent text was agreed to, for example “2026-01 signed”.")
    if len(text_version) > CONSENT_TEXT_MAX:
        raise EnrolmentError(f"Name the consent text in at most {CONSENT_TEXT_MAX} characters.")
    consent = Consent.objects.create(
        employee=employee,
        given_at=timezone.now(),
        text_version=text_version.strip(),
        recorded_by=by,
    )
    audit.record(
        audit.actor_of(by),
        "give_consent",
        f"employee:{employee.pk}",
        {"consent": consent.pk, "text_version": consent.text_version},
    )
    return consent


@transaction.atomic
def withdraw_consent(employee: Employee, *, by: User | None) -> int:
    """End the live consent and delete every photo and template; returns how many photos went.

    From the commit on the person is in no gallery, and decisions other than those that accepted
    them do not say any more that they were near. Waiting photos go too, and visits of unknown
    people that were probably theirs.
    """
    Employee.objects.select_for_update(no_key=True).get(pk=employee.pk)
    consent = Consent.objects.filter(employee=employee, withdrawn_at__isnull=True).first()
    if consent is None:
        raise EnrolmentError(f"{employee} has no live consent to withdraw.")
    visits.forget_withdrawn(employee)
    Template.objects.filter(employee=employee).delete()
    photos = EnrolmentPhoto.objects.filter(employee=employee)
    count = photos.count()
    photos.delete()
    Consent.objects.filter(pk=consent.pk).update(withdrawn_at=timezone.now())
    forget_candidate(employee)
    audit.record(
        audit.actor_of(by),
        "withdraw_consent",
        f"employee:{employee.pk}",
        {"consent": consent.pk, "photos_deleted": count},
    )
    return count


def upload_photo(
    employee: Employee, *, file_name: str, data: bytes, by: User | None
) -> EnrolmentPhoto:
    """Take a photo in and wake a worker; returns at once, with the photo waiting.

    The same bytes again return the photo that is there already. Raises EnrolmentError when the
    file is no image, too large, without consent, one too many, or the backlog is full.
    """
    try:
        probe(data, max_bytes=settings.PHOTO_MAX_BYTES, max_pixels=settings.PHOTO_MAX_PIXELS)
    except ImageError as error:
        raise EnrolmentError(f"{file_name}: {error}") from None
    with transaction.atomic():
        photo = _store_photo(employee, file_name, data, by)
    transaction.on_commit(notify.wake_enrolment)
    return photo


def _store_photo(
    employee: Employee, file_name: str, data: bytes, by: User | None
) -> EnrolmentPhoto:
    Employee.objects.select_for_update(no_key=True).get(pk=employee.pk)
    consent = Consent.objects.filter(employee=employee, withdrawn_at__isnull=True).first()
    if consent is None:
        raise EnrolmentError(f"{employee} has not consented. Record the consent first.")
    keys = keyring.load(settings.KEYRING_PATH).photos
    digest = crypto.keyed_digest(keys.key(keys.current), data)
    kept = EnrolmentPhoto.objects.filter(employee=employee).exclude(status=PhotoStatus.REFUSED)
    same = kept.filter(digest=digest).first()
    if same:
        return same
    if kept.count() >= MAX_PHOTOS:
        raise EnrolmentError(f"{employee} has {MAX_PHOTOS} photos already. Delete one first.")
    if waiting_photos() >= settings.PHOTO_BACKLOG_MAX:
        raise EnrolmentError(
            "Too many photos are waiting to be processed. Try again in a few minutes; if the "
            "number does not fall, no worker is running."
        )
    photo = EnrolmentPhoto(
        employee=employee,
        consent=consent,
        file_name=PurePath(file_name.replace("\\", "/")).name[:200],
        key_id=keys.current,
        digest=digest,
        uploaded_by=by,
    )
    photo.sealed = crypto.seal(keys.key(keys.current), data, _purpose(photo))
    photo.save(force_insert=True)
    audit.record(
        audit.actor_of(by), "upload_photo", f"employee:{employee.pk}", {"photo": str(photo.pk)}
    )
    return photo


def waiting_photos() -> int:
    """How many photos wait for a worker: the enrolment backlog."""
    return EnrolmentPhoto.objects.filter(status=PhotoStatus.PENDING).count()


def claim_photo() -> EnrolmentPhoto | None:
    """Return the longest-waiting photo and count an attempt at it; None if none waits.

    The count is committed before the work, so that a photo that kills its worker is given up
    after MAX_ATTEMPTS instead of killing the next one for ever.
    """
    lapsed = timezone.now() - CLAIM_LASTS
    with transaction.atomic():
        photo = (
            EnrolmentPhoto.objects.select_for_update(skip_locked=True)
            .filter(models.Q(claimed_at__isnull=True) | models.Q(claimed_at__lt=lapsed))
            .filter(status=PhotoStatus.PENDING)
            .order_by("attempts", "uploaded_at")
            .first()
        )
        if photo is None:
            return None
        photo.attempts += 1
        photo.claimed_at = timezone.now()
        photo.save(update_fields=["attempts", "claimed_at"])
    if photo.attempts > MAX_ATTEMPTS:
        refuse_photo(photo, Refusal.NOT_PROCESSED)
        return claim_photo()
    return photo


def open_photo(photo: EnrolmentPhoto) -> bytes:
    """Return the photo's plain bytes. Raises SealError if they were changed or swapped."""
    if photo.sealed is None:
        raise EnrolmentError("The bytes of a refused photo are not kept.")
    keys = keyring.load(settings.KEYRING_PATH).photos
    return crypto.unseal(keys.key(photo.key_id), bytes(photo.sealed), _purpose(photo))


@transaction.atomic
def accept_photo(photo: EnrolmentPhoto, enrolled: Enrolled, version: ModelVersion) -> bool:
    """Keep the re-encoded photo and its template; False if the photo is gone or already done."""
    Employee.objects.select_for_update(no_key=True).filter(pk=photo.employee_id).first()
    locked = _lock_waiting(photo)
    if locked is None:
        return False
    keys = keyring.load(settings.KEYRING_PATH).photos
    locked.sealed = crypto.seal(keys.key(keys.current), enrolled.jpeg, _purpose(locked))
    locked.key_id = keys.current
    locked.status, locked.quality = PhotoStatus.ACCEPTED, enrolled.quality
    locked.processed_at = timezone.now()
    locked.save()
    visits.forget_enrolled(add_template(locked, enrolled.embedding, version))
    look_alikes.keep_found(locked.employee)
    audit.record(
        "worker", "accept_photo", f"employee:{locked.employee_id}", {"photo": str(locked.pk)}
    )
    return True


def add_template(
    photo: EnrolmentPhoto, embedding: NDArray[np.float32], version: ModelVersion
) -> Template:
    """Write the template of an accepted photo, in the transaction that locked its employee.

    Args:
        embedding: unit vector (D,), float32, not rotated.
    """
    keys = keyring.load(settings.KEYRING_PATH).templates
    return Template.objects.create(
        employee_id=photo.employee_id,
        photo=photo,
        consent_id=photo.consent_id,
        model_version=version,
        dimension=embedding.shape[0],
        rotation_id=keys.current,
        embedding=HalfVector(crypto.rotate(embedding, keys.key(keys.current))),
    )


@transaction.atomic
def refuse_photo(photo: EnrolmentPhoto, refusal: Refusal) -> bool:
    """Drop the photo's bytes and keep the reason; False if the photo is gone or already done."""
    locked = _lock_waiting(photo)
    if locked is None:
        return False
    locked.status, locked.refusal = PhotoStatus.REFUSED, refusal
    locked.sealed, locked.processed_at = None, timezone.now()
    locked.save()
    audit.record(
        "worker",
        "refuse_photo",
        f"employee:{locked.employee_id}",
        {"photo": str(locked.pk), "reason": refusal.value},
    )
    return True


def advice_on(photo: EnrolmentPhoto) -> str:
    """Why the photo was refused, or what would make an accepted one better; empty if nothing."""
    if photo.refusal:
        return str(Refusal(photo.refusal).label)
    shortfall = quality.known(photo.quality.get("shortfall"))
    return str(quality.REFUSED[shortfall].label) if shortfall else ""


@transaction.atomic
def delete_photo(photo: EnrolmentPhoto, *, by: User | None) -> None:
    """Delete one photo and its templates."""
    photo_id, employee_id = photo.pk, photo.employee_id
    Employee.objects.select_for_update(no_key=True).filter(pk=employee_id).first()
    EnrolmentPhoto.objects.filter(pk=photo_id).delete()
    audit.record(
        audit.actor_of(by), "delete_photo", f"employee:{employee_id}", {"photo": str(photo_id)}
    )


def _lock_waiting(photo: EnrolmentPhoto) -> EnrolmentPhoto | None:
    return (
        EnrolmentPhoto.objects.select_for_update()
        .filter(pk=photo.pk, status=PhotoStatus.PENDING)
        .first()
    )


def _purpose(photo: EnrolmentPhoto) -> str:
    return f"photo:{photo.pk}"
