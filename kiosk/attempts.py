"""Counts failed proofs of a kiosk's key, in Redis: five, and it is refused for 30 seconds.

An attempt is counted before its signature is looked at and taken back by a success, so many
connections at once get no more guesses than one.
"""

from __future__ import annotations

from uuid import UUID

import redis.asyncio

ALLOWED = 5
REFUSED_S = 30
REMEMBERED_S = 300


class Attempts:
    """The failed proofs of one kiosk, known or not. All methods raise redis.RedisError."""

    def __init__(self, client: redis.asyncio.Redis, kiosk_id: UUID) -> None:
        self._redis = client
        self._key = f"kiosk:attempts:{kiosk_id}"

    async def exhausted(self) -> bool:
        """Whether the kiosk is refused now."""
        return int(await self._redis.get(self._key) or 0) >= ALLOWED

    async def begin(self) -> bool:
        """Count an attempt; False if there were too many already."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.incr(self._key)
            pipe.expire(self._key, REMEMBERED_S, nx=True)
            count, _ = await pipe.execute()
        return int(count) <= ALLOWED

    async def failed(self) -> None:
        """The attempt failed; with the last allowed one the refusal begins."""
        if int(await self._redis.get(self._key) or 0) >= ALLOWED:
            await self._redis.expire(self._key, REFUSED_S)

    async def succeeded(self) -> None:
        await self._redis.delete(self._key)
