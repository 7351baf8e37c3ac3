"""What a detector hands to the rest of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Faces of all frames, sorted by frame, then by falling score.

    frame: (N,) int64. boxes: (N, 4) float32. points: (N, 5, 2) float32. scores: (N,) float32.
    """

    frame: Tensor
    boxes: Tensor
    points: Tensor
    scores: Tensor
