"""The frames that a client has sent and has no answer for yet: two at most."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MOST = 2
GIVE_UP_S = 1.0
REMEMBERED = 1000


@dataclass
class Flight:
    """Sequence numbers, what is on its way, and what was sent. Times are seconds.

    An answer to a frame answers every earlier one, since a newer frame replaces an older. After
    a second without an answer a frame counts as lost.
    """

    last_sequence: int = 0
    on_the_way: dict[int, float] = field(default_factory=dict)
    history: OrderedDict[int, tuple[int, str]] = field(default_factory=OrderedDict)

    def depart(self, captured_ms: int, source: str, now: float) -> int:
        """A frame leaves; returns its sequence number."""
        self.last_sequence += 1
        self.on_the_way[self.last_sequence] = now
        self.history[self.last_sequence] = (captured_ms, source)
        if len(self.history) > REMEMBERED:
            self.history.popitem(last=False)
        return self.last_sequence

    def answered(self, sequence: int) -> None:
        self.on_the_way = {s: t for s, t in self.on_the_way.items() if s > sequence}

    def clear(self) -> None:
        """The connection is lost and every frame with it."""
        self.on_the_way = {}

    def room_in(self, now: float) -> float:
        """Seconds until one more may leave if no answer comes; 0: at once."""
        self._give_up(now)
        if len(self.on_the_way) < MOST:
            return 0.0
        return min(self.on_the_way.values()) + GIVE_UP_S - now

    def empty(self, now: float) -> bool:
        self._give_up(now)
        return not self.on_the_way

    def sent(self, sequence: int) -> tuple[int | None, str | None]:
        """Capture time (ms since 1970 UTC) and source of a frame; None if it is long ago."""
        return self.history.get(sequence, (None, None))

    def _give_up(self, now: float) -> None:
        self.on_the_way = {s: t for s, t in self.on_the_way.items() if now - t < GIVE_UP_S}
