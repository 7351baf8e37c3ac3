"""What the fuzzing program feeds, and which outcomes are right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from accesscontrol.image_header import ImageError, probe
from kiosk import protocol
from kiosk.protocol import ProtocolError
from kiosk.session import Session
from recognition.images import FRAME_LIMITS, decode
from tests.fuzz import mutations

IMAGE_CODES = frozenset({"EMPTY", "TOO_LARGE", "UNKNOWN_TYPE", "CORRUPT", "TOO_MANY_PIXELS"})
MESSAGE_CODES = IMAGE_CODES | {"BAD_FRAME", "UNEXPECTED_TEXT"}


@dataclass(frozen=True, slots=True)
class Target:
    """make: input number n of a run. feed: its outcome, or an exception, which is a defect."""

    make: Callable[[int, int], bytes]
    feed: Callable[[bytes], str]


def feed_decoder(data: bytes) -> str:
    """Decode: pixels within the limits, or a refusal with a code and a sentence."""
    try:
        image = decode(data)
    except ImageError as error:
        if error.code not in IMAGE_CODES or not error.message.endswith("."):
            raise AssertionError(f"refused with {error.code}: {error.message}") from error
        return "refused"
    height, width, channels = image.pixels.shape
    sound = channels == 3 and 0 < width * height <= FRAME_LIMITS.max_pixels
    sound = sound and image.pixels.flags["C_CONTIGUOUS"] and image.pixels.dtype == "uint8"
    if not sound or max(width, height) > FRAME_LIMITS.max_side:
        raise AssertionError(f"decoded to {image.pixels.shape}, {image.pixels.dtype}")
    return "accepted"


def feed_stream(data: bytes) -> str:
    """What a stream does with a message before and after the proof, binary and as text."""
    outcomes = {_outcome(_take_frame, data), _outcome(_take_text, data), _outcome(_prove, data)}
    return "accepted" if "accepted" in outcomes else "refused"


def _outcome(take: Callable[[bytes], None], data: bytes) -> str:
    try:
        take(data)
    except (ProtocolError, ImageError) as error:
        if error.code not in MESSAGE_CODES or not error.message.endswith("."):
            raise AssertionError(f"refused with {error.code}: {error.message}") from error
        seq = getattr(error, "seq", None)
        json.dumps(protocol.error(error.code, error.message, seq)).encode()  # as it is sent
        return "refused"
    return "accepted"


def _take_frame(data: bytes) -> None:
    frame = protocol.parse_frame(data)
    if protocol.pack_frame(frame) != data:
        raise AssertionError("a frame that was packed again is another message")
    session = Session("key", None, seen_at=0.0)
    if not session.is_next(frame.sequence) or session.is_next(frame.sequence):
        raise AssertionError("a frame was taken twice, or not at all")
    probe(frame.image, max_bytes=FRAME_LIMITS.max_bytes, max_pixels=FRAME_LIMITS.max_pixels)


def _take_text(data: bytes) -> None:
    kind = protocol.parse_text(data.decode("utf-8", "replace"))["type"]
    if len(kind) > protocol.MAX_TEXT_BYTES:
        raise AssertionError("a message longer than all that are expected was taken")


def _prove(data: bytes) -> None:
    message = protocol.parse_text(data.decode("latin-1"))
    if len(protocol.parse_proof(message)) != protocol.SIGNATURE_BYTES:
        raise AssertionError("a proof of another length was taken")


TARGETS = {
    "decoder": Target(mutations.image, feed_decoder),
    "stream": Target(mutations.message, feed_stream),
}
