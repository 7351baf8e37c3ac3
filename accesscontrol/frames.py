"""A kiosk's slot: the place of its newest frame between the stream and a worker.

One slot for each kiosk, the newest frame wins, and after two seconds it is gone: nothing piles
up, whatever the load. All of it lies in Redis/Valkey, sealed, and may vanish at any time.

Keys: `slot:KIOSK` the sealed frame; `slots:waiting` kiosks with a frame, by arrival less their
lead; `slots:lead:KIOSK` by how much a kiosk's frames go before others'; `slots:resting` kiosks that
said that nobody is in front of them; `slots:wake` there while a wake-up message is under way;
`slots:busy:KIOSK` which worker has the kiosk; `slots:looked:KIOSK` when its last frame that was
looked at was received; `slots:count:KIOSK` counters; `slots:batches` how
many batches there were of each size; `slots:worker` there while a worker lives. `tracks:KIOSK`
sealed state of its presentations; `tracks:open` kiosks that have some.
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
from accesscontrol.worker_models import WorkerReports

FRAME_LIFETIME_MS = 2_000
WAKE_LIFETIME_MS = 1_000
BUSY_LIFETIME_MS = 5_000
TRACKS_LIFETIME_MS = 15_000
WORKER_LIFETIME_MS = 5_000
"""Beat wakes a worker every second: after five of silence there is none."""
LEAD_LIFETIME_MS = 2_000
COUNTER_LIFETIME_S = 7 * 24 * 3600

WAITING, RESTING, WAKE, OPEN = "slots:waiting", "slots:resting", "slots:wake", "tracks:open"
WORKER, BATCHES = "slots:worker", "slots:batches"
# One step, so that it cannot end the hold of a worker that came after an expired one.
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"
# One command for a frame instead of seven: most of what a frame costs the stream is their number.
_PUT = """
local kiosk, received = ARGV[1], 1 + ARGV[6]
local replaced = ARGV[6] + redis.call('exists', KEYS[1])
local lead = redis.call('get', KEYS[6]) or 0
redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
redis.call('zadd', KEYS[2], 'nx', ARGV[4] - lead, kiosk)
redis.call('srem', KEYS[3], kiosk)
redis.call('hincrby', KEYS[5], 'received', received)
if replaced > 0 then redis.call('hincrby', KEYS[5], 'replaced', replaced) end
if ARGV[7] ~= '0' then redis.call('hincrby', KEYS[5], 'over_rate', ARGV[7]) end
redis.call('expire', KEYS[5], ARGV[8])
return redis.call('set', KEYS[4], 1, 'nx', 'px', ARGV[5])
"""
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


def _lead(kiosk: str) -> str:
    return f"slots:lead:{kiosk}"


class FrameInlet:
    """The stream's side of the slots: asynchronous, one for each connection."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._put: Any = client.register_script(_PUT)

    @classmethod
    def connect(cls) -> FrameInlet:
        return cls(redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_timeout=2))

    async def close(self) -> None:
        await self._redis.aclose()

    async def put(self, frame: Frame, *, overtaken: int = 0, over_rate: int = 0) -> bool:
        """Put a frame into its kiosk's slot; True if a worker must be woken for it.

        A frame that still lay there is replaced and counted, as are frames that were overtaken on
        their way here and messages that were over the rate. Raises redis.RedisError.
        """
        kiosk = str(frame.kiosk_id)
        wake = await self._put(
            keys=[f"slot:{kiosk}", WAITING, RESTING, WAKE, f"slots:count:{kiosk}", _lead(kiosk)],
            args=[
                *(kiosk, seal_frame(frame), FRAME_LIFETIME_MS, frame.received_ms),
                *(WAKE_LIFETIME_MS, overtaken, over_rate, COUNTER_LIFETIME_S),
            ],
        )
        return bool(wake)

    async def turn_away(self, kiosk_id: UUID, *, overtaken: int = 0, over_rate: int = 0) -> None:
        """Count a frame that was too old when it came, and those dropped before it."""
        key = f"slots:count:{kiosk_id}"
        counts = {"received": 1 + overtaken, "expired": 1, "replaced": overtaken}
        async with self._redis.pipeline(transaction=False) as pipe:
            for name, count in (counts | {"over_rate": over_rate}).items():
                if count:
                    pipe.hincrby(key, name, count)
            pipe.expire(key, COUNTER_LIFETIME_S)
            await pipe.execute()

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
    def worker_reports(self) -> WorkerReports:
        """Where workers say which models they have."""
        return WorkerReports(self._redis)

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
        """Kiosks with open presentations whose last frame is older than `before_ms`.

        Not those whose next frame waits: it will tell who is still there.
        """
        left = self._redis.zrangebyscore(OPEN, 0, before_ms)
        waiting = self._redis.zmscore(WAITING, left) if left else []
        return [UUID(k.decode()) for k, since in zip(left, waiting, strict=True) if since is None]

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

    def save_tracks(
        self, kiosk_id: UUID, state: bytes | None, seen_ms: int, *, lead_ms: int = 0
    ) -> None:
        """Keep a kiosk's open presentations for the next frame; None: it has none.

        Its next frames are taken as if they had come `lead_ms` earlier.
        """
        kiosk = str(kiosk_id)
        with self._redis.pipeline(transaction=False) as pipe:
            if state is None:
                pipe.delete(f"tracks:{kiosk}", _lead(kiosk))
                pipe.zrem(OPEN, kiosk)
            else:
                sealed = crypto.seal(_frames_key(), state, f"tracks:{kiosk}")
                pipe.set(f"tracks:{kiosk}", sealed, px=TRACKS_LIFETIME_MS)
                pipe.zadd(OPEN, {kiosk: seen_ms})
                pipe.set(_lead(kiosk), lead_ms, px=LEAD_LIFETIME_MS)
            if lead_ms:  # its next frame may have come meanwhile
                pipe.zadd(WAITING, {kiosk: now_ms() - lead_ms}, xx=True, lt=True)
            pipe.execute()

    def note_look(self, kiosk_id: UUID, received_ms: int) -> None:
        """The kiosk's frame received at this time was looked at."""
        self._redis.set(f"slots:looked:{kiosk_id}", received_ms, px=TRACKS_LIFETIME_MS)

    def looked_ms(self, kiosk_id: UUID) -> int:
        """When the kiosk's last frame that was looked at was received; 0: not known."""
        return int(self._redis.get(f"slots:looked:{kiosk_id}") or 0)

    def count_batch(self, frames: int) -> None:
        self._redis.hincrby(BATCHES, str(frames), 1)

    def batches(self) -> dict[int, int]:
        """How many batches of each number of frames there were."""
        return {int(size): int(count) for size, count in self._redis.hgetall(BATCHES).items()}

    def count(self, kiosk_id: UUID, what: str) -> None:
        self._redis.hincrby(f"slots:count:{kiosk_id}", what, 1)

    def counts(self, kiosk_id: UUID) -> dict[str, int]:
        """Frames received, replaced, expired and processed, and messages over the rate."""
        raw = self._redis.hgetall(f"slots:count:{kiosk_id}")
        return {key.decode(): int(value) for key, value in raw.items()}
