"""What the pipeline hands out: faces, their quality, and one result for each frame.

Coordinates are pixels of the upright image (EXIF orientation applied), x to the right, y down,
(0, 0) the centre of the top left pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3), RGB, upright
Floats = NDArray[np.float32]


class Shortfall(StrEnum):
    """What a face lacks, in the order in which they are named where several weigh the same."""

    TOO_FAR = "TOO_FAR"
    BLURRED = "BLURRED"
    TOO_DARK = "TOO_DARK"
    TOO_BRIGHT = "TOO_BRIGHT"
    LOW_CONTRAST = "LOW_CONTRAST"
    TURNED = "TURNED"
    COVERED = "COVERED"
    UNCLEAR = "UNCLEAR"
    """The embedder makes little of it, and nothing that is measured says why."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How much one face can say. All values are measured, none is a verdict.

    eye_distance: pixels between the eyes in the upright image.
    size: the same if the head looked into the camera, estimated from all five points.
    sharpness: variance of the aligned face's detail of 4 pixels over that of 16, about 0.23 of a
        portrait; does not depend on its contrast.
    brightness: mean luma of the aligned face, 0..1.
    contrast: standard deviation of that luma, 0..0.5.
    clipped: share of the aligned face's pixels that are black (< 4) or white (> 251), 0..1.
    yaw, pitch, roll: of the head in degrees, estimated from the five points; positive when it
        looks to the image's right, up, leans clockwise in the image. Estimates: yaw and roll of
        faces that look ahead are good to about 8 degrees, pitch to 13, of profiles to 20 or so.
    misfit: how little the five points look like any head's, 0..1; about 0.05 of a portrait.
    evenness: detail of the eyes, the mouth and either side against the whole face: 1 the median
        portrait, 0 one in a hundred, lower where something smooth covers a part.
    certainty: length of the embedder's vector against that of the median portrait; None where
        the embedder is not one for which it is known.
    components: how much of the genuine score each leaves, 0..1, by what they lack.
    score: 0..1, the cosine of MobileFaceNet to be expected with another portrait of the person.
    shortfall: the main thing it lacks; None where the score is sufficient.
    """

    eye_distance: float
    size: float
    sharpness: float
    brightness: float
    contrast: float
    clipped: float
    yaw: float
    pitch: float
    roll: float
    misfit: float
    evenness: float
    certainty: float | None
    components: Mapping[Shortfall, float]
    score: float
    shortfall: Shortfall | None

    def to_dict(self) -> dict[str, object]:
        """The values by name, ready for JSON."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "components": {str(name): share for name, share in self.components.items()},
            "shortfall": None if self.shortfall is None else str(self.shortfall),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face of one frame.

    box: (4,) float32, x1, y1, x2, y2; may reach a little outside the image.
    points: (5, 2) float32: the left eye (in the image), right eye, nose tip, left and right
        corner of the mouth.
    score: the detector's confidence, 0..1.
    quality: measured on the aligned face.
    pad: presentation-attack score, high means attack; None where it was not asked for. Of
        MiniFASNet, where it is installed, 0..1, else of the tree, 0 and up.
    embedding: float32 of length 1 and of its model's dimension; None where it was not asked for.
    """

    box: Floats
    points: Floats
    score: float
    quality: Quality | None = None
    pad: float | None = None
    embedding: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """One image's outcome: its upright size and faces, largest first, or why there is none.

    With `error` set, width and height are 0 and there are no faces; `error` is a sentence for
    people and `error_code` one of the codes of `ImageError`.
    """

    width: int
    height: int
    faces: tuple[Face, ...] = ()
    error: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """An embedder's identity. Vectors of two different models are never compared.

    sha256: of the published weights file that the model was converted from, so it is the same
        on every machine.
    dimension: length of its embeddings.
    """

    name: str
    version: str
    sha256: str
    licence: str
    dimension: int
