"""Analyses the frames of kiosks, with attack scores only where they can still be evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recognition import tracking
from recognition.pacing import still_there
from recognition.pipeline import Pipeline
from recognition.placing import Likeness
from recognition.tracking import Moment, Presentation, Sighting
from recognition.types import FrameResult


@dataclass(frozen=True, slots=True)
class Watched:
    """A kiosk's frame, who is there so far, and how to tell its faces to tracking.

    asks: whether the kiosk's site asks for attack scores.
    looked_ms: when the last frame that was looked at was received; 0 where nobody knows.
    """

    image: bytes
    moment: Moment
    present: Sequence[Presentation]
    asks: bool
    sight: Callable[[FrameResult], list[Sighting]]
    likeness: Likeness
    looked_ms: int = 0

    def follow(self, result: FrameResult) -> tracking.Tracks:
        """The kiosk's presentations after this frame."""
        sightings = self.sight(result)
        present = still_there(self.present, sightings, self.looked_ms, self.moment, self.likeness)
        return tracking.follow(present, sightings, self.moment, self.likeness)

    def is_settled(self, present: Sequence[Presentation]) -> bool:
        """Whether the decision of everybody who is there has fallen: more evidence is useless."""
        return tracking.all_settled(present, self.moment.received_ms)


def analyse(
    pipeline: Pipeline, watched: Sequence[Watched], *, smallest_face: int
) -> list[FrameResult]:
    """Recognise the faces of all frames in one batch; see `Pipeline.analyse`.

    Where somebody else turns up in a frame that went without attack scores, it is analysed once
    more, with them: a face that has none would speak against its person.
    """
    images = [one.image for one in watched]
    scored = [one.asks and not one.is_settled(one.present) for one in watched]
    results = pipeline.analyse(images, smallest_face=smallest_face, with_pad=scored)
    again = [
        place
        for place, one in enumerate(watched)
        if one.asks and not scored[place] and not one.is_settled(one.follow(results[place]).present)
    ]
    if again:
        repeated = [images[place] for place in again]
        found = pipeline.analyse(repeated, smallest_face=smallest_face, with_pad=True)
        for place, result in zip(again, found, strict=True):
            results[place] = result
    return results
