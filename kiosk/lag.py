"""Tells a frame that was long on its way, without trusting the kiosk's clock."""

from __future__ import annotations

from dataclasses import dataclass

from accesscontrol.frames import FRAME_LIFETIME_MS

CLOCK_MOVED_MS = 5_000
"""Frames that are late for so long are not: the kiosk's clock was set."""


@dataclass(slots=True)
class Lag:
    """Of one connection: how much later than usual its frames arrive.

    The clocks of kiosk and server may differ by any amount, but not by another one for each
    frame: the least difference between receipt and capture so far is that of a frame that arrived
    at once. What lies in buffers while a network or a server is stuck comes later than that.
    Times are milliseconds, `captured_ms` by the kiosk's clock.
    """

    least_ms: int | None = None
    captured_ms: int = -1
    late_since_ms: int | None = None

    def is_late(self, captured_ms: int, received_ms: int) -> bool:
        """Whether the frame was on its way for longer than a frame may live."""
        apart = received_ms - captured_ms
        set_back = captured_ms <= self.captured_ms  # or it stands still: then it says nothing
        self.captured_ms = captured_ms
        if self.least_ms is None or apart < self.least_ms or set_back:
            self.least_ms = apart
        if apart - self.least_ms <= FRAME_LIFETIME_MS:
            self.late_since_ms = None
            return False
        if self.late_since_ms is None:
            self.late_since_ms = received_ms
        if received_ms - self.late_since_ms < CLOCK_MOVED_MS:
            return True
        self.least_ms, self.late_since_ms = apart, None
        return False
