"""The challenge of strict sites: who passes it by chance, and who by turning a picture.

Two questions that clips and portraits can answer. How often would somebody who was asked nothing
fulfil a challenge by how they happen to move: every clip is tried from every frame with every
sequence. And does a picture that is turned as asked pass: portraits are put on surfaces, flat and
bent, and turned in software (`turning`); a simulated head shows that the measure would notice one.

Not answered: people who follow the prompt, screens, masks, and recorded clips that are chosen for
the sequence; the chance of the last is told from the number of sequences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recognition import challenge
from recognition.challenge import SEQUENCES, End, Look, Movement
from recognition.evaluate.pad import upper_bound
from recognition.evaluate.turning import HEAD, SURFACES, Surface, turned
from recognition.pipeline import Pipeline
from recognition.types import Face, Floats, Pixels

FRAME_MS = 100
"""As a kiosk sends, ten frames a second."""
ANGLES = (20, 40)
"""Degrees that a picture is turned by."""
DISTANCE = 8.0
"""From the camera in distances between the eyes: about half a metre. Nearer, perspective tells
more of a turned picture than from afar."""
BEGIN_MS = 1_000_000
_WAITING, _HOLDING, _BACK = 4, 3, 3  # frames
_DIRECTIONS = {Movement.LEFT: (1, 0), Movement.RIGHT: (-1, 0), Movement.UP: (0, 1)}


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A face of one frame: its pose, None if it says nothing, and its unit embedding (D,)."""

    yaw: float
    pitch: float
    misfit: float
    embedding: Floats

    @classmethod
    def of(cls, face: Face) -> Seen:
        """Of a face that was measured and embedded."""
        assert face.quality is not None  # noqa: S101  the pipeline was asked for both
        assert face.embedding is not None  # noqa: S101
        quality = face.quality
        return cls(quality.yaw, quality.pitch, quality.misfit, face.embedding)

    def look(self, at_ms: int) -> Look | None:
        return challenge.look(at_ms, self.yaw, self.pitch, self.misfit)


def faces_of(pipeline: Pipeline, frames: Sequence[Pixels], smallest_face: int) -> list[Seen | None]:
    """The largest face of each frame, None where there is none."""
    found = []
    for pixels in frames:
        (result,) = pipeline.analyse_pixels([pixels], smallest_face=smallest_face)
        found.append(Seen.of(result.faces[0]) if result.faces else None)
    return found


def play(
    ahead: Sequence[Seen], shown: Sequence[Seen | None], movements: Sequence[Movement], alike: float
) -> str:
    """How a challenge ends for whoever looks `ahead` and then shows these faces, one each frame.

    "not begun" if they do not look ahead enough, "unfinished" if the faces end before it does.
    """
    looks = [look for at, one in enumerate(ahead) if (look := one.look(BEGIN_MS + at * FRAME_MS))]
    anchor = np.mean([one.embedding for one in ahead], axis=0)
    anchor = (anchor / np.linalg.norm(anchor)).astype(np.float32)
    begun = challenge.begun(movements, looks, 0, anchor)
    if begun is None:
        return "not begun"
    at_ms = BEGIN_MS + (len(ahead) - 1) * FRAME_MS
    going = challenge.prompted(begun, at_ms)
    for one in shown:
        at_ms += FRAME_MS
        look = one.look(at_ms) if one else None
        going = challenge.timed(going, at_ms)
        if look is None or one is None:
            continue
        going = challenge.advanced(going, look, same=float(one.embedding @ anchor) >= alike)
        if challenge.is_due(going):
            going = challenge.prompted(going, at_ms)
        if going.end is not None:
            break
    return str(going.end or "unfinished")


def by_chance(clips: Mapping[str, Sequence[Seen | None]], alike: float) -> dict[str, Any]:
    """Every clip from each of its frames on, with every sequence: how challenges would end.

    A clip of somebody who turns their head passes the sequences that it happens to show: `clips`
    tells them one by one.
    """
    ends = {name: _tried(clip, alike) for name, clip in clips.items()}
    begun = {name: sum(found.values()) - found["not begun"] for name, found in ends.items()}
    passed = {name: found[str(End.FULFILLED)] for name, found in ends.items()}
    everything: Counter[str] = sum(ends.values(), Counter())
    return {
        "frames": sum(len(clip) for clip in clips.values()),
        "trials": sum(begun.values()),
        "passed": sum(passed.values()),
        "ends": dict(sorted(everything.items())),
        "clips": {
            name: {"trials": begun[name], "passed": passed[name]} | _spreads(clip)
            for name, clip in clips.items()
        },
    }


