"""Sign-ins with PIN or badge on a kiosk's stream: the message, and its answer."""

from __future__ import annotations

import logging
from uuid import UUID

from channels.db import database_sync_to_async

from accesscontrol import pins, sign_in
from accesscontrol.keyring import KeyringError
from accesscontrol.sign_in import Attempt
from accesscontrol.throttling import Refused
from kiosk.protocol import Message, ProtocolError

logger = logging.getLogger(__name__)

LONGEST_NUMBER = 40
LONGEST_BADGE = 200
NOT_SET_UP = "PINs and badges are not set up on this server yet. Please ask IT."


def parse(message: Message) -> Attempt:
    """Read a "sign_in" message. Raises ProtocolError, whose text repeats nothing that was typed."""
    given = {key for key in message if key != "type"}
    badge, presentation = "badge" in given, "presentation" in given
    expected = {"attempt", "badge"} if badge else {"attempt", "pin"}
    expected |= {"presentation"} if presentation else set() if badge else {"number"}
    if given != expected:
        raise ProtocolError(
            "UNEXPECTED_TEXT",
            'A sign-in has "attempt" and either "number" and "pin", or "badge"; one that answers '
            'a request for a PIN has "presentation" instead of "number".',
        )
    return Attempt(
        id=_uuid(message, "attempt"),
        number=_text(message, "number", LONGEST_NUMBER) if "number" in given else "",
        pin="" if badge else _pin(message),
        badge=_text(message, "badge", LONGEST_BADGE) if badge else "",
        presentation=_uuid(message, "presentation") if presentation else None,
    )


async def answer(kiosk_id: UUID, attempt: Attempt) -> Message:
    """Sign in and say what came of it, after the commit. Raises KioskShutOutError, DatabaseError.

    On a thread of its own: comparing a PIN takes its time, and other kiosks must not wait for it.
    """
    done: Message = await database_sync_to_async(_sign_in, thread_sensitive=False)(
        kiosk_id, attempt
    )
    return done


def _sign_in(kiosk_id: UUID, attempt: Attempt) -> Message:
    try:
        return sign_in.kiosk_message(attempt, sign_in.sign_in(kiosk_id, attempt))
    except KeyringError as error:
        logger.error("nobody can sign in: %s", error)  # noqa: TRY400  the message says it all
        refused = sign_in.kiosk_message(attempt, Refused(locked=True))
        return {**refused, "outcome": "ERROR", "reason": NOT_SET_UP}


def _pin(message: Message) -> str:
    pin = _text(message, "pin", pins.LONGEST)
    if not (pin.isascii() and pin.isdigit()):
        raise ProtocolError("UNEXPECTED_TEXT", "A PIN has digits only.")
    return pin


def _text(message: Message, field: str, longest: int) -> str:
    value = message[field]
    text = value.strip() if isinstance(value, str) else ""
    if not 0 < len(text) <= longest or not text.isprintable():
        raise ProtocolError(
            "UNEXPECTED_TEXT", f'Expected 1 to {longest} printable characters as "{field}".'
        )
    return text


def _uuid(message: Message, field: str) -> UUID:
    value = message[field]
    try:
        return UUID(value if isinstance(value, str) else "")
    except ValueError:
        raise ProtocolError("UNEXPECTED_TEXT", f'Expected a UUID as "{field}".') from None
