"""What leaves the database after a commit: wake-ups for workers, messages for kiosks.

Losing one never loses data: what it tells of is committed. So trouble with the broker is logged,
not raised.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any
from uuid import UUID

import redis
from channels.layers import get_channel_layer
from kombu.exceptions import OperationalError

from accesscontrol.celery import waker

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S = 2.0
Message = dict[str, Any]


def kiosk_group(kiosk_id: UUID) -> str:
    """The channel group that a kiosk's connection listens to."""
    return f"kiosk.{kiosk_id.hex}"


def send_to_kiosk(kiosk_id: UUID, message: Message) -> None:
    """Send a JSON message to the kiosk's open connection; nobody keeps it if there is none."""
    _send(kiosk_id, {"type": "kiosk.message", "message": message})


def close_kiosk(kiosk_id: UUID, reason: str) -> None:
    """End the kiosk's open connection: revoked, or paired with another key."""
    _send(kiosk_id, {"type": "kiosk.close", "reason": reason})


def wake_recognition() -> None:
    """Tell a worker that frames wait. The message dies with the frames it tells of."""
    _wake("recognition.drain_slots", expires=2.0)


def wake_enrolment() -> None:
    """Tell a worker that photos wait."""
    _wake("recognition.process_photos", expires=60.0)


def wake_embedding() -> None:
    """Tell a worker that photos wait to be embedded under a further model."""
    _wake("recognition.embed_anew", expires=60.0)


def wake_survey() -> None:
    """Tell a worker that a gallery is to be compared with itself."""
    _wake("recognition.survey_galleries", expires=60.0)


def wake_visitors() -> None:
    """Tell a worker that visits are to be grouped anew."""
    _wake("recognition.group_visitors", expires=60.0)


def _wake(task: str, expires: float) -> None:
    try:
        waker.send_task(task, expires=expires, retry=False)
    except (OperationalError, redis.RedisError, OSError) as error:
        logger.warning("could not wake a worker for %s: %s", task, type(error).__name__)


def _send(kiosk_id: UUID, event: Message) -> None:
    layer = get_channel_layer()
    future = asyncio.run_coroutine_threadsafe(
        _group_send(layer, kiosk_group(kiosk_id), event), _loop()
    )
    try:
        future.result(SEND_TIMEOUT_S)
    except (redis.RedisError, OSError, TimeoutError) as error:
        future.cancel()
        logger.warning("message to kiosk %s not sent: %s", kiosk_id, type(error).__name__)


def _group_send(layer: Any, group: str, event: Message) -> Coroutine[Any, Any, None]:
    coroutine: Coroutine[Any, Any, None] = layer.group_send(group, event)
    return coroutine


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """An event loop on a thread of its own, so that its Redis connection lives on between sends."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="notify", daemon=True).start()
    return loop
