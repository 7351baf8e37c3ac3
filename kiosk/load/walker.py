"""One simulated kiosk: people walk past it, its frames go out, what is decided comes back."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from accesscontrol.frames import now_ms
from kiosk import protocol
from kiosk.client import stream_url
from kiosk.flight import Flight
from kiosk.identity import Identity
from kiosk.protocol import FrameMessage, Message

WALK_S = 2.5
REST_S = 2.5
"""Nobody there between two walk-ups: longer than it takes to be gone."""
MOVES_S = 2.0
"""The kiosk page sends for so long after the last movement."""
LINGER_S = 4.0
"""For the last decisions, after the last frame."""
STRANGER_EACH = 3


@dataclass(frozen=True, slots=True)
class Show:
    """What can be seen before the kiosks, as JPEG files.

    enrolled, strangers: by name, the frames of a walk-past of WALK_S.
    """

    enrolled: dict[str, list[bytes]]
    strangers: dict[str, list[bytes]]
    room: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """What a kiosk does.

    rate: frames a second.
    polite: sends as the kiosk page does: nothing while nobody is there, at most two frames
        without an answer. Otherwise it always sends, whatever comes back.
    visited: whether anybody walks past at all.
    """

    rate: float
    seconds: float
    polite: bool
    visited: bool = True


@dataclass(slots=True)
class WalkUp:
    """One person's walk-up; times are milliseconds since 1970 UTC."""

    person: str
    enrolled: bool
    began_ms: int
    first_seq: int
    last_seq: int = 0


@dataclass(slots=True)
class Log:
    """What happened at one kiosk. Sequence numbers begin at 1: frame n was sent at sent_ms[n - 1].

    held_back: frames that were due and not sent, since the server did not take or answer others.
    decisions: `{"seq", "outcome", "employee", "at_ms"}`.
    answers: sequence number and time of each frame that was looked at.
    """

    kiosk: str
    sent_ms: list[int] = field(default_factory=list)
    held_back: int = 0
    walk_ups: list[WalkUp] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


class Walker:
    """Connects, plays its part from `start` on, and keeps the log."""

    def __init__(self, identity: Identity, part: Part, show: Show, seed: int) -> None:
        self.log = Log(str(identity.kiosk))
        self._identity, self._part, self._show = identity, part, show
        self._random = random.Random(seed)  # noqa: S311  no secret
        self._flight = Flight()
        self._present: WalkUp | None = None
        self._frames: Sequence[bytes] = ()
        self._entered_at = self._next_at = 0.0
        self._left_at = -MOVES_S
        self._resting = True

    async def run(self, url: str, ready: asyncio.Semaphore, start: asyncio.Event) -> None:
        """Play once `start` is set; `ready` is released when the kiosk is connected."""
        async with connect(
            stream_url(url, self._identity), proxy=None, compression=None, max_size=2**20
        ) as socket:
            await self._shake_hands(socket)
            ready.release()
            await start.wait()
            listening = asyncio.create_task(self._listen(socket))
            try:
                await self._play(socket)
                await asyncio.sleep(LINGER_S)
            except ConnectionClosed as closed:
                self.log.problems.append(str(closed))
            listening.cancel()

    async def _shake_hands(self, socket: ClientConnection) -> None:
        nonce = protocol.parse_nonce(json.loads(await socket.recv()))
        await socket.send(json.dumps(protocol.proof(self._identity.prove(nonce))))
        answer = json.loads(await socket.recv())
        if answer["type"] != "ready":
            raise ConnectionError(f"{self._identity.name} was not let in: {answer}")

    async def _play(self, socket: ClientConnection) -> None:
        begun = time.monotonic()
        until = begun + self._part.seconds
        # Kiosks do not keep step: neither their cameras nor those who walk past.
        self._next_at = begun + self._random.uniform(0, WALK_S + REST_S)
        due = begun + self._random.uniform(0, 1 / self._part.rate)
        while due < until:
            await asyncio.sleep(due - time.monotonic())
            now = time.monotonic()
            if self._present is None and self._next_at <= now < until - WALK_S:
                self._enter(now)
            elif self._present is not None and now >= self._entered_at + WALK_S:
                self._leave(now)
            await self._show_next(socket, now)
            missed = int((time.monotonic() - due) * self._part.rate)
            self.log.held_back += missed
            due += (1 + missed) / self._part.rate
        self._leave(time.monotonic())
        if self._part.polite:
            await self._rest(socket)

    def _enter(self, now: float) -> None:
        if not self._part.visited:
            return
        strange = self._random.randrange(STRANGER_EACH) == 0
        people = self._show.strangers if strange else self._show.enrolled
        name = self._random.choice(sorted(people))
        self._frames, self._entered_at = people[name], now
        self._present = WalkUp(name, not strange, now_ms(), self._flight.last_sequence + 1)

    def _leave(self, now: float) -> None:
        present, self._present = self._present, None
        if present is None:
            return
        self._left_at = now
        self._next_at = now + REST_S * self._random.uniform(0.9, 1.1)
        present.last_seq = self._flight.last_sequence
        self.log.walk_ups.append(present)

    async def _show_next(self, socket: ClientConnection, now: float) -> None:
        """Send what is to be seen at this moment of the walk-up, or between two."""
        if self._present is not None:
            progress = (now - self._entered_at) / WALK_S
            image = self._frames[min(len(self._frames) - 1, int(progress * len(self._frames)))]
        elif self._part.polite and now - self._left_at > MOVES_S:
            await self._rest(socket)
            return
        else:
            image = self._show.room
        if self._part.polite and self._flight.room_in(now) > 0:
            self.log.held_back += 1
            return
        captured_ms = now_ms()
        sequence = self._flight.depart(captured_ms, "", now)
        self.log.sent_ms.append(captured_ms)
        self._resting = False
        await socket.send(protocol.pack_frame(FrameMessage(sequence, captured_ms, image)))

    async def _rest(self, socket: ClientConnection) -> None:
        if not self._resting:
            self._resting = True
            await socket.send(json.dumps({"type": "rest"}))

    async def _listen(self, socket: ClientConnection) -> None:
        async for raw in socket:
            self._take(json.loads(raw), now_ms())

    def _take(self, message: Message, at_ms: int) -> None:
        kind = message["type"]
        if kind == "faces":
            self._flight.answered(message["seq"])
            self.log.answers.append((message["seq"], at_ms))
        elif kind == "decision":
            told = {key: message[key] for key in ("seq", "outcome", "employee")}
            self.log.decisions.append({**told, "at_ms": at_ms})
        elif kind != "rested":
            self.log.problems.append(f"{message.get('code')}: {message.get('message')}")
