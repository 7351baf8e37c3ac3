"""What a strict site asks of whoever it would accept: movements of the head, and the last drawn.

Keys in Redis/Valkey: `challenge:KIOSK` the sequence that was shown there last, so that the next is
another one. Losing it costs no more than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import redis

KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ChallengeRule:
    """movements: how many must be made, one at least."""

    movements: int


@dataclass(frozen=True, slots=True)
class Challenged:
    """What somebody was asked, and did.

    person: the employee whom they were taken for when it began.
    done: how many movements were made.
    fulfilled: all of them, as asked, by that person.
    record: the same for the record, ready for JSON.
    """

    person: int
    done: int
    fulfilled: bool
    record: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """For the decision's evidence."""
        return {"fulfilled": self.fulfilled, **self.record}


def is_met(rule: ChallengeRule, shown: Challenged | None, employee_id: int) -> bool:
    """Whether this employee may be accepted under the rule. Any doubt is a no."""
    return (
        shown is not None
        and shown.fulfilled is True
        and rule.movements >= 1
        and shown.done >= rule.movements
        and shown.person == employee_id
    )


class LastShown:
    """Which sequence each kiosk showed last. Methods raise redis.RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # its stubs cannot tell bytes from str

    def of(self, kiosk_id: UUID) -> list[str]:
        """The movements; none if it is not known."""
        kept = self._redis.get(f"challenge:{kiosk_id}")
        return kept.decode(errors="replace").split() if kept else []

    def keep(self, kiosk_id: UUID, movements: list[str]) -> None:
        """Remember what the kiosk shows now."""
        self._redis.set(f"challenge:{kiosk_id}", " ".join(movements), ex=KEPT)
