"""Photos that are to show one person's face: what is wrong with one, and what to do about it.

Enrolment (`recognition.photos`) refuses a photo by this rule; the commands that compare photos
use it for galleries and advise by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from recognition.types import Face, FrameResult, Shortfall

SMALLEST_FACE = 48.0
"""Width in pixels of the face in a photo."""
LOWEST_QUALITY = 0.4
"""A template is compared with every probe, so a photo must be better than a frame: of LFW's
portraits 1 in 1,000 is below, of CFP's profiles a sixth."""
LOWEST_DETECTION_SCORE = 0.9
"""Below it the detector has seen patterns as often as faces."""
OTHER_FACE_SHARE = 1 / 3
"""A second face at least this wide, against the widest, is not background."""


class Flaw(StrEnum):
    """Why a photo cannot be a template."""

    UNREADABLE = "UNREADABLE"
    NO_FACE = "NO_FACE"
    SEVERAL_FACES = "SEVERAL_FACES"
    FACE_TOO_SMALL = "FACE_TOO_SMALL"
    LOW_QUALITY = "LOW_QUALITY"
    """And nothing that is measured says why; else it is a `Shortfall`."""


ADVICE: Mapping[Flaw | Shortfall, str] = {
    Flaw.UNREADABLE: "The file cannot be read as an image. Save it again as JPEG, PNG or WebP.",
    Flaw.NO_FACE: "No face found. Use a photo that shows the face from the front.",
    Flaw.SEVERAL_FACES: "More than one face. Crop the photo so that it shows one person only.",
    Flaw.FACE_TOO_SMALL: (
        "The face is too small. Use a photo in which it is at least 50 pixels wide."
    ),
    Flaw.LOW_QUALITY: (
        "The face cannot be made out well. Use a sharp photo of the whole face from the front."
    ),
    Shortfall.TOO_FAR: "The face is too small. Use a photo in which it is at least 50 pixels wide.",
    Shortfall.BLURRED: "The face is blurred. Use a sharp photo.",
    Shortfall.TOO_DARK: "The face is too dark. Use a photo with light on the face.",
    Shortfall.TOO_BRIGHT: "The face is over-exposed. Use a photo with softer light.",
    Shortfall.LOW_CONTRAST: "The photo is hazy. Use one with more contrast.",
    Shortfall.TURNED: "The face is turned away. Use a photo that shows it from the front.",
    Shortfall.COVERED: (
        "Something covers a part of the face. Use a photo without mask, scarf or dark glasses."
    ),
    Shortfall.UNCLEAR: (
        "The face cannot be made out well. Use a sharp photo of the whole face from the front."
    ),
}
"""What whoever took the photo can do, in the words that HR reads (`Refusal`)."""


def judge(result: FrameResult, lowest_quality: float = LOWEST_QUALITY) -> Face | Flaw | Shortfall:
    """The one usable face of a photo, or why there is none."""
    if result.error is not None:
        return Flaw.UNREADABLE
    faces = sorted(sure_faces(result), key=width, reverse=True)
    if not faces:
        return Flaw.NO_FACE
    if len(faces) > 1 and width(faces[1]) >= OTHER_FACE_SHARE * width(faces[0]):
        return Flaw.SEVERAL_FACES
    return flaw_of(faces[0], lowest_quality) or faces[0]


def flaw_of(face: Face, lowest_quality: float = LOWEST_QUALITY) -> Flaw | Shortfall | None:
    """Why a face is not good enough to be compared with every probe; None if it is."""
    if width(face) < SMALLEST_FACE:
        return Flaw.FACE_TOO_SMALL
    if face.quality is None or face.embedding is None:
        return Flaw.LOW_QUALITY
    if not face.quality.score >= lowest_quality:  # so that NaN is refused
        return face.quality.shortfall or Flaw.LOW_QUALITY
    return None


def sure_faces(result: FrameResult) -> list[Face]:
    """The faces of an image that the detector is sure of, largest first."""
    return [face for face in result.faces if face.score >= LOWEST_DETECTION_SCORE]


def width(face: Face) -> float:
    """Of its box, in pixels."""
    return float(face.box[2] - face.box[0])
