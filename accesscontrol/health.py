"""Whether the web process lives, and whether it can do its work."""

from __future__ import annotations

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accesscontrol.frames import WORKER


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all."""
    return JsonResponse({"live": True})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 if faces can be recognised, else 503 with which part does not answer."""
    redis_answers, worker_lives = _redis_and_worker()
    parts = {"database": _database_answers(), "redis": redis_answers, "worker": worker_lives}
    return JsonResponse(parts, status=200 if all(parts.values()) else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _redis_and_worker() -> tuple[bool, bool]:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
            return True, bool(client.exists(WORKER))
    except redis.RedisError:
        return False, False
