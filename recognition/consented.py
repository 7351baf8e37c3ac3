"""An installation's photos, for its fine-tune: of people with a live consent, in memory only."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from functools import partial
from uuid import UUID

from django.db.models import QuerySet

from accesscontrol import audit, crypto, enrolment
from accesscontrol.models import Consent, EnrolmentPhoto, PhotoStatus
from recognition.training.subjects import Photo

logger = logging.getLogger(__name__)


class ConsentedPhotos:
    """Accepted photos of active people who have not withdrawn, decrypted one by one."""

    def photos(self) -> Iterator[Photo]:
        """Each photo, still sealed; that they are read is written into the audit log first.

        A person is called by the number of the row, never by name.
        """
        rows = list(_usable().order_by("employee", "pk").values_list("employee", "pk"))
        detail = {"photos": len(rows), "people": len({employee for employee, _ in rows})}
        audit.record(audit.actor_of(None), "read_photos_to_finetune", "installation", detail)
        for employee, pk in rows:
            yield Photo(str(employee), str(pk), partial(_opened, pk))

    def withdrawn(self, people: Collection[str]) -> set[str]:
        """Who of these people has no live consent any more."""
        numbers = [int(person) for person in people]
        live = Consent.objects.filter(employee__in=numbers, withdrawn_at__isnull=True)
        return set(people) - {str(employee) for employee in live.values_list("employee", flat=True)}


def _usable() -> QuerySet[EnrolmentPhoto]:
    return EnrolmentPhoto.objects.filter(
        status=PhotoStatus.ACCEPTED, consent__withdrawn_at__isnull=True, employee__is_active=True
    )


def _opened(pk: UUID) -> bytes:
    """The photo's bytes; none if its person has withdrawn meanwhile, or it cannot be unsealed."""
    photo = _usable().filter(pk=pk).first()
    if photo is None:
        return b""
    try:
        return enrolment.open_photo(photo)
    except crypto.SealError as error:
        logger.warning("photo %s is left out: %s", pk, error)
        return b""
