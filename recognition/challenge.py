"""A challenge: somebody is asked to move their head, and does it or not (pure).

The server draws a short sequence of movements and shows them one after the other, each only when
the one before was done and the face looks ahead again. What counts is the head's pose in the faces
that tracking gave to the presentation, against how that person looked ahead before, at the times
when the server received them.

The pose is that of a rigid head fitted to five points under scaled orthography. A flat picture,
however it is tilted or stretched, is an affine image of those points, and the fit's yaw and pitch
do not change under any affine map: a tilted photo does not turn. What perspective adds is less
than `TURN` and `RAISE` ask. A print that is bent tightly has a relief, and can turn as a head does:
`evaluate challenge` measures how often.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

STEPS = 3
TURN, RAISE = 18.0, 22.0
"""Degrees from looking ahead that are a head turned to the side, or raised: more than people who
were asked nothing sway (yaw 14, pitch 20), little enough that they are still known by their face.
Looking down is not asked: at 30 degrees a face's likeness to itself falls to where tracking takes
it for another person."""
AHEAD, AHEAD_RAISED = 10.0, 14.0
"""Degrees of yaw, and of pitch, within which a head looks ahead again."""
FURTHEST_LEVEL, FURTHEST_LEVEL_RAISED = 20.0, 30.0
"""Degrees of yaw, and of pitch, that looking ahead may be off the camera's axis: kiosks hang beside
doors, and low."""
LARGEST_MISFIT = 0.25
"""Of points that are a head's; portraits have 0.05. What fits worse says nothing."""
LEVEL_LOOKS = 5
"""Faces that say how the person looks ahead: the median of that many."""
FEWEST_LEVEL_LOOKS = 2
HELD = 2
"""Frames in a row that a pose must be seen in: one may be an error of the points."""
ASTRAY = 2
"""Frames in a row of another movement that end the challenge."""
REACTION_MS = 250
"""Nobody sees, understands and turns faster than this after the prompt left the server."""
STEP_MS = 6_000
"""For one movement and looking ahead again."""
LONGEST_GAP_MS = 1_500
"""Between two faces of the presentation, as long as tracking waits for somebody who is not behind
another: longer out of sight, somebody else may have come."""
LONGEST_RECORD = 96
"""Poses kept for the record; when they are more, every second goes."""


class Movement(StrEnum):
    """What somebody is asked to do; left and right are their own."""

    LEFT = "LEFT"
    RIGHT = "RIGHT"
    UP = "UP"


SEQUENCES = tuple(
    one
    for one in product(Movement, repeat=STEPS)
    if 0 < one.count(Movement.UP) < STEPS  # both: bent prints turn to a side rather than up
)
"""What may be asked, each as likely."""


class End(StrEnum):
    """How a challenge ended."""

    FULFILLED = "FULFILLED"
    WRONG = "WRONG"
    """Another movement was made."""
    TOO_EARLY = "TOO_EARLY"
    """It was made before anybody could have followed the prompt."""
    EXPIRED = "EXPIRED"
    """It was not made in time."""
    LOST = "LOST"
    """The face was out of sight in between."""


class Look(NamedTuple):
    """How a head was held in one frame."""

    at_ms: int
    """Milliseconds since 1970 UTC, when the server received the frame."""
    yaw: float
    """Degrees, positive to the image's right, which is the person's left."""
    pitch: float
    """Degrees, positive up."""


def look(at_ms: int, yaw: float, pitch: float, misfit: float) -> Look | None:
    """A face's pose as far as it says something; None where it does not."""
    if not (math.isfinite(yaw) and math.isfinite(pitch) and 0 <= misfit <= LARGEST_MISFIT):
        return None
    return Look(at_ms, round(yaw, 1), round(pitch, 1))


@dataclass(frozen=True, slots=True)
class Step:
    """One movement, and when (0: not yet) it was shown, made, and looked ahead again after."""

    movement: Movement
    prompted_ms: int = 0
    reached_ms: int = 0
    back_ms: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Challenge:
    """What a presentation is asked to do, and how far it has come."""

    person: int
    """Whoever was recognised when it began, as the caller numbers people."""
    steps: tuple[Step, ...]
    level: tuple[float, float]
    """Yaw and pitch of looking ahead, degrees."""
    anchor: Vector
    """The presentation's mean embedding when it began, a unit vector (D,) float32."""
    seen_ms: int
    """Of the last face that counted."""
    held: int = 0
    """Frames in a row in the pose that is waited for."""
    astray: int = 0
    """Frames in a row in that of another movement."""
    end: End | None = None
    ended_ms: int = 0
    record: tuple[Look, ...] = ()

    @property
    def fulfilled(self) -> bool:
        return self.end is End.FULFILLED

    @property
    def is_open(self) -> bool:
        return self.end is None

    @property
    def current(self) -> Step | None:
        """The step that is not done yet; None if all are."""
        return next((step for step in self.steps if not step.back_ms), None)

    @property
    def waits_for(self) -> Movement | None:
        """The movement that is to be made now; None: look ahead."""
        step = self.current
        return step.movement if step and not step.reached_ms else None

    @property
    def done(self) -> int:
        """How many movements were made, each with looking ahead again after it."""
        return sum(bool(step.back_ms) for step in self.steps)


Choice = Callable[[Sequence[tuple[Movement, ...]]], tuple[Movement, ...]]


