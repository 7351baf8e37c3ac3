"""Signing in from the command line, as a kiosk would: one connection, one attempt, its answer."""

from __future__ import annotations

import asyncio
import json
import uuid

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from kiosk import protocol
from kiosk.client import HANDSHAKE_S, ClientError, stream_url
from kiosk.identity import Identity
from kiosk.protocol import Message

ANSWER_S = 15.0


def sign_in(url: str, identity: Identity, said: Message) -> Message:
    """Say `number` and `pin`, or `badge`; returns the decision. Raises ClientError."""
    try:
        return asyncio.run(_sign_in(url, identity, said))
    except (OSError, TimeoutError, WebSocketException, ValueError, KeyError) as error:
        raise ClientError(f"No answer from {url} ({type(error).__name__}: {error}).") from None


async def _sign_in(url: str, identity: Identity, said: Message) -> Message:
    attempt = str(uuid.uuid4())
    async with (
        asyncio.timeout(HANDSHAKE_S + ANSWER_S),
        connect(stream_url(url, identity), proxy=None, compression=None) as socket,
    ):
        nonce = protocol.parse_nonce(_unless_refused(json.loads(await socket.recv())))
        await socket.send(json.dumps(protocol.proof(identity.prove(nonce))))
        _unless_refused(json.loads(await socket.recv()))
        await socket.send(json.dumps({"type": "sign_in", "attempt": attempt, **said}))
        while True:
            message = _unless_refused(json.loads(await socket.recv()))
            if message.get("presentation") == attempt:
                return message


def _unless_refused(message: Message) -> Message:
    if message["type"] == "error":
        raise ClientError(f"{message['code']}: {message['message']}")
    return message
