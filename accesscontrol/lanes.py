"""Neighbouring lanes: which kiosk of a site a person stands before whom several see at once.

Kiosks tell each other through Redis/Valkey whom they see, how large. Losing it costs no more than
a greeting at both: a second punch is kept out by the cool-down, under the lock on the employee,
where `admission` asks once more.

Keys: `lanes:SITE:EMPLOYEE` by kiosk, how large the person is seen there and when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import redis

SAME_MOMENT = timedelta(seconds=1.5)
"""Seen at two kiosks within this time, a person stands before one and is in the other's picture."""
LARGER = 1.15
"""Times as large a face must be elsewhere to stand there: less is how a face's box wavers. Where
two kiosks see a person alike nobody can tell, and both greet; the cool-down keeps it one punch."""
SAME_MOMENT_MS = int(SAME_MOMENT.total_seconds() * 1000)


@dataclass(frozen=True, slots=True)
class Lane:
    """How a kiosk sees a person.

    share: width of their widest face as a share of its picture's, 0..1, so that cameras of
        different resolution compare.
    at_ms: when, milliseconds since 1970 UTC.
    """

    kiosk_id: UUID
    share: float
    at_ms: int

    def is_nearer_than(self, other: Lane) -> bool:
        """Whether the person rather stands here."""
        same_moment = abs(self.at_ms - other.at_ms) <= SAME_MOMENT_MS
        return same_moment and self.share > LARGER * other.share


class Lanes:
    """What the kiosks of all sites tell each other. Methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # its stubs cannot tell bytes from str

    def nearer(self, site_id: int, employee_id: int, mine: Lane) -> UUID | None:
        """Tell how this kiosk sees the person; the kiosk that sees them larger, if there is one."""
        key = f"lanes:{site_id}:{employee_id}"
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, str(mine.kiosk_id), f"{mine.share:.5f} {mine.at_ms}")
            pipe.pexpire(key, SAME_MOMENT_MS)
            pipe.hgetall(key)
            *_, told = pipe.execute()
        lanes = [_lane(kiosk.decode(), seen.decode()) for kiosk, seen in told.items()]
        others = (lane for lane in lanes if lane.kiosk_id != mine.kiosk_id)
        return next((other.kiosk_id for other in others if other.is_nearer_than(mine)), None)


def _lane(kiosk: str, seen: str) -> Lane:
    share, at_ms = seen.split()
    return Lane(UUID(kiosk), float(share), int(at_ms))
