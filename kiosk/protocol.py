"""The kiosk protocol, version 1: what goes over the wire, the same for server and clients.

Pairing, once for each device
    `POST /kiosk/pair` with JSON `{"code": "ABCDE-FGHJK", "public_key": B64}`, where `public_key`
    is base64 of the SubjectPublicKeyInfo (DER) of an ECDSA P-256 key. 201 with
    `{"kiosk": UUID, "name", "site"}`, or 400, 429, 503 with `{"code", "message"}`; codes are
    BAD_REQUEST, REFUSED, THROTTLED, BUSY. The private key never leaves the device.

Stream
    WebSocket `/kiosk/stream/UUID`. All text messages are JSON objects with a `type`.

    server  `{"type": "challenge", "nonce": B64}`, 32 bytes, for this connection and one answer
    client  `{"type": "proof", "signature": B64}` within 10 s: ECDSA P-256 with SHA-256, r and s
            of 32 bytes each, over `b"gatehouse kiosk proof v1\\0" + kiosk uuid (16) + nonce (32)`
    server  `{"type": "ready", "site", "kiosk", "smallest_face", "max_bytes", "max_pixels",
            "frame_interval_ms"}`

    From here the client sends
    - a frame, one binary message: version 1 (1 byte), sequence number (uint32, big-endian; must
      grow within a connection, else the frame is ignored), capture time (uint64, big-endian,
      milliseconds since 1970 UTC by the client's clock), then a JPEG, PNG or WebP
    - `{"type": "rest"}`: nobody stands before the camera any more
    - `{"type": "ping"}`, answered by `{"type": "pong", "server_time_ms"}`
    - `{"type": "sign_in", "attempt": UUID, "number", "pin"}` or `{..., "attempt", "badge"}`:
      somebody signs in without a face. `attempt` is the client's own id, new for each attempt and
      the same when it is sent again. Answered by a decision with it as `presentation` and `seq`
      null; its outcome may be SIGN_IN_FAILED, or THROTTLED after too many of those. With
      `"presentation": UUID` instead of `number` it answers a decision that asked for a PIN

    and the server sends
    - `{"type": "faces", "seq", "width", "height", "faces": [{"box": [x1, y1, x2, y2],
      "state": "looking" | "asked" | "accepted" | "refused"}]}` for every frame that was looked
      at; boxes in pixels of the frame. Frames overtaken by a newer one get no answer of their own
    - `{"type": "prompt", "presentation", "seq", "movement": "LEFT" | "RIGHT" | "UP" | "AHEAD",
      "step", "steps"}`: what the person whose face is "asked" is to do now, left and right being
      their own; told again with every frame, so what was not told for two seconds no longer holds.
      It ends with that presentation's decision
    - `{"type": "decision", "presentation", "seq", "outcome", "employee", "direction", "at",
      "repeat", "reason"}`: `employee` a name or null, `direction` "IN", "OUT" or null, `at` ISO
      8601 with the site's offset or null, `repeat` true within the cool-down (direction and time
      are then those of the punch that is there already), `reason` null or what to do. One with
      `ask_pin_ms` waits so many milliseconds for the PIN or badge of who stands there
    - `{"type": "frame_error", "seq", "code", "message"}`: the frame could not be decoded, or
      (INTERNAL) broke something in the server, which then begins anew with the next one
    - `{"type": "rested"}`: the rest is worked off, every decision was sent
    - `{"type": "error", "code", "message"}`, with `seq` if it is about a frame: EMPTY, TOO_LARGE,
      UNKNOWN_TYPE, CORRUPT, TOO_MANY_PIXELS, BAD_FRAME, UNEXPECTED_TEXT (the connection stays,
      up to 20 in a row), BUSY (try later), and before a close NOT_AUTHENTICATED, THROTTLED,
      REVOKED, CONNECTED_ELSEWHERE, INTERNAL

    Close codes: see `Close`. Not more than 30 messages a second are taken; the rest is dropped. So
    is a frame that comes over two seconds later than the connection's quickest one, by its capture
    time: it lay in a buffer.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

Message = dict[str, Any]

VERSION = 1
NONCE_BYTES = 32
SIGNATURE_BYTES = 64
MAX_TEXT_BYTES = 1024
"""No text message that a client sends is longer."""

PAIR_PATH = "/kiosk/pair"
STREAM_PATH = "/kiosk/stream/"

_HEAD = struct.Struct(">BIQ")


class Close(IntEnum):
    """Codes with which the server closes a stream."""

    INTERNAL = 1011
    BUSY = 1013
    TOO_MANY_ERRORS = 4400
    NOT_AUTHENTICATED = 4401
    REVOKED = 4403
    CONNECTED_ELSEWHERE = 4409
    THROTTLED = 4429


class ProtocolError(Exception):
    """A message that breaks the protocol: `code` for programs, `message` for people."""

    def __init__(self, code: str, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.seq = code, message, seq


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """A frame as it came: nothing of the image is checked yet."""

    sequence: int
    captured_ms: int
    image: bytes


def pack_frame(frame: FrameMessage) -> bytes:
    """The binary message of a frame."""
    return _HEAD.pack(VERSION, frame.sequence, frame.captured_ms) + frame.image


def parse_frame(data: bytes) -> FrameMessage:
    """Split a binary message. Raises ProtocolError: EMPTY or BAD_FRAME."""
    if not data:
        raise ProtocolError("EMPTY", "The frame is empty (0 bytes).")
    if data[0] != VERSION:
        raise ProtocolError(
            "BAD_FRAME", f"The frame has version {data[0]}; this server speaks version {VERSION}."
        )
    if len(data) < _HEAD.size:
        raise ProtocolError(
            "BAD_FRAME", f"The frame has {len(data)} bytes; its head alone has {_HEAD.size}."
        )
    _version, sequence, captured_ms = _HEAD.unpack_from(data)
    return FrameMessage(sequence, captured_ms, data[_HEAD.size :])


def parse_text(text: str | None) -> Message:
    """Read a text message: a JSON object with a `type`. Raises ProtocolError UNEXPECTED_TEXT."""
    if text is None or len(text) > MAX_TEXT_BYTES:
        raise ProtocolError(
            "UNEXPECTED_TEXT", f"Expected a JSON text of at most {MAX_TEXT_BYTES} characters."
        )
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError("UNEXPECTED_TEXT", 'Expected a JSON object with a "type".')
    return message


def challenge(nonce: bytes) -> Message:
    return {"type": "challenge", "nonce": base64.b64encode(nonce).decode()}


def parse_nonce(message: Message) -> bytes:
    """The nonce of a challenge. Raises ProtocolError."""
    return _base64_field(message, "challenge", "nonce", NONCE_BYTES)


def proof(signature: bytes) -> Message:
    return {"type": "proof", "signature": base64.b64encode(signature).decode()}


def parse_proof(message: Message) -> bytes:
    """The signature of a proof. Raises ProtocolError."""
    return _base64_field(message, "proof", "signature", SIGNATURE_BYTES)


def error(code: str, message: str, seq: int | None = None) -> Message:
    answer: Message = {"type": "error", "code": code, "message": message}
    return answer if seq is None else {**answer, "seq": seq}


def _base64_field(message: Message, kind: str, field: str, size: int) -> bytes:
    value = message.get(field) if message["type"] == kind else None
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != size:
        raise ProtocolError(
            "UNEXPECTED_TEXT", f'Expected a {kind} with {size} bytes in base64 as "{field}".'
        )
    return raw
