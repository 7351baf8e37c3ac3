"""A presentation's challenge as JSON: it comes back as it was, or the presentation begins anew."""

from __future__ import annotations

import base64
import math
from dataclasses import fields
from typing import Any

import numpy as np

from recognition.challenge import LONGEST_RECORD, Challenge, End, Look, Movement, Step, Vector


def coded(vector: Vector) -> str:
    """A vector of float32 as base64 of its little-endian bytes."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def vector(raw: str) -> Vector:
    """The vector that `coded` wrote; raises ValueError or TypeError."""
    return np.frombuffer(base64.b64decode(raw), dtype="<f4").astype(np.float32)


def plain_looks(looks: tuple[Look, ...]) -> list[list[float]]:
    """For JSON."""
    return [list(one) for one in looks]


def looks(raw: object) -> tuple[Look, ...]:
    """What `plain_looks` wrote; raises ValueError."""
    if not isinstance(raw, list) or len(raw) > LONGEST_RECORD:
        raise ValueError(f"looks are a list of at most {LONGEST_RECORD}")
    return tuple(_look(one) for one in raw)


def plain(challenge: Challenge | None) -> dict[str, Any] | None:
    """For JSON."""
    if challenge is None:
        return None
    raw = {field.name: getattr(challenge, field.name) for field in fields(challenge)}
    raw["anchor"] = coded(challenge.anchor)
    raw["record"] = plain_looks(challenge.record)
    raw["level"] = list(challenge.level)
    raw["steps"] = [
        [str(s.movement), s.prompted_ms, s.reached_ms, s.back_ms] for s in challenge.steps
    ]
    return raw


def loaded(raw: object) -> Challenge | None:
    """The challenge that `plain` wrote, or None if it was none; raises ValueError, TypeError."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise TypeError("a challenge is an object")
    steps = tuple(_step(one) for one in raw["steps"])
    level = tuple(_finite(value) for value in raw["level"])
    anchor = vector(raw["anchor"])
    if not steps or len(level) != 2 or not np.isfinite(anchor).all():
        raise ValueError("a challenge has steps, a level of two angles, and a finite anchor")
    record = looks(raw["record"])
    end = None if raw["end"] is None else End(raw["end"])
    for name in ("person", "seen_ms", "held", "astray", "ended_ms"):
        _whole(raw[name])
    kept = {"steps": steps, "level": level, "anchor": anchor, "record": record, "end": end}
    challenge = Challenge(**{**raw, **kept})
    if challenge.fulfilled and challenge.current is not None:
        raise ValueError("a fulfilled challenge has no step left")
    return challenge


def _step(raw: object) -> Step:
    if not isinstance(raw, list) or len(raw) != 4:
        raise ValueError("a step is a movement and three times")
    movement, *times = raw
    prompted_ms, reached_ms, back_ms = (_whole(time) for time in times)
    return Step(Movement(movement), prompted_ms, reached_ms, back_ms)


def _look(raw: object) -> Look:
    if not isinstance(raw, list) or len(raw) != len(Look._fields):
        raise ValueError("a look is a time and two angles")
    return Look(_whole(raw[0]), _finite(raw[1]), _finite(raw[2]))


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError("counts and times are whole numbers")
    return value


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("angles are finite numbers")
    return float(value)
