"""The server's end of a kiosk's stream. The messages are described in `kiosk.protocol`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
from typing import Any
from uuid import UUID

import redis
import redis.asyncio
from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import DatabaseError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from accesscontrol import image_header, notify
from accesscontrol.decisions import KioskShutOutError
from accesscontrol.frames import Frame, FrameInlet, now_ms
from accesscontrol.sign_in import Attempt
from kiosk import authentication, protocol, sign_ins
from kiosk.attempts import Attempts
from kiosk.inbox import Inbox
from kiosk.origin import origin_allowed
from kiosk.protocol import Close, Message, ProtocolError
from kiosk.session import Session

logger = logging.getLogger(__name__)

PROOF_WITHIN_S = 10.0
REDIS_TIMEOUT_S = 2.0
FRAME_INTERVAL_MS = 100

BUSY = "The server cannot take pictures at the moment. It goes on by itself in a while."
THROTTLED = "Too many failed attempts to connect. Wait half a minute, then try again."
NOT_AUTHENTICATED = (
    "This device is not accepted as this kiosk: its pairing is missing, replaced or revoked. "
    "Pair it anew with a code from the admin."
)
REVOKED = "This kiosk was revoked or paired anew. Pair it with a new code from the admin."
ELSEWHERE = "This kiosk is connected from another window or device."

# A part of the server that is away for a while; everything else is a mistake of ours.
AWAY = (redis.RedisError, DatabaseError, TimeoutError)


class StreamConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One kiosk's connection: challenge, proof, then frames in and messages out."""

    session: Session | None = None
    accepted = closing = False
    nonce: bytes | None = None
    deadline: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.redis = _redis_client()
        self.inbox = Inbox(receive)
        reading = asyncio.create_task(self.inbox.read())
        try:
            await self.redis.ping()
            await super().__call__(scope, self.inbox.receive, send)
        except AWAY as error:
            logger.warning("a kiosk's connection is turned away: %s", type(error).__name__)
            self.base_send = send
            if not self.accepted:
                await self.accept()
            await self._refuse(Close.BUSY, BUSY)
        finally:
            reading.cancel()
            if self.deadline:
                self.deadline.cancel()
            await self.redis.aclose()

    async def dispatch(self, message: Message) -> None:
        """Handle one event of the socket or the channel layer; no exception leaves the stream."""
        try:
            await getattr(self, get_handler_name(message))(message)
        except StopConsumer:
            raise
        except AWAY as error:
            logger.warning("kiosk stream: %s", type(error).__name__)
            await self._answer_busy()
        except Exception:
            logger.exception("kiosk stream: unexpected error")
            await self._refuse(Close.INTERNAL, "An error in the server. It has been logged.")

    async def accept(self, subprotocol: Any = None, headers: Any = None) -> None:
        self.accepted = True
        await super().accept(subprotocol, headers)

    async def connect(self) -> None:
        if not origin_allowed(self.scope["headers"]):
            await self.close()
            return
        await self.accept()
        self.kiosk_id: UUID = self.scope["url_route"]["kwargs"]["kiosk_id"]
        self.attempts = Attempts(self.redis, self.kiosk_id)
        if await self.attempts.exhausted():
            await self._refuse(Close.THROTTLED, THROTTLED)
            return
        self.nonce = secrets.token_bytes(protocol.NONCE_BYTES)
        await self._tell(protocol.challenge(self.nonce))
        self.deadline = asyncio.create_task(self._expire())

    async def disconnect(self, code: int) -> None:
        if self.session is None:
            return
        logger.info(
            "kiosk %s disconnected (%s): %d frames, %d messages over the rate",
            *(self.kiosk_id, code, self.session.frames, self.inbox.over_rate),
        )
        try:
            await self.channel_layer.group_discard(
                notify.kiosk_group(self.kiosk_id), self.channel_name
            )
        except redis.RedisError:
            logger.debug("the group dies with Redis")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.closing:
            return
        if self.session is None:
            await self._prove(text_data)
            return
        try:
            if bytes_data is None:
                await self._take_text(text_data, self.session)
            else:
                await self._take_frame(bytes_data, self.session)
        except ProtocolError as error:
            await self._complain(error, self.session)

    # Handshake

    async def _prove(self, text: str | None) -> None:
        nonce, self.nonce = self.nonce, None
        if nonce is None:
            return
        if not await self.attempts.begin():
            await self._refuse(Close.THROTTLED, THROTTLED)
            return
        kiosk = await authentication.proven_kiosk(self.kiosk_id, nonce, text)
        if kiosk is None:
            await self.attempts.failed()
            await self._refuse(Close.NOT_AUTHENTICATED, NOT_AUTHENTICATED)
            return
        await self.attempts.succeeded()
        address = authentication.client_address(self.scope)
        session = Session(kiosk.public_key, address, seen_at=time.monotonic())
        await self._take_over(address)
        await authentication.note_seen(self.kiosk_id, address)
        self.session, self.inlet = session, FrameInlet(self.redis)
        if self.deadline:
            self.deadline.cancel()
        await self._tell(
            {
                "type": "ready",
                "site": kiosk.site.name,
                "kiosk": kiosk.name,
                "smallest_face": kiosk.smallest_face,
                "max_bytes": settings.FRAME_MAX_BYTES,
                "max_pixels": settings.FRAME_MAX_PIXELS,
                "frame_interval_ms": FRAME_INTERVAL_MS,
            }
        )

    async def _take_over(self, address: str | None) -> None:
        """Listen to the kiosk's messages, and close the connection that did until now."""
        group = notify.kiosk_group(self.kiosk_id)
        self.since = [time.time_ns(), self.channel_name]
        await self.channel_layer.group_add(group, self.channel_name)
        event = {"type": "kiosk.connected", "since": self.since, "address": address}
        await self.channel_layer.group_send(group, event)

    async def _expire(self) -> None:
        await asyncio.sleep(PROOF_WITHIN_S)
        if self.nonce is not None:
            self.nonce = None
            await self._refuse(Close.NOT_AUTHENTICATED, NOT_AUTHENTICATED)

    # Frames and texts

    async def _take_frame(self, data: bytes, session: Session) -> None:
        message = protocol.parse_frame(data)
        if not session.is_next(message.sequence):
            return
        limits = {"max_bytes": settings.FRAME_MAX_BYTES, "max_pixels": settings.FRAME_MAX_PIXELS}
        try:
            image_header.probe(message.image, **limits)
        except image_header.ImageError as error:
            raise ProtocolError(error.code, error.message, message.sequence) from None
        session.errors_in_a_row = 0
        if not await self._still_allowed(session):
            return
        session.frames += 1
        received_ms, dropped = self.inbox.received_ms, self.inbox.dropped()
        frame = Frame(
            self.kiosk_id, message.sequence, message.captured_ms, received_ms, message.image
        )
        lost = {"overtaken": dropped.overtaken, "over_rate": dropped.over_rate}
        if session.lag.is_late(message.captured_ms, received_ms):
            await self.inlet.turn_away(self.kiosk_id, **lost)
        elif await self.inlet.put(frame, **lost):
            await asyncio.to_thread(notify.wake_recognition)

    async def _take_text(self, text: str | None, session: Session) -> None:
        message = protocol.parse_text(text)
        kind = message["type"]
        if kind not in {"rest", "ping", "sign_in"}:
            raise ProtocolError("UNEXPECTED_TEXT", f'A "{kind[:20]}" is not expected here.')
        attempt = sign_ins.parse(message) if kind == "sign_in" else None
        if not await self._still_allowed(session):
            return
        if kind == "ping":
            await self._tell({"type": "pong", "server_time_ms": now_ms()})
        elif attempt:
            await self._sign_in(attempt)
        elif await self.inlet.rest(self.kiosk_id):
            await asyncio.to_thread(notify.wake_recognition)

    async def _sign_in(self, attempt: Attempt) -> None:
        try:
            await self._tell(await sign_ins.answer(self.kiosk_id, attempt))
        except KioskShutOutError:
            await self._refuse(Close.REVOKED, REVOKED)

    async def _still_allowed(self, session: Session) -> bool:
        """Look again, once a second: the message that tells of a revocation may be lost."""
        now = time.monotonic()
        if session.must_recheck(now):
            if not await authentication.still_holds(self.kiosk_id, session.public_key):
                await self._refuse(Close.REVOKED, REVOKED)
                return False
            session.checked_at = now
        if session.must_note_seen(now):
            await authentication.note_seen(self.kiosk_id, session.address)
        return True

    async def _complain(self, error: ProtocolError, session: Session) -> None:
        await self._tell(protocol.error(error.code, error.message, error.seq))
        if not session.may_err_again():
            await self._end(Close.TOO_MANY_ERRORS)

    # Events of the channel layer

    async def kiosk_message(self, event: Message) -> None:
        await self._tell(event["message"])

    async def kiosk_close(self, event: Message) -> None:
        await self._refuse(Close.REVOKED, REVOKED)

    async def kiosk_connected(self, event: Message) -> None:
        if event["since"] <= self.since or self.session is None:
            return
        if event["address"] != self.session.address:
            logger.warning(
                "kiosk %s connects from %s while it is connected from %s",
                *(self.kiosk_id, event["address"], self.session.address),
            )
        await self._refuse(Close.CONNECTED_ELSEWHERE, ELSEWHERE)

    # Answers

    async def _answer_busy(self) -> None:
        if self.session is None:
            await self._refuse(Close.BUSY, BUSY)
        else:
            await self._tell(protocol.error("BUSY", BUSY))

    async def _refuse(self, code: Close, message: str) -> None:
        await self._tell(protocol.error(code.name, message))
        await self._end(code)

    async def _tell(self, message: Message) -> None:
        if self.closing:
            return
        try:
            await self.send(text_data=json.dumps(message))
        except OSError:  # the client is gone; the event that says so is on its way
            self.closing = True

    async def _end(self, code: Close) -> None:
        if self.closing:
            return
        self.closing = True
        with contextlib.suppress(OSError):
            await self.close(code=int(code))


def _redis_client() -> redis.asyncio.Redis:
    """A client that says at once that Redis is away, instead of trying for seconds."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )
