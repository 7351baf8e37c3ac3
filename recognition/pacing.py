"""How to get along with more frames than can be looked at (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np

from recognition.placing import Likeness
from recognition.tracking import Moment, Presentation, Sighting

SOON_MS = 150.0
"""A batch is done within about this time: until then nobody in it is answered, and the newest
frame of everybody else grows older."""
MOST = 32
FEWEST = 4
"""Fewer at once take longer for each, which nobody gains from where more are waiting."""
MEMORY = 0.2
"""How much of what is known of a frame's time the next batch replaces."""

LEAD_MS = 10_000
"""More than any frame waits."""
BEGUN_FRAMES = 4
"""Faces of a presentation after which its next frames are not likely to decide it."""
MOST_LED = 6
"""Frames of one kiosk in a row that go before others', whatever it shows."""


class Pace:
    """How many frames fit into SOON_MS, by what the last ones took.

    A GPU takes hardly longer for many than for one, so its batches grow to MOST by themselves.
    Sizes are powers of two, which is what compiled networks compute in any case.
    """

    def __init__(self) -> None:
        self._frame_ms: float | None = None

    @property
    def frames(self) -> int:
        """FEWEST to MOST; FEWEST while nothing is known."""
        if self._frame_ms is None:
            return FEWEST
        fits = int(min(MOST, max(FEWEST, SOON_MS / max(self._frame_ms, 1e-3))))
        return 1 << (fits.bit_length() - 1)

    def worked(self, frames: int, elapsed_ms: float) -> None:
        """A batch of at least one frame took so long."""
        each = elapsed_ms / frames
        known = each if self._frame_ms is None else self._frame_ms
        self._frame_ms = known + MEMORY * (each - known)


class Leads:
    """Whose next frames go before others'.

    Whom the next frames can decide goes first: a walk-up that was begun is worth finishing, and
    two frames of one person decide more than one frame each of two. But no kiosk goes first for
    long, or one that shows ever new faces would keep the others waiting.
    """

    def __init__(self) -> None:
        self._led: dict[UUID, int] = {}

    def lead_ms(self, kiosk_id: UUID, present: Sequence[Presentation]) -> int:
        """By how much the kiosk's next frame goes before others', after a look at this one."""
        begun = any(not p.settled and p.frames < BEGUN_FRAMES for p in present)
        led = self._led.pop(kiosk_id, 0)
        if not begun or led >= MOST_LED:
            return 0
        self._led[kiosk_id] = led + 1
        return LEAD_MS


def still_there(
    present: Sequence[Presentation],
    sightings: Sequence[Sighting],
    looked_ms: int,
    moment: Moment,
    likeness: Likeness,
) -> list[Presentation]:
    """The presentations, with whom the frame shows again and nobody looked for as still there.

    Whoever is out of sight for a while is gone, and is somebody new when they come back. That a
    busy server did not look for a while must not break a walk-up in two.

    Args:
        looked_ms: when the frame before this one that was looked at was received; 0: not known.
    """
    if not sightings or not looked_ms:
        return list(present)
    return [
        replace(p, hidden_ms=moment.received_ms)
        if p.received_ms >= looked_ms
        and p.is_gone(moment.received_ms)
        and max(float(np.dot(s.embedding, p.probe)) for s in sightings) >= likeness.same
        else p
        for p in present
    ]