def _tried(clip: Sequence[Seen | None], alike: float) -> Counter[str]:
    ends: Counter[str] = Counter()
    for start in range(challenge.LEVEL_LOOKS, len(clip)):
        ahead = [one for one in clip[start - challenge.LEVEL_LOOKS : start] if one]
        if not ahead:
            continue
        for movements in SEQUENCES:
            ends[play(ahead, clip[start:], movements, alike)] += 1
    return ends


def _spreads(clip: Sequence[Seen | None]) -> dict[str, float | None]:
    """How far yaw and pitch lie from the clip's median at most, in degrees."""
    return {
        f"{name}_furthest": _rounded(np.abs(np.array(values) - np.median(values)).max())
        if (values := [getattr(one, name) for one in clip if one])
        else None
        for name in ("yaw", "pitch")
    }


Looking = Callable[[Pixels], Seen | None]


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """A portrait on a surface: what is seen of it at each angle (yaw, pitch), None: no face."""

    surface: Surface
    seen: Mapping[tuple[int, int], Seen | None]


def turns(pixels: Pixels, points: Floats, surface: Surface, look: Looking) -> Turns:
    """Turn a portrait on a surface in every direction that is asked, by every angle."""
    angles = {(0, 0)} | {(x * a, y * a) for x, y in _DIRECTIONS.values() for a in ANGLES}
    seen = {
        (yaw, pitch): look(turned(pixels, points, surface, yaw=yaw, pitch=pitch, distance=DISTANCE))
        for yaw, pitch in sorted(angles)
    }
    return Turns(surface, seen)


def obeys(one: Turns, movements: Sequence[Movement], angle: int, alike: float) -> bool:
    """Whether the picture passes if it is turned as asked, by this angle, and back each time."""
    ahead = one.seen[0, 0]
    if ahead is None:
        return False
    shown = [face for movement in movements for face in _movement(one, movement, angle)]
    return play([ahead] * challenge.LEVEL_LOOKS, shown, movements, alike) == End.FULFILLED


def _movement(one: Turns, movement: Movement, angle: int) -> Iterator[Seen | None]:
    x, y = _DIRECTIONS[movement]
    steps = [a for a in ANGLES if a < angle]
    way = [0] * _WAITING + steps + [angle] * _HOLDING + steps[::-1] + [0] * _BACK
    return (one.seen[x * a, y * a] for a in way)


def by_turning(portraits: Sequence[Sequence[Turns]], alike: float) -> dict[str, Any]:
    """For each surface the share of portraits that pass, at each angle and at any.

    A portrait passes at an angle if it does with any of the sequences.
    """
    figures: dict[str, Any] = {}
    for surface in SURFACES:
        mine = [one for some in portraits for one in some if one.surface is surface]
        passes = {
            angle: [any(obeys(one, m, angle, alike) for m in SEQUENCES) for one in mine]
            for angle in ANGLES
        }
        anyhow = [any(flags) for flags in zip(*passes.values(), strict=True)]
        rate = sum(anyhow) / len(anyhow) if anyhow else 0.0
        figures[surface.name] = {
            "portraits": len(mine),
            "passed_at": {str(angle): sum(flags) for angle, flags in passes.items()},
            "passed": sum(anyhow),
            "upper95": upper_bound(rate, len(anyhow)) if anyhow else None,
            "pose_at": {str(angle): _pose_at(mine, angle) for angle in ANGLES},
        }
    return figures


def _pose_at(mine: Sequence[Turns], angle: int) -> dict[str, float | int | None]:
    """What is measured of pictures turned to the person's left by so much, and of raised ones."""
    found: dict[str, float | int | None] = {}
    for name, place in (("yaw", (angle, 0)), ("pitch", (0, angle))):
        both = [(one.seen[place], one.seen[0, 0]) for one in mine]
        pairs = [(seen, ahead) for seen, ahead in both if seen and ahead]
        moved = [getattr(seen, name) - getattr(ahead, name) for seen, ahead in pairs]
        found[f"{name}_found"] = len(pairs)
        found[f"{name}_median"] = _rounded(np.median(moved)) if moved else None
        found[f"{name}_highest"] = _rounded(max(moved)) if moved else None
    return found


def _rounded(value: Any) -> float:
    return round(float(value), 3)


def summary() -> dict[str, Any]:
    """The rule that was evaluated, and what is not."""
    return {
        "movements": [str(one) for one in Movement],
        "steps": challenge.STEPS,
        "sequences": len(SEQUENCES),
        "recorded_sequence_fits": 1 / (len(SEQUENCES) - 1),
        "turn_degrees": challenge.TURN,
        "raise_degrees": challenge.RAISE,
        "simulated_head": HEAD.name,
        "people_who_follow_the_prompt": "not evaluated",
        "screens": "not evaluated",
        "masks": "not evaluated",
    }
