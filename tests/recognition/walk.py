"""Walking past a kiosk: real frames into the real slot, and what the kiosk's screen is told."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Coroutine, Sequence
from io import BytesIO
from typing import Any

from channels.layers import get_channel_layer
from PIL import Image

from accesscontrol import notify
from accesscontrol.frames import Frame, FrameInlet, now_ms
from accesscontrol.models import Employee, Kiosk, Template
from recognition.pipeline import Pipeline
from recognition.worker import Recogniser
from tests.enrolled import template
from tests.factories import KioskFactory

Message = dict[str, Any]


def picture(*portraits: Any, width: int = 640, height: int = 480) -> bytes:
    """A kiosk's frame as JPEG: the portraits (RGB arrays) side by side on a grey wall."""
    canvas = Image.new("RGB", (width, height), (120, 120, 120))
    share = width // max(len(portraits), 1)
    for place, pixels in enumerate(portraits):
        portrait = Image.fromarray(pixels)
        portrait.thumbnail((share, height))
        canvas.paste(portrait, (place * share, 0))
    buffer = BytesIO()
    canvas.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


class Screen:
    """A kiosk with its connection: puts frames into the slot and hears what comes back."""

    def __init__(self, kiosk: Kiosk) -> None:
        self.kiosk = kiosk
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._sequence = 0
        self._layer = get_channel_layer()
        self._inlet = self._run(self._connect())
        self._channel = self._run(self._layer.new_channel())
        self._run(self._layer.group_add(notify.kiosk_group(kiosk.pk), self._channel))

    async def _connect(self) -> FrameInlet:
        return FrameInlet.connect()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def show(self, image: bytes, *, received_ms: int | None = None) -> Frame:
        """Send one frame, as if received at this time instead of now."""
        self._sequence += 1
        received = received_ms or now_ms()
        frame = Frame(self.kiosk.pk, self._sequence, received - 20, received, image)
        self._run(self._inlet.put(frame))
        return frame

    def rest(self) -> None:
        """Say that nobody is there any more."""
        self._run(self._inlet.rest(self.kiosk.pk))

    def heard(self) -> list[Message]:
        """Everything sent to the kiosk since the last call."""
        end = uuid.uuid4().hex
        notify.send_to_kiosk(self.kiosk.pk, {"type": "end", "end": end})
        messages: list[Message] = []
        while True:
            event = self._run(self._layer.receive(self._channel))
            message = event.get("message", {"type": event["type"]})
            if message.get("end") == end:
                return messages
            messages.append(message)

    def decisions(self) -> list[Message]:
        return [message for message in self.heard() if message["type"] == "decision"]

    def close(self) -> None:
        self._run(self._layer.group_discard(notify.kiosk_group(self.kiosk.pk), self._channel))
        self._run(self._inlet.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def kiosk_at(site: Any, **fields: Any) -> Kiosk:
    kiosk: Kiosk = KioskFactory.create(site=site, paired=True, **fields)
    return kiosk


def enrol_face(employee: Employee, pixels: Any, pipeline: Pipeline) -> Template:
    """Give an employee a template of the face in a picture."""
    face = pipeline.analyse_pixels([pixels])[0].faces[0]
    assert face.embedding is not None
    return template(employee, face.embedding)


def walk_up(screen: Screen, recogniser: Recogniser, images: Sequence[bytes]) -> None:
    """Show the images one after the other; the worker looks at each."""
    for image in images:
        screen.show(image)
        recogniser.drain()
