"""`verify`: whether two pictures show one person."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accesscontrol.matching import meaning, odds
from recognition.commands.calibrated import add_rate_option, operating_point
from recognition.commands.pictures import SOME_FAILED, advice, box, look, quality
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    say,
    show,
    show_json,
)
from recognition.evaluate.embeddings import subject
from recognition.portraits import ADVICE, Flaw, sure_faces, width
from recognition.types import Face, FrameResult
from recognition.verification import OperatingPoint, Verification, verify

SAME, NOT_THE_SAME = 0, 3
"""Exit statuses; 1 where the two could not be compared."""
RATE = "1e-4"
"""One comparison of two single photos: at a door's 1e-6 a fifth of LFW's genuine pairs would be
refused, here 4 in 100."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """A file and the face in it that is compared; None where there is none."""

    path: Path
    result: FrameResult
    face: Face | None

    @property
    def trouble(self) -> str:
        """Why there is no face to compare, or what would make it say more; empty if nothing."""
        if self.result.error is not None:
            return self.result.error
        return ADVICE[Flaw.NO_FACE] if self.face is None else advice(self.face)

    @property
    def faces(self) -> int:
        return len(sure_faces(self.result))


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "verify",
        help="whether two pictures show one person",
        description="Whether two pictures show one person. Of several faces in a picture the "
        "largest and most central one is compared. The exit status is 0 if they are the same "
        "person, 3 if not, 1 if they could not be compared.",
    )
    parser.add_argument("pictures", nargs=2, type=Path, metavar="IMAGE")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_rate_option(parser, RATE)
    add_pipeline_options(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    pipeline = load_pipeline(options)
    point, calibration = operating_point(pipeline, options.fmr)
    first, second = (
        _Picture(path, result, subject(replace(result, faces=tuple(sure_faces(result)))))
        for path, result in look(pipeline, options.pictures, options.smallest_face)
    )
    found = None
    if first.face is not None and second.face is not None:
        one, other = first.face.embedding, second.face.embedding
        if one is not None and other is not None:
            found = verify(one, other, point, calibration)
    words = meaning(calibration, found.score) if found else ""
    if options.json:
        model = f"{pipeline.model.name} {pipeline.model.version}"
        pictures = [_picture_dict(picture) for picture in (first, second)]
        show_json(_as_dict(found, point) | {"meaning": words, "images": pictures, "model": model})
    else:
        show("\n".join([_picture_text(first), _picture_text(second), _text(found, point, words)]))
    if found is None:
        say("The two could not be compared.")
        return SOME_FAILED
    return SAME if found.same else NOT_THE_SAME


def _as_dict(found: Verification | None, point: OperatingPoint) -> dict[str, Any]:
    return {
        "same": found.same if found else None,
        "score": round(found.score, 5) if found else None,
        "threshold": point.threshold,
        "false_match_rate": point.false_match_rate,
        "stranger_share": found.stranger_share if found else None,
        "stranger_share_is_bound": found.is_bound if found else None,
    }


def _picture_dict(picture: _Picture) -> dict[str, Any]:
    face = picture.face
    lack = face.quality.shortfall if face and face.quality else None
    return {
        "file": str(picture.path),
        "error": picture.result.error,
        "faces": picture.faces,
        "box": box(face) if face else None,
        "quality": quality(face) if face else None,
        "shortfall": str(lack) if lack else None,
        "advice": picture.trouble or None,
    }


def _picture_text(picture: _Picture) -> str:
    face = picture.face
    if face is None:
        return f"{picture.path}: {picture.trouble}"
    score = f"{face.quality.score:.2f}" if face.quality else "-"
    parts = [f"{picture.path}: a face of {width(face):.0f} pixels, quality {score}"]
    if picture.faces > 1:
        parts.append(f"the largest and most central of {picture.faces}")
    return ", ".join(parts) + (f". {picture.trouble}" if picture.trouble else "")


def _text(found: Verification | None, point: OperatingPoint, words: str) -> str:
    if found is None:
        return "not compared"
    verdict = "the same person" if found.same else "not the same person, as far as this tells"
    rate = odds(float(point.false_match_rate))
    return (
        f"{verdict}: likeness {found.score:.3f}, threshold {point.threshold:.3f} (which {rate} "
        f"pairs of strangers reaches)" + (f"\n{words}" if words else "")
    )
