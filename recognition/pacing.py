"""How many frames to recognise at once, and whose go first (standard library only, pure)."""

from __future__ import annotations

from collections.abc import Sequence

from recognition.tracking import Presentation

SOON_MS = 150.0
"""A batch is done within about this time: until then nobody in it is answered, and the newest
frame of everybody else grows older."""
MOST = 32
FIRST = 4
"""Frames at once, while nothing is known."""
MEMORY = 0.2
"""How much of what is known of a frame's time the next batch replaces."""

LEAD_MS = 1_000
BEGUN_FRAMES = 4
"""Faces of a presentation after which its next frames are not likely to decide it."""


class Pace:
    """How many frames fit into SOON_MS, by what the last ones took.

    A GPU takes hardly longer for many than for one, so its batches grow to MOST by themselves.
    Sizes are powers of two, which is what compiled networks compute in any case.
    """

    def __init__(self) -> None:
        self._frame_ms: float | None = None

    @property
    def frames(self) -> int:
        """1 to MOST."""
        if self._frame_ms is None:
            return FIRST
        fits = int(min(MOST, max(1.0, SOON_MS / max(self._frame_ms, 1e-3))))
        return 1 << (fits.bit_length() - 1)

    def worked(self, frames: int, elapsed_ms: float) -> None:
        """A batch of at least one frame took so long."""
        each = elapsed_ms / frames
        known = each if self._frame_ms is None else self._frame_ms
        self._frame_ms = known + MEMORY * (each - known)


def lead_ms(present: Sequence[Presentation]) -> int:
    """By how much the next frame of these presentations' kiosk goes before others'.

    Whom the next frames can decide goes first: a walk-up that was begun is worth finishing, and
    two frames of one person decide more than one frame each of two.
    """
    begun = any(not p.settled and p.frames < BEGUN_FRAMES for p in present)
    return LEAD_MS if begun else 0
