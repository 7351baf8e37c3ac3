"""What the server remembers of one kiosk's open stream. Times are seconds of a steady clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from kiosk.lag import Lag

MESSAGES_PER_S = 30.0
ERRORS_IN_A_ROW = 20
RECHECK_S = 1.0
SEEN_S = 30.0


@dataclass(slots=True)
class MessageRate:
    """A bucket of 30 tokens that fills at 30 a second: what goes beyond is dropped."""

    tokens: float = MESSAGES_PER_S
    filled_at: float = 0.0

    def admits(self, now: float) -> bool:
        gained = (now - self.filled_at) * MESSAGES_PER_S
        self.tokens, self.filled_at = min(MESSAGES_PER_S, self.tokens + gained), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class Session:
    """An authenticated stream."""

    public_key: str
    """The key that was proven; the kiosk may have another one by now."""
    address: str | None
    seen_at: float
    checked_at: float = float("-inf")
    """The first message is checked: a revocation may have come during the handshake."""
    lag: Lag = field(default_factory=Lag)
    last_sequence: int = -1
    errors_in_a_row: int = 0
    frames: int = 0

    def is_next(self, sequence: int) -> bool:
        """Whether the frame is newer than every one before it: a repeated message is not."""
        if sequence <= self.last_sequence:
            return False
        self.last_sequence = sequence
        return True

    def must_recheck(self, now: float) -> bool:
        """Whether the kiosk may have been revoked unnoticed since the last look."""
        return now - self.checked_at >= RECHECK_S

    def must_note_seen(self, now: float) -> bool:
        if now - self.seen_at < SEEN_S:
            return False
        self.seen_at = now
        return True

    def may_err_again(self) -> bool:
        self.errors_in_a_row += 1
        return self.errors_in_a_row < ERRORS_IN_A_ROW
