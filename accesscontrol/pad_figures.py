"""What is known of the policies against pictures of faces: as measured, in docs/benchmarks.

The web process cannot measure and its installation need not have the documents, so the figures
stand here; a test holds them to `pad.json` and `challenge.json`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """So many of so many went wrong, and at 95 % confidence at most this share would."""

    wrong: int
    of: int
    at_most: float


PRINTS_PASSED = Measured(0, 105, 0.0281)
"""Frames of printed photos taken for faces."""
REPLAYS_PASSED = Measured(0, 63, 0.0464)
"""Frames of two replayed clips taken for faces."""
FACES_REFUSED = Measured(0, 170, 0.0175)
"""Frames of living faces taken for attacks."""
FLAT_PRINTS_TURNED = Measured(0, 20, 0.1391)
"""Portraits as flat prints, turned as asked in software, that fulfilled a challenge."""
BENT_PRINTS_TURNED = Measured(7, 20, 0.558)
"""The same, bent in the way that passed most often."""
ONE_RECORDING_FITS = 1 / 17
"""That a recording of movements is of the sequence that is asked."""
