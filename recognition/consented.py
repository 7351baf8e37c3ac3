"""An installation's photos, for its fine-tune: of people with a live consent, in memory only."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from django.db import DatabaseError
from django.db.models import QuerySet

from accesscontrol import audit, crypto, enrolment
from accesscontrol.models import Consent, EnrolmentPhoto, PhotoStatus
from recognition.evaluate.datasets import DatasetError
from recognition.training.subjects import Photo

logger = logging.getLogger(__name__)


class ConsentedPhotos:
    """Accepted photos of active people who have not withdrawn, decrypted one by one.

    All of it raises DatasetError where the database does not answer: nothing is registered then.
    """

    def photos(self) -> Iterator[Photo]:
        """Each photo, still sealed; that they are read is written into the audit log first.

        A person is called by the number of the row, never by name.
        """
        with _database():
            rows = list(_usable().order_by("employee", "pk").values_list("employee", "pk"))
            detail = {"photos": len(rows), "people": len({employee for employee, _ in rows})}
            audit.record(audit.actor_of(None), "read_photos_to_finetune", "installation", detail)
        for employee, pk in rows:
            yield Photo(str(employee), str(pk), partial(_opened, pk))

    def withdrawn(self, people: Collection[str]) -> set[str]:
        """Who of these people has no live consent any more."""
        numbers = [int(person) for person in people]
        live = Consent.objects.filter(employee__in=numbers, withdrawn_at__isnull=True)
        with _database():
            return set(people) - {str(person) for person in live.values_list("employee", flat=True)}


@contextmanager
def _database() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise DatasetError(
            "The installation's database does not answer, or is not set up. Start it (manage.py "
            f"up) and try again. It said: {str(error).strip() or type(error).__name__}"
        ) from None


def _usable() -> QuerySet[EnrolmentPhoto]:
    return EnrolmentPhoto.objects.filter(
        status=PhotoStatus.ACCEPTED, consent__withdrawn_at__isnull=True, employee__is_active=True
    )


def _opened(pk: UUID) -> bytes:
    """The photo's bytes; none if its person has withdrawn meanwhile, or it cannot be unsealed."""
    with _database():
        photo = _usable().filter(pk=pk).first()
    if photo is None:
        return b""
    try:
        return enrolment.open_photo(photo)
    except crypto.SealError as error:
        logger.warning("photo %s is left out: %s", pk, error)
        return b""
