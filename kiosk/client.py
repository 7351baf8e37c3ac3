"""The Python kiosk client: plays sources into a kiosk's stream and reports the decisions.

The same protocol as the browser's page: newest frame only, at most two on their way, and after a
lost connection it goes on by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

from kiosk import protocol, sources
from kiosk.flight import Flight
from kiosk.identity import Identity
from kiosk.protocol import FrameMessage, Message
from kiosk.sources import Pace, Picture, SourceError

HANDSHAKE_S = 15.0
RESTED_WITHIN_S = 10.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.25, 30.0
LONGEST_BACKOFF_ONCE_S = 2.0
SOURCE_RETRY_S = 5.0

# What a retry does not mend.
FINAL = frozenset({"NOT_AUTHENTICATED", "REVOKED", "CONNECTED_ELSEWHERE"})


class ClientError(Exception):
    """The client cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Playing:
    """What to play, and how."""

    sources: list[str]
    once: bool = False
    """Play each source once and end, instead of all over again for ever."""
    fps: float = 10.0
    """Frames a second at most; of a folder's images, exactly."""
    hold_s: float = 2.0
    patience_s: float = 20.0
    """With `once`: how long to try to reach the server."""


@dataclass(slots=True)
class _Link:
    """An authenticated connection and the limits that the server named."""

    socket: ClientConnection
    max_bytes: int
    max_pixels: int


