"""Keeps the frames of a batch from harming each other: in what they cost, and where one fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from accesscontrol.frames import Frame
from accesscontrol.image_header import ImageError, probe
from recognition.images import FRAME_LIMITS

logger = logging.getLogger(__name__)

MOST_PIXELS = 12_000_000
"""Of frames recognised at once: 39 of 640x480 or three of the largest. More would not be faster
for each, only take more memory, and a kiosk that sends large frames would keep the others."""

T = TypeVar("T")


def portions(frames: Sequence[Frame]) -> list[list[Frame]]:
    """The frames in their order, in batches of at most MOST_PIXELS, or of one."""
    batches: list[list[Frame]] = []
    room = 0
    for frame in frames:
        pixels = _pixels(frame)
        if not batches or pixels > room:
            batches.append([])
            room = MOST_PIXELS
        batches[-1].append(frame)
        room -= pixels
    return batches


def _pixels(frame: Frame) -> int:
    try:
        header = probe(
            frame.image, max_bytes=FRAME_LIMITS.max_bytes, max_pixels=FRAME_LIMITS.max_pixels
        )
    except ImageError:
        return 0  # is refused before it costs anything
    return header.width * header.height


def apart(
    items: Sequence[T],
    work: Callable[[Sequence[T]], None],
    give_up: Callable[[T], None],
    *,
    passed_on: tuple[type[Exception], ...],
) -> None:
    """Work on all items at once; if that fails, on each half of them, and so on.

    So whatever one item breaks costs the others a repetition, and nothing else.

    Args:
        items: at least one.
        work: must do no harm when it is repeated for items it has worked on.
        give_up: told of an item for which it fails even alone.
        passed_on: errors that are about none of the items, such as a lost database.
    """
    try:
        work(items)
    except passed_on:
        raise
    except Exception as error:
        if len(items) == 1:
            logger.exception("one of the frames or kiosks could not be worked on")
            give_up(items[0])
            return
        logger.warning("a batch of %d failed, in halves now: %r", len(items), error)
        for half in (items[: len(items) // 2], items[len(items) // 2 :]):
            apart(half, work, give_up, passed_on=passed_on)
