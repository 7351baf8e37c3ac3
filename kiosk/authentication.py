"""The database's part of a kiosk's handshake, callable from the event loop."""

from __future__ import annotations

import ipaddress
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async

from accesscontrol import kiosks
from accesscontrol.models import Kiosk
from kiosk import protocol
from kiosk.protocol import ProtocolError


async def proven_kiosk(kiosk_id: UUID, nonce: bytes, text: str | None) -> Kiosk | None:
    """Return the kiosk, with its site, if `text` proves its key; None whatever is wrong."""
    try:
        signature = protocol.parse_proof(protocol.parse_text(text))
    except ProtocolError:
        return None
    kiosk: Kiosk | None = await database_sync_to_async(_find_proven)(kiosk_id, nonce, signature)
    return kiosk


async def still_holds(kiosk_id: UUID, public_key: str) -> bool:
    """Whether the kiosk is not revoked and this is still its key."""
    kiosks_now = Kiosk.objects.filter(
        pk=kiosk_id, public_key=public_key, revoked_at__isnull=True
    ).exclude(public_key="")
    return bool(await database_sync_to_async(kiosks_now.exists)())


async def note_seen(kiosk_id: UUID, address: str | None) -> None:
    await database_sync_to_async(kiosks.note_seen)(kiosk_id, address)


def client_address(scope: dict[str, Any]) -> str | None:
    """The client's IP address, or None where the server has none (a Unix socket)."""
    host, _port = scope.get("client") or ("", 0)
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _find_proven(kiosk_id: UUID, nonce: bytes, signature: bytes) -> Kiosk | None:
    kiosk = Kiosk.objects.select_related("site").filter(pk=kiosk_id).first()
    return kiosk if kiosk and kiosks.proves_key(kiosk, nonce, signature) else None
