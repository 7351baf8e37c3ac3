"""Asking whoever a strict site would accept to move their head; one person at a kiosk at a time.

A screen shows one movement, so of several people who wait only one is asked; the others keep their
evidence and are asked next. What is shown is told again with every frame: a message that is lost,
or a worker that dies, leaves nobody before an old prompt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from accesscontrol.challenges import LastShown
from accesscontrol.frames import now_ms
from accesscontrol.models import Outcome
from recognition import challenge
from recognition.scene import Scene
from recognition.tracking import Presentation

AHEAD = "AHEAD"


def ask(scene: Scene, presentation: Presentation, person: int, shown: LastShown) -> Presentation:
    """Begin a challenge for whoever was recognised as `person`, if it is their turn.

    It does not begin as long as they do not look ahead. Raises redis.RedisError.
    """
    if presentation.challenge is not None or _is_anothers_turn(scene, presentation):
        return presentation
    movements = challenge.drawn(shown.of(scene.kiosk.pk))
    begun = challenge.begun(movements, presentation.looks, person, presentation.probe)
    if begun is None:
        return presentation
    shown.keep(scene.kiosk.pk, [str(movement) for movement in movements])
    asked = replace(presentation, challenge=begun)
    _put(scene, asked)
    return asked


def is_over(
    scene: Scene, presentation: Presentation, outcome: Outcome, *, patience_ms: int
) -> bool:
    """Whether the decision falls now, even if it is a refusal, while the person is still there."""
    if presentation.challenge is not None:
        return not presentation.challenge.is_open
    if outcome is Outcome.CHALLENGE and _is_anothers_turn(scene, presentation):
        return False
    return presentation.received_ms - presentation.first_received_ms >= patience_ms


def prompt(scene: Scene) -> None:
    """Note that what is to be shown is shown from now on: `messages` then tell the kiosk."""
    for presentation in scene.tracks.present:
        asked = presentation.challenge
        if asked is not None and challenge.is_due(asked):
            _put(scene, replace(presentation, challenge=challenge.prompted(asked, now_ms())))


def messages(scene: Scene) -> list[dict[str, Any]]:
    """What the kiosk shows now, as `kiosk.protocol` describes it; nothing if nobody is asked."""
    return [
        {
            "type": "prompt",
            "presentation": str(presentation.id),
            "seq": presentation.sequence,
            "movement": str(asked.waits_for or AHEAD),
            "step": asked.done + 1,
            "steps": len(asked.steps),
        }
        for presentation in scene.tracks.present
        if not presentation.settled
        and (asked := presentation.challenge) is not None
        and asked.is_open
    ]


def _is_anothers_turn(scene: Scene, presentation: Presentation) -> bool:
    return any(
        other.challenge is not None and other.challenge.is_open and not other.settled
        for other in scene.tracks.present
        if other.id != presentation.id
    )


def _put(scene: Scene, changed: Presentation) -> None:
    present = [changed if one.id == changed.id else one for one in scene.tracks.present]
    scene.tracks = replace(scene.tracks, present=present)
