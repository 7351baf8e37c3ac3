"""A kiosk's slot: the place of its newest frame between the stream and a worker.

One slot for each kiosk, the newest frame wins, and after two seconds it is gone: nothing piles
up, whatever the load. All of it lies in Redis/Valkey, sealed, and may vanish at any time.

Keys: `slot:KIOSK` the sealed frame; `slots:waiting` kiosks with a frame, by arrival;
`slots:resting` kiosks that said that nobody is in front of them; `slots:wake` there while a
wake-up message is under way; `slots:busy:KIOSK` which worker has the kiosk; `slots:count:KIOSK`
counters; `slots:worker` there while a worker lives. `tracks:KIOSK` sealed state of its
presentations; `tracks:open` kiosks that have some.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings

from accesscontrol import crypto, keyring
from accesscontrol.challenges import LastShown
from accesscontrol.lanes import Lanes

FRAME_LIFETIME_MS = 2_000
WAKE_LIFETIME_MS = 1_000
BUSY_LIFETIME_MS = 5_000
TRACKS_LIFETIME_MS = 15_000
WORKER_LIFETIME_MS = 5_000
"""Beat wakes a worker every second: after five of silence there is none."""
COUNTER_LIFETIME_S = 7 * 24 * 3600

WAITING, RESTING, WAKE, OPEN = "slots:waiting", "slots:resting", "slots:wake", "tracks:open"
WORKER = "slots:worker"
# One step, so that it cannot end the hold of a worker that came after an expired one.
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"
_HEAD = struct.Struct(">IQQ")  # sequence number, capture time, receipt time


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of one kiosk. Times are milliseconds since 1970 UTC."""

    kiosk_id: UUID
    sequence: int
    captured_ms: int
    """By the kiosk's clock."""
    received_ms: int
    """By the server's clock."""
    image: bytes
    """JPEG, PNG or WebP, its header checked."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@cache
def _frames_key() -> bytes:
    return keyring.load(settings.KEYRING_PATH).frames


def seal_frame(frame: Frame) -> bytes:
    """Seal a frame for its slot: a dump of Redis shows no picture, and nobody else puts one in."""
    head = _HEAD.pack(frame.sequence, frame.captured_ms, frame.received_ms)
    return crypto.seal(_frames_key(), head + frame.image, f"frame:{frame.kiosk_id}")


def unseal_frame(kiosk_id: UUID, sealed: bytes) -> Frame:
    """Raises SealError for anything that `seal_frame` did not make for this kiosk."""
    plain = crypto.unseal(_frames_key(), sealed, f"frame:{kiosk_id}")
    sequence, captured_ms, received_ms = _HEAD.unpack_from(plain)
    return Frame(kiosk_id, sequence, captured_ms, received_ms, plain[_HEAD.size :])


class FrameInlet:
    """The stream's side of the slots: asynchronous, one for each connection."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client

    @classmethod
    def connect(cls) -> FrameInlet:
        return cls(redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=2))

    async def close(self) -> None:
        await self._redis.aclose()

    async def put(self, frame: Frame) -> bool:
        """Put a frame into its kiosk's slot; True if a worker must be woken for it.

        A frame that still lay there is replaced and counted. Raises redis.RedisError.
        """
        kiosk = str(frame.kiosk_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.exists(f"slot:{kiosk}")
            pipe.set(f"slot:{kiosk}", seal_frame(frame), px=FRAME_LIFETIME_MS)
            pipe.zadd(WAITING, {kiosk: frame.received_ms}, nx=True)
            pipe.srem(RESTING, kiosk)
            pipe.set(WAKE, 1, nx=True, px=WAKE_LIFETIME_MS)
            pipe.hincrby(f"slots:count:{kiosk}", "received", 1)
            pipe.expire(f"slots:count:{kiosk}", COUNTER_LIFETIME_S)
            replaced, *_, wake, _count, _expire = await pipe.execute()
        if replaced:
            await self._redis.hincrby(f"slots:count:{kiosk}", "replaced", 1)
        return bool(wake)

    async def rest(self, kiosk_id: UUID) -> bool:
        """Say that nobody stands before the kiosk any more; True if a worker must be woken."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.sadd(RESTING, str(kiosk_id))
            pipe.set(WAKE, 1, nx=True, px=WAKE_LIFETIME_MS)
            _, wake = await pipe.execute()
        return bool(wake)


class FrameOutlet:
    """A worker's side of the slots: synchronous. All methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # its stubs cannot tell bytes from str

    @classmethod
    def connect(cls) -> FrameOutlet:
        return cls(redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5))

    @property
    def lanes(self) -> Lanes:
        """What the kiosks tell each other of the people they see."""
        return Lanes(self._redis)

    @property
    def challenges(self) -> LastShown:
        """What the kiosks asked people last."""
        return LastShown(self._redis)

    def begin(self) -> None:
        """From here on a new frame sends a new wake-up message; also shows that a worker lives."""
        self._redis.delete(WAKE)
        self._redis.set(WORKER, 1, px=WORKER_LIFETIME_MS)

    def take(self, limit: int, worker: str) -> list[Frame]:
        """Take up to `limit` waiting frames, one for each kiosk, and hold those kiosks.

        A kiosk that another worker holds stays waiting. Frames that expired, cannot be unsealed
        or are too old are dropped and counted.
        """
        frames: list[Frame] = []
        for kiosk, _since in self._redis.zpopmin(WAITING, limit):
            frame = self._take_one(UUID(kiosk.decode()), worker)
            if frame is not None:
                frames.append(frame)
        return frames

    def _take_one(self, kiosk_id: UUID, worker: str) -> Frame | None:
        if not self.hold(kiosk_id, worker):
            self._redis.zadd(WAITING, {str(kiosk_id): now_ms()}, nx=True)
            return None
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.getdel(f"slot:{kiosk_id}")
            pipe.zrem(WAITING, str(kiosk_id))  # a frame that came since the kiosk was taken is this
            sealed, _ = pipe.execute()
        try:
            frame = unseal_frame(kiosk_id, sealed) if sealed else None
        except crypto.SealError:
            frame = None
        if frame is None or now_ms() - frame.received_ms > FRAME_LIFETIME_MS:
            self.count(kiosk_id, "expired")
            self.release(kiosk_id, worker)
            return None
        self.count(kiosk_id, "processed")
        return frame

    def hold(self, kiosk_id: UUID, worker: str) -> bool:
        """Try to become the only worker on this kiosk, for BUSY_LIFETIME_MS at the longest."""
        return bool(self._redis.set(f"slots:busy:{kiosk_id}", worker, nx=True, px=BUSY_LIFETIME_MS))

    def holds(self, kiosk_id: UUID, worker: str) -> bool:
        """Whether this worker still has the kiosk, or took too long and lost it."""
        return bool(self._redis.get(f"slots:busy:{kiosk_id}") == worker.encode())

    def release(self, kiosk_id: UUID, worker: str) -> None:
        """Let a kiosk go, unless another worker has it by now."""
        self._redis.eval(_RELEASE, 1, f"slots:busy:{kiosk_id}", worker)

    def take_resting(self, worker: str, limit: int = 100) -> list[UUID]:
        """Hold and return kiosks that said that nobody is there any more.

        Those that another worker holds, for a last frame, stay resting.
        """
        taken = []
        for member in self._redis.spop(RESTING, limit) or []:
            kiosk_id = UUID(member.decode())
            if self.hold(kiosk_id, worker):
                taken.append(kiosk_id)
            else:
                self.rest_on(kiosk_id)
        return taken

    def rest_on(self, kiosk_id: UUID) -> None:
        """Leave a kiosk's rest for later."""
        self._redis.sadd(RESTING, str(kiosk_id))

    def left_open(self, before_ms: int) -> list[UUID]:
        """Kiosks with open presentations whose last frame is older than `before_ms`."""
        return [UUID(k.decode()) for k in self._redis.zrangebyscore(OPEN, 0, before_ms)]

    def waiting(self) -> int:
        """How many kiosks have a frame waiting: never more than there are kiosks."""
        return int(self._redis.zcard(WAITING))

    def load_tracks(self, kiosk_id: UUID) -> bytes | None:
        """The state that `save_tracks` kept, or None if there is none or it was tampered with."""
        sealed = self._redis.get(f"tracks:{kiosk_id}")
        try:
            return crypto.unseal(_frames_key(), sealed, f"tracks:{kiosk_id}") if sealed else None
        except crypto.SealError:
            return None

    def save_tracks(self, kiosk_id: UUID, state: bytes | None, seen_ms: int) -> None:
        """Keep a kiosk's open presentations for the next frame; None: it has none."""
        if state is None:
            self._redis.delete(f"tracks:{kiosk_id}")
            self._redis.zrem(OPEN, str(kiosk_id))
            return
        sealed = crypto.seal(_frames_key(), state, f"tracks:{kiosk_id}")
        self._redis.set(f"tracks:{kiosk_id}", sealed, px=TRACKS_LIFETIME_MS)
        self._redis.zadd(OPEN, {str(kiosk_id): seen_ms})

    def count(self, kiosk_id: UUID, what: str) -> None:
        self._redis.hincrby(f"slots:count:{kiosk_id}", what, 1)

    def counts(self, kiosk_id: UUID) -> dict[str, int]:
        """Frames received, replaced by newer ones, expired and processed."""
        raw = self._redis.hgetall(f"slots:count:{kiosk_id}")
        return {key.decode(): int(value) for key, value in raw.items()}
