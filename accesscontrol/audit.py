"""The audit log's one verb, and the check of its chain.

Each entry's SHA-256 covers its own content and the hash before it, so an entry that was edited,
removed from the middle or moved no longer fits (REQUIREMENTS A3). The database refuses UPDATE and
DELETE as well; the chain is for whoever can switch that off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from django.db import connection, transaction
from django.utils import timezone

from accesscontrol.models import AuditEntry, User

GENESIS = "0" * 64
_CHAIN_LOCK = 0x6A7E_0001  # of PostgreSQL's advisory locks; any constant of our own


def actor_of(user: User | None) -> str:
    """Name a login in the audit log; None is the command line or a worker on its own."""
    return f"user:{user.get_username()}" if user else "command"


@transaction.atomic
def record(
    actor: str, action: str, subject: str, detail: Mapping[str, object] | None = None
) -> AuditEntry:
    """Append one entry, in the caller's transaction: either both stay or neither.

    Takes a lock until the commit, so call it last. `detail` must be JSON and must not hold
    biometrics or secrets.
    """
    # Foreign keys that wait for the commit lock rows when they are checked. Checked only after the
    # chain's lock, they could wait for somebody who holds such a row and waits for the chain.
    connection.check_constraints()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHAIN_LOCK])
    last = AuditEntry.objects.order_by("-id").values_list("hash", flat=True).first()
    entry = AuditEntry(
        at=timezone.now(),
        actor=actor,
        action=action,
        subject=subject,
        detail=dict(detail or {}),
        previous_hash=last or GENESIS,
    )
    entry.hash = _hash(entry)
    entry.save(force_insert=True)
    return entry


def first_broken_entry() -> int | None:
    """Return the id of the first entry that does not fit the chain, or None if all do."""
    expected = GENESIS
    for entry in AuditEntry.objects.order_by("id").iterator(chunk_size=2000):
        if entry.previous_hash != expected or entry.hash != _hash(entry):
            return entry.pk
        expected = entry.hash
    return None


def _hash(entry: AuditEntry) -> str:
    content = [
        entry.previous_hash,
        _utc(entry.at),
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
