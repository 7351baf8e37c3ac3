"""A kiosk's side of the protocol for tests, step by step, so that each step can go wrong."""

# mypy: allow-untyped-calls

from __future__ import annotations

import base64
import io
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from asgiref.testing import ApplicationCommunicator
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from PIL import Image

from accesscontrol import kiosks
from accesscontrol.asgi import application
from accesscontrol.models import Kiosk
from kiosk import protocol
from kiosk.protocol import FrameMessage, Message

PATIENCE_S = 10.0


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_der(key: Any) -> str:
    """The public key as a device hands it in."""
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


@dataclass(frozen=True)
class Device:
    """A device that holds the private key of a paired kiosk."""

    kiosk: Kiosk
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def signature(self, nonce: bytes, kiosk_id: UUID | None = None) -> bytes:
        message = kiosks.proof_message(kiosk_id or self.kiosk.pk, nonce)
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)


def picture(kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    """A small valid image."""
    file = io.BytesIO()
    Image.new("RGB", size, (40, 90, 120)).save(file, kind)
    return file.getvalue()


class Stream:
    """One WebSocket connection to the application."""

    def __init__(self, kiosk_id: UUID, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        scope = {
            "type": "websocket",
            "path": f"{protocol.STREAM_PATH}{kiosk_id}",
            "headers": headers or [],
            "client": ("192.0.2.7", 40000),
        }
        self.socket = ApplicationCommunicator(application, scope)
        self._sequence = itertools.count(1)

    async def connect(self) -> bool:
        await self.socket.send_input({"type": "websocket.connect"})
        event = await self.socket.receive_output(timeout=PATIENCE_S)
        return bool(event["type"] == "websocket.accept")

    async def challenge(self) -> bytes:
        assert await self.connect()
        return protocol.parse_nonce(await self.message())

    async def open(self, device: Device) -> Message:
        """The whole handshake; returns what the server said at its end."""
        nonce = await self.challenge()
        await self.say(protocol.proof(device.signature(nonce)))
        return await self.message()

    async def say(self, message: Message) -> None:
        await self.text(json.dumps(message))

    async def text(self, text: str) -> None:
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def binary(self, data: bytes) -> None:
        await self.socket.send_input({"type": "websocket.receive", "bytes": data})

    async def frame(self, image: bytes | None = None, sequence: int | None = None) -> int:
        """Send a frame; returns its sequence number."""
        number = next(self._sequence) if sequence is None else sequence
        captured_ms = time.time_ns() // 1_000_000
        image = picture() if image is None else image
        await self.binary(protocol.pack_frame(FrameMessage(number, captured_ms, image)))
        return number

    async def message(self) -> Message:
        """The next message; fails if the server closes instead."""
        event = await self.socket.receive_output(timeout=PATIENCE_S)
        assert event["type"] == "websocket.send", event
        message: Message = json.loads(event["text"])
        return message

    async def error(self) -> str:
        """The code of the next message, which is an error."""
        message = await self.message()
        assert message["type"] == "error", message
        assert message["message"]
        return str(message["code"])

    async def close_code(self) -> int:
        """The code with which the server closes now."""
        event = await self.socket.receive_output(timeout=PATIENCE_S)
        assert event["type"] == "websocket.close", event
        await self.leave()
        return int(event["code"])

    async def silent(self, seconds: float) -> bool:
        """Whether the server says nothing for this time."""
        return bool(await self.socket.receive_nothing(timeout=seconds))

    async def still_works(self) -> bool:
        """Whether the server answers a ping, and says nothing before."""
        await self.say({"type": "ping"})
        return bool((await self.message())["type"] == "pong")

    async def leave(self) -> None:
        if self.socket.future.cancelled():  # by a wait for a message that did not come
            return
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.socket.wait(timeout=PATIENCE_S)
