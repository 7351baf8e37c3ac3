"""Which models the running workers have, as they say themselves every few seconds.

In Valkey, where it may be lost: a switch asks it so that no worker has to load a model while
people stand before its kiosks. Key: `workers:models`, a hash of JSON by worker.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings

KEY = "workers:models"
LIFETIME_MS = 15_000
"""A worker that was silent for so long is gone."""


@dataclass(frozen=True, slots=True)
class WorkerModels:
    """What one live worker has; models by the SHA-256 that they are registered with.

    installed: could be loaded. loaded: answers at once.
    """

    worker: str
    installed: frozenset[str]
    loaded: frozenset[str]


class WorkerReports:
    """The reports of all workers. All methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # its stubs cannot tell bytes from str

    def tell(self, worker: str, installed: Collection[str], loaded: Collection[str]) -> None:
        """Say what this worker has."""
        words = {"at": _now_ms(), "installed": sorted(installed), "loaded": sorted(loaded)}
        self._redis.hset(KEY, worker, json.dumps(words))
        self._redis.pexpire(KEY, 10 * LIFETIME_MS)

    def alive(self) -> list[WorkerModels]:
        """The workers that recognise now, with their models."""
        found: list[WorkerModels] = []
        for name, words in self._redis.hgetall(KEY).items():
            try:
                said = json.loads(words)
                fresh = _now_ms() - int(said["at"]) < LIFETIME_MS
                models = frozenset(said["installed"]), frozenset(said["loaded"])
            except (ValueError, KeyError, TypeError):
                continue
            if fresh:
                found.append(WorkerModels(name.decode(), *models))
            else:
                self._redis.hdel(KEY, name)
        return found


def alive() -> list[WorkerModels]:
    """The workers that recognise now, with their models. Raises redis.RedisError."""
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
        return WorkerReports(client).alive()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
