"""What the pipeline hands out: faces, their quality, and one result for each frame.

Coordinates are pixels of the upright image (EXIF orientation applied), x to the right, y down,
(0, 0) the centre of the top left pixel.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3), RGB, upright
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Quality:
    """How much one face can say. All values are measured, none is a verdict.

    eye_distance: pixels between the eyes in the upright image.
    sharpness: variance of the Laplacian of the aligned face's luma (0-255), higher is sharper.
    brightness: mean luma of the aligned face, 0..1.
    contrast: standard deviation of that luma, 0..0.5.
    clipped: share of the aligned face's pixels that are black (< 4) or white (> 251), 0..1.
    yaw: estimated turn of the head in degrees, from the five points; positive when the face
        looks to the image's right. Good to about ten degrees, saturates at 90.
    score: 0..1, the product of how well each of the above serves recognition.
    """

    eye_distance: float
    sharpness: float
    brightness: float
    contrast: float
    clipped: float
    yaw: float
    score: float

    def to_dict(self) -> dict[str, float]:
        """The values by name, as plain floats for JSON."""
        return {name: float(value) for name, value in asdict(self).items()}


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
