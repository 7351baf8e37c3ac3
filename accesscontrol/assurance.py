"""When a presentation has shown enough: a clear match needs few frames, a doubtful one more.

Standard library only: the evaluation of presentations goes by the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_FRAMES = 2
"""Of a clear match. One frame is never enough: a single face can be anybody's worst moment."""
DOUBTFUL_FRAMES = 8
"""Of a match at the threshold. Looking after every frame gives a stranger many tries; asking more
of whoever is near the threshold takes back a tenth of what that costs."""


@dataclass(frozen=True, slots=True)
class Assurance:
    """The rule.

    fewest_frames: of a match that leads by `clear_lead` or more.
    doubtful_frames: of one that just reaches the threshold; between the two, in proportion.
    clear_lead: cosine, 0 and up; 0 asks every match for `fewest_frames`.
    """

    clear_lead: float
    fewest_frames: int = FEWEST_FRAMES
    doubtful_frames: int = DOUBTFUL_FRAMES

    def frames_needed(self, lead: float) -> float:
        """How many frames in good light a match needs that leads by this much.

        `lead` is how far the best person lies above the threshold, or above the second best and
        the margin, whichever is less; 0 and up.
        """
        doubt = 0.0 if self.clear_lead <= 0 else max(0.0, 1 - lead / self.clear_lead)
        return self.fewest_frames + doubt * max(0, self.doubtful_frames - self.fewest_frames)

    def is_enough(self, lead: float, frames: int, good_frames: float) -> bool:
        """Whether so many faces, `good_frames` if counted by their quality, are enough."""
        if not lead >= 0 or frames < self.fewest_frames:  # a lead that is no number is none
            return False
        return good_frames >= self.frames_needed(lead)