def drawn(last: Sequence[str], choose: Choice = secrets.choice) -> tuple[Movement, ...]:
    """A sequence of movements that nobody can foretell, and another one than `last`.

    `choose` takes one of all that are possible, by default from the system's cryptographic source.
    """
    return choose([one for one in SEQUENCES if list(one) != list(last)])


def begun(
    movements: Sequence[Movement], looks: Sequence[Look], person: int, anchor: Vector
) -> Challenge | None:
    """A challenge of these movements for whoever was seen in `looks`, their last few faces.

    None as long as they do not look ahead, or too few faces say how they do.
    """
    recent = looks[-LEVEL_LOOKS:]
    if not movements or len(recent) < FEWEST_LEVEL_LOOKS:
        return None
    level = (median(one.yaw for one in recent), median(one.pitch for one in recent))
    off_axis = abs(level[0]) > FURTHEST_LEVEL or abs(level[1]) > FURTHEST_LEVEL_RAISED
    if off_axis or not _is_ahead(level, recent[-1]):
        return None
    steps = tuple(Step(movement) for movement in movements)
    return Challenge(person, steps, level, anchor, recent[-1].at_ms, record=tuple(recent))


def prompted(challenge: Challenge, now_ms: int) -> Challenge:
    """The challenge once its current step is shown to the person, at this time."""
    return _stepped(challenge, prompted_ms=now_ms)


def is_due(challenge: Challenge) -> bool:
    """Whether its current step is still to be shown."""
    step = challenge.current
    return challenge.is_open and step is not None and not step.prompted_ms


def advanced(challenge: Challenge, seen: Look, *, same: bool) -> Challenge:
    """The challenge after one more face of its presentation.

    Args:
        seen: that face's pose.
        same: whether the face looks like the one that the challenge began with.
    """
    if seen.at_ms <= challenge.seen_ms:
        return challenge  # a frame that was overtaken, or the same once more
    if challenge.is_open and seen.at_ms - challenge.seen_ms > LONGEST_GAP_MS:
        return _ended(challenge, End.LOST, seen.at_ms)
    challenge = timed(challenge, seen.at_ms)
    if not challenge.is_open:
        return challenge
    record = (*challenge.record, seen)
    record = record if len(record) <= LONGEST_RECORD else record[::2]
    challenge = replace(challenge, seen_ms=seen.at_ms, record=record)
    step = challenge.current
    if step is None or not step.prompted_ms or seen.at_ms <= step.prompted_ms:
        return challenge
    return _judged(challenge, step, seen, same=same)


def timed(challenge: Challenge, at_ms: int) -> Challenge:
    """The challenge at this time, whether or not a face says anything: it may have expired."""
    step = challenge.current
    if not challenge.is_open or step is None or not step.prompted_ms:
        return challenge
    late = at_ms - step.prompted_ms > STEP_MS
    return _ended(challenge, End.EXPIRED, at_ms) if late else challenge


def explains(challenge: Challenge | None, seen: Look | None) -> bool:
    """Whether a face that looks unlike may be the asked person's, as it is turned away.

    It counts for nothing; but it is nobody new either.
    """
    if challenge is None or seen is None or not challenge.is_open:
        return False
    return not _is_ahead(challenge.level, seen)


def _judged(challenge: Challenge, step: Step, seen: Look, *, same: bool) -> Challenge:
    made = _made(challenge.level, seen)
    if made is not None and made is not step.movement:
        if challenge.astray + 1 >= ASTRAY:
            return _ended(challenge, End.WRONG, seen.at_ms)
        return replace(challenge, held=0, astray=challenge.astray + 1)
    if step.reached_ms:
        wanted = same and _is_ahead(challenge.level, seen)
    else:
        wanted = made is step.movement
        if wanted and seen.at_ms - step.prompted_ms < REACTION_MS:
            return _ended(challenge, End.TOO_EARLY, seen.at_ms)
    held = challenge.held + 1 if wanted else 0
    challenge = replace(challenge, held=held, astray=0)
    if held < HELD:
        return challenge
    challenge = replace(challenge, held=0)
    if not step.reached_ms:
        return _stepped(challenge, reached_ms=seen.at_ms)
    challenge = _stepped(challenge, back_ms=seen.at_ms)
    if challenge.current is None:
        return _ended(challenge, End.FULFILLED, seen.at_ms)
    return challenge


def _made(level: tuple[float, float], seen: Look) -> Movement | None:
    """The movement that this pose is of, if it is of one."""
    turned, raised = seen.yaw - level[0], seen.pitch - level[1]
    shares = {
        Movement.LEFT: turned / TURN,
        Movement.RIGHT: -turned / TURN,
        Movement.UP: raised / RAISE,
    }
    made = max(shares, key=shares.__getitem__)
    return made if shares[made] >= 1 else None


def _is_ahead(level: tuple[float, float], seen: Look) -> bool:
    return abs(seen.yaw - level[0]) <= AHEAD and abs(seen.pitch - level[1]) <= AHEAD_RAISED


def _stepped(challenge: Challenge, **times: Any) -> Challenge:
    """With these times of its current step."""
    steps = list(challenge.steps)
    at = challenge.done
    steps[at] = replace(steps[at], **times)
    return replace(challenge, steps=tuple(steps))


def _ended(challenge: Challenge, end: End, at_ms: int) -> Challenge:
    return replace(challenge, end=end, ended_ms=at_ms)
