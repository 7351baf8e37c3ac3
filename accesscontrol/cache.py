"""JSON for the Redis cache, whose default serializer is pickle: whoever could write to Redis
could then run code in the web process."""

from __future__ import annotations

import json
from typing import Any


class JSONSerializer:
    """Serializer for django.core.cache.backends.redis.RedisCache.

    Integers stay bare so that Redis can increment them.
    """

    def dumps(self, obj: Any) -> bytes | int:
        if type(obj) is int:
            return obj
        return json.dumps(obj).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)