@dataclass
class KioskClient:
    """One run. `report` gets each decision, `complain` each line that a person should read."""

    url: str
    identity: Identity
    playing: Playing
    report: Callable[[Message], None]
    complain: Callable[[str], None]
    flight: Flight = field(default_factory=Flight)

    def __post_init__(self) -> None:
        self._link: _Link | None = None
        self._newest: tuple[Picture, int] | None = None
        self._changed = asyncio.Event()
        self._rested = asyncio.Event()
        self._refused: str | None = None
        self._source_ended = False
        self._finished = False
        self._asked: tuple[object, ...] = ()

    async def run(self) -> None:
        """Play everything. Returns only with `once`. Raises ClientError."""
        connection = asyncio.create_task(self._stay_connected())
        playing = asyncio.create_task(self._play_all())
        try:
            await asyncio.wait({connection, playing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (playing, connection):
                if task.done():
                    task.result()
            self._finished = True
            if self._link:
                await self._link.socket.close()
        finally:
            for task in (playing, connection):
                task.cancel()
            await asyncio.gather(playing, connection, return_exceptions=True)

    # Connection

    async def _stay_connected(self) -> None:
        backoff, lost_at = FIRST_BACKOFF_S, time.monotonic()
        longest = LONGEST_BACKOFF_ONCE_S if self.playing.once else LONGEST_BACKOFF_S
        while True:
            was_ready, problem = await self._connect_once()
            if self._finished:
                return
            if was_ready:
                backoff, lost_at = FIRST_BACKOFF_S, time.monotonic()
            self.complain(problem)
            self._check_whether_to_go_on(problem, lost_at)
            await asyncio.sleep(backoff * random.uniform(0.75, 1.25))  # noqa: S311  # no secret
            backoff = min(longest, backoff * 2)

    def _check_whether_to_go_on(self, problem: str, lost_at: float) -> None:
        if self._refused == "CONNECTED_ELSEWHERE":
            raise ClientError("Another client uses this identity. Each device needs its own.")
        if not self.playing.once:
            return
        if self._refused in FINAL:
            raise ClientError(problem)
        if time.monotonic() - lost_at > self.playing.patience_s:
            raise ClientError(f"Given up after {self.playing.patience_s:.0f} s. {problem}")

    async def _connect_once(self) -> tuple[bool, str]:
        """Stay connected as long as possible; returns whether it came to that, and why it ended."""
        self._refused, problem, ready = None, "", False
        try:
            async with connect(
                stream_url(self.url, self.identity),
                proxy=None,
                compression=None,
                open_timeout=HANDSHAKE_S,
                close_timeout=1,
                max_size=2**20,
            ) as socket:
                self._link = await self._shake_hands(socket)
                ready = True
                self._changed.set()
                async for message in socket:
                    self._take(json.loads(message))
        except InvalidURI:
            raise ClientError(f"{self.url} is no server address.") from None
        except _Refused as refusal:
            self._refused, problem = refusal.code, str(refusal)
        except ConnectionClosed as closed:
            problem = str(closed)
        except (OSError, TimeoutError, WebSocketException, ValueError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}"
        finally:
            self._link = None
            self.flight.clear()
            self._changed.set()
        if self._refused:
            return ready, problem
        return ready, f"No connection to {self.url} ({problem or 'closed'}). Trying again."

    async def _shake_hands(self, socket: ClientConnection) -> _Link:
        async with asyncio.timeout(HANDSHAKE_S):
            nonce = protocol.parse_nonce(self._unless_refused(json.loads(await socket.recv())))
            await socket.send(json.dumps(protocol.proof(self.identity.prove(nonce))))
            ready = self._unless_refused(json.loads(await socket.recv()))
        return _Link(socket, int(ready["max_bytes"]), int(ready["max_pixels"]))

    def _unless_refused(self, message: Message) -> Message:
        if message["type"] == "error":
            raise _Refused(message)
        return message

    def _take(self, message: Message) -> None:
        kind, sequence = message["type"], message.get("seq")
        if kind in {"faces", "frame_error", "error"} and isinstance(sequence, int):
            self.flight.answered(sequence)
            self._changed.set()
        if kind == "decision":
            self.report(self._decision(message))
        elif kind == "prompt":
            self._tell_once(message)
        elif kind == "rested":
            self._rested.set()
        elif kind == "error" and message["code"] in FINAL:
            raise _Refused(message)
        elif kind in {"error", "frame_error"}:
            self.complain(f"{message['code']}: {message['message']}")

    def _tell_once(self, prompt: Message) -> None:
        """What is asked of the person comes with every frame; a line is enough for each."""
        asked = tuple(prompt.get(key) for key in ("presentation", "movement", "step", "steps"))
        if asked != self._asked:
            self._asked = asked
            self.complain("The person is asked: {1}, step {2} of {3}".format(*asked))

    def _decision(self, message: Message) -> Message:
        captured_ms, source = self.flight.sent(message["seq"])
        keys = ("outcome", "employee", "direction", "at", "reason", "presentation", "repeat")
        return {
            **{key: message.get(key) for key in keys},
            "source": source,
            "frame_to_result_ms": None if captured_ms is None else _now_ms() - captured_ms,
        }

    # Playing

    async def _play_all(self) -> None:
        while True:
            readable = 0
            for source in self.playing.sources:
                await self._connected()
                try:
                    await self._play(source)
                    readable += 1
                except SourceError as error:
                    self.complain(str(error))
                    continue
                await self._rest()
            if self.playing.once:
                if not readable:
                    raise ClientError("None of the sources could be read.")
                return
            if not readable:
                await asyncio.sleep(SOURCE_RETRY_S)

    async def _connected(self) -> _Link:
        while self._link is None:
            await self._change()
        return self._link

    async def _change(self, timeout_s: float | None = None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _play(self, source: str) -> None:
        """Show the source's pictures to the server as they come. Raises SourceError."""
        self._source_ended = False
        stop = threading.Event()
        pace = Pace(self.playing.fps, self.playing.hold_s, stop)
        ended = self._read_in_thread(source, pace)
        next_at = 0.0
        try:
            while not (self._source_ended and (self._newest is None or self._link is None)):
                wait_s = self._wait_before_sending(next_at)
                if wait_s is None or wait_s > 0:
                    await self._change(wait_s)
                    continue
                next_at = max(next_at + 1 / self.playing.fps, time.monotonic())
                await self._send_newest(source)
            await ended
        finally:
            stop.set()
            self._newest = None

    def _wait_before_sending(self, next_at: float) -> float | None:
        """Seconds until a frame may be sent; None: until something changes."""
        if self._link is None or self._newest is None:
            return None
        now = time.monotonic()
        return max(next_at - now, self.flight.room_in(now))

    async def _send_newest(self, source: str) -> None:
        link, newest = self._link, self._newest
        if link is None or newest is None:
            return
        (picture, captured_ms), self._newest = newest, None
        image = await asyncio.to_thread(
            sources.encode, picture, max_bytes=link.max_bytes, max_pixels=link.max_pixels
        )
        sequence = self.flight.depart(captured_ms, source, time.monotonic())
        try:
            message = FrameMessage(sequence, captured_ms, image)
            await link.socket.send(protocol.pack_frame(message))
        except ConnectionClosed:
            return  # the receiving side sees it, too, and connects again

    def _read_in_thread(self, source: str, pace: Pace) -> asyncio.Future[None]:
        """Read the source beside the event loop: reading blocks, and a camera must not wait."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def show(picture: Picture, captured_ms: int) -> None:
            self._newest = (picture, captured_ms)
            self._changed.set()

        def end(error: SourceError | None) -> None:
            self._source_ended = True
            self._changed.set()
            if ended.cancelled():
                return
            if error:
                ended.set_exception(error)
            else:
                ended.set_result(None)

        def read() -> None:
            error = None
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                try:
                    for picture in sources.pictures(source, pace):
                        loop.call_soon_threadsafe(show, picture, _now_ms())
                except SourceError as problem:
                    error = problem
                loop.call_soon_threadsafe(end, error)

        threading.Thread(target=read, name=f"source {source}", daemon=True).start()
        return ended

    async def _rest(self) -> None:
        """Say that nobody is there any more and wait until the server has worked that off."""
        deadline = time.monotonic() + RESTED_WITHIN_S
        while not self.flight.empty(time.monotonic()):
            await self._change(0.2)
        self._rested.clear()
        while not self._rested.is_set():
            try:
                async with asyncio.timeout_at(_loop_time(deadline)):
                    await self._ask_to_rest(await self._connected())
            except TimeoutError:
                self.complain(f"The server has not finished within {RESTED_WITHIN_S:.0f} s.")
                return

    async def _ask_to_rest(self, link: _Link) -> None:
        try:
            await link.socket.send(json.dumps({"type": "rest"}))
        except ConnectionClosed:
            await self._change(0.2)
            return
        rested = asyncio.create_task(self._rested.wait())
        lost = asyncio.create_task(link.socket.wait_closed())
        try:
            await asyncio.wait({rested, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            rested.cancel()
            lost.cancel()


class _Refused(Exception):  # noqa: N818  # not an error of ours
    """The server said no and closes."""

    def __init__(self, message: Message) -> None:
        self.code = str(message.get("code"))
        super().__init__(f"{self.code}: {message.get('message')}")


def stream_url(url: str, identity: Identity) -> str:
    """The address of the kiosk's stream. Raises ClientError for an address that is none."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise ClientError(f"{url} is no server address. Write it like https://gatehouse.example")
    path = f"{parts.path.rstrip('/')}{protocol.STREAM_PATH}{identity.kiosk}"
    return f"{scheme}://{parts.netloc}{path}"


def run(client: KioskClient) -> None:
    """Play until the end. Raises ClientError, KeyboardInterrupt."""
    asyncio.run(client.run())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _loop_time(deadline: float) -> float:
    loop_now: Any = asyncio.get_running_loop().time()
    return float(loop_now + deadline - time.monotonic())
