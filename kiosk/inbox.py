"""What a client has sent and the stream has not looked at yet: of its frames the newest only."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from accesscontrol.frames import now_ms
from kiosk.session import MessageRate

Event = dict[str, Any]

MOST_WAITING = 8
"""Events that wait at once; further ones stay with whoever sends them."""
OVER_RATE_PAUSE_S = 1 / 120
"""Between two reads of a client that sends more than it may: reading costs, too, and what is not
read makes it wait."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages that nobody will look at."""

    overtaken: int
    """Frames for which a newer one came."""
    over_rate: int


class Inbox:
    """Reads a socket's events ahead of the consumer, which takes them one by one.

    A frame that waits while a newer one arrives right behind it is dropped, so that a consumer
    that is slow for a while goes on with the newest. Everything else keeps its place.
    """

    def __init__(self, receive: Callable[[], Awaitable[Event]]) -> None:
        self._receive = receive
        self._waiting: deque[tuple[Event, int]] = deque()
        self._arrived, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._rate = MessageRate()
        self._overtaken = self._over_rate = 0
        self.over_rate = 0
        """Messages over the rate since the connection was opened."""
        self.received_ms = 0
        """When the event that was taken last arrived: milliseconds since 1970 UTC."""

    async def read(self) -> None:
        """Read until the client is gone; to be run beside the consumer."""
        ended = False
        try:
            while not ended:
                await self._room.wait()
                event = await self._receive()
                ended = event["type"] == "websocket.disconnect"
                if event["type"] == "websocket.receive" and not self._rate.admits(time.monotonic()):
                    self._over_rate += 1
                    self.over_rate += 1
                    await asyncio.sleep(OVER_RATE_PAUSE_S)
                else:
                    self._keep(event)
        finally:
            if not ended:
                self._keep({"type": "websocket.disconnect", "code": 1006})

    async def receive(self) -> Event:
        """The next event, as ASGI's own `receive`."""
        await self._arrived.wait()
        event, self.received_ms = self._waiting.popleft()
        if not self._waiting:
            self._arrived.clear()
        self._room.set()
        return event

    def dropped(self) -> Dropped:
        """What was dropped since the last call."""
        dropped = Dropped(self._overtaken, self._over_rate)
        self._overtaken = self._over_rate = 0
        return dropped

    def _keep(self, event: Event) -> None:
        entry = (event, now_ms())
        if _is_frame(event) and self._waiting and _is_frame(self._waiting[-1][0]):
            self._waiting[-1] = entry
            self._overtaken += 1
        else:
            self._waiting.append(entry)
        self._arrived.set()
        if len(self._waiting) >= MOST_WAITING:
            self._room.clear()


def _is_frame(event: Event) -> bool:
    return event.get("bytes") is not None
