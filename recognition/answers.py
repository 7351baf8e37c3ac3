"""What a worker tells a kiosk, besides decisions; `kiosk.protocol` describes the messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accesscontrol.frames import Frame
from accesscontrol.models import Outcome
from recognition.tracking import Presentation
from recognition.types import FrameResult

Message = dict[str, Any]

BUSY: Message = {
    "type": "error",
    "code": "BUSY",
    "message": "The server cannot recognise anybody at the moment. It tries again by itself.",
}
RESTED: Message = {"type": "rested"}


def unrecognisable(frame: Frame) -> Message:
    """The frame, or what its kiosk's presentations have become, breaks something of ours."""
    return {
        "type": "frame_error",
        "seq": frame.sequence,
        "code": "INTERNAL",
        "message": "The server could not work on this picture. The error has been logged.",
    }


def faces(frame: Frame, result: FrameResult, present: Sequence[Presentation]) -> Message:
    """Where the faces of a frame are, or why it could not be decoded."""
    if result.error:
        return {
            "type": "frame_error",
            "seq": frame.sequence,
            "code": result.error_code,
            "message": result.error,
        }
    return {
        "type": "faces",
        "seq": frame.sequence,
        "width": result.width,
        "height": result.height,
        "faces": [
            {"box": [round(float(v), 1) for v in p.box], "state": _state(p)}
            for p in present
            if p.received_ms == frame.received_ms and p.settled != Outcome.AT_OTHER_KIOSK
        ],
    }


def _state(presentation: Presentation) -> str:
    if not presentation.settled:
        asked = presentation.challenge
        return "asked" if asked is not None and asked.is_open else "looking"
    return "accepted" if presentation.settled == Outcome.ACCEPTED else "refused"
