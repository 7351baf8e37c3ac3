"""`identify`: who of a gallery the faces in pictures are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accesscontrol.matching import DEFAULT_FALSE_MATCH_RATE, Match, meaning, odds
from accesscontrol.score_tail import search_rate
from recognition.commands.calibrated import add_rate_option, operating_point
from recognition.commands.pictures import advice, box, image_files, look, quality, tell_failures
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    positive,
    say,
    show,
    show_json,
)
from recognition.evaluate.datasets import images_by_person
from recognition.identification import Identified, identify
from recognition.pipeline import Pipeline
from recognition.portraits import ADVICE, Flaw, judge, sure_faces, width
from recognition.search import CANDIDATES, Gallery
from recognition.types import Face, Floats, FrameResult
from recognition.verification import OperatingPoint

SAID: Mapping[Match, str] = {
    Match.ACCEPTED: "this is",
    Match.NO_MATCH: "nobody of the gallery is alike enough",
    Match.AMBIGUOUS: "two people of the gallery are too near to each other to tell which it is",
    Match.LOW_QUALITY: "the picture is too poor to compare",
    Match.EMPTY_GALLERY: "nobody is enrolled",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Enrolled:
    """The gallery with its photos in the order of its templates, and why the others are not in."""

    gallery: Gallery
    photos: Sequence[Path]
    left_out: Mapping[Path, str]
    failed: int


@dataclass(frozen=True, slots=True, eq=False)
class _Probe:
    """A picture and what was found of each of its faces."""

    path: Path
    error: str | None
    faces: Sequence[tuple[Face, Identified]]


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "identify",
        help="who of a gallery the faces in pictures are",
        description="Who of a gallery the faces in pictures are, in the words of a decision at a "
        "door: ACCEPTED, NO_MATCH, AMBIGUOUS, LOW_QUALITY, EMPTY_GALLERY. A photo that enrolment "
        "would refuse is left out of the gallery. A door asks for several frames, too.",
    )
    parser.add_argument(
        "--gallery", type=Path, required=True, metavar="DIR", help="a subfolder for each person"
    )
    parser.add_argument(
        "probes", nargs="+", type=Path, metavar="PROBE", help="pictures, or folders of them"
    )
    parser.add_argument(
        "--most",
        type=positive,
        default=CANDIDATES,
        metavar="N",
        help="people shown for each face (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_rate_option(parser, DEFAULT_FALSE_MATCH_RATE)
    add_pipeline_options(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    named, files = images_by_person(options.gallery), image_files(options.probes)
    pipeline = load_pipeline(options)
    point, calibration = operating_point(pipeline, options.fmr)
    enrolled = _enrol(pipeline, named, options.smallest_face)
    probes = [
        _identified(path, result, enrolled.gallery, point, options.most)
        for path, result in look(pipeline, files, options.smallest_face)
    ]
    if options.json:
        figures = [_probe_dict(probe, enrolled, calibration) for probe in probes]
        model = f"{pipeline.model.name} {pipeline.model.version}"
        show_json(_head(enrolled, point) | {"probes": figures, "model": model})
    else:
        show(_told(enrolled, point))
        for probe in probes:
            show(_probe_text(probe, enrolled, calibration))
    failed = enrolled.failed + sum(probe.error is not None for probe in probes)
    return tell_failures(failed, sum(map(len, named.values())) + len(files))


def _enrol(
    pipeline: Pipeline, named: Mapping[str, Sequence[Path]], smallest_face: int
) -> _Enrolled:
    owner = {path: name for name, paths in named.items() for path in paths}
    templates: dict[str, list[Floats]] = {name: [] for name in named}
    photos, left_out, failed = [], {}, 0
    for path, result in look(pipeline, list(owner), smallest_face):
        found = judge(result)
        if isinstance(found, Face) and found.embedding is not None:
            templates[owner[path]].append(found.embedding)
            photos.append(path)
            continue
        failed += result.error is not None
        reason = Flaw.LOW_QUALITY if isinstance(found, Face) else found
        left_out[path] = result.error or ADVICE[reason]
        say(f"{path} is left out of the gallery. {left_out[path]}")
    return _Enrolled(Gallery.of(templates), photos, left_out, failed)


def _identified(
    path: Path, result: FrameResult, gallery: Gallery, point: OperatingPoint, most: int
) -> _Probe:
    faces = [face for face in sure_faces(result) if face.embedding is not None]
    vectors = [face.embedding for face in faces if face.embedding is not None]
    if not vectors:
        return _Probe(path, result.error, [])
    qualities = [face.quality.score if face.quality else 0.0 for face in faces]
    found = identify(gallery, np.stack(vectors), qualities, point, most)
    return _Probe(path, None, list(zip(faces, found, strict=True)))


def _head(enrolled: _Enrolled, point: OperatingPoint) -> dict[str, Any]:
    people = len(enrolled.gallery.names)
    return {
        "threshold": point.threshold,
        "margin": point.margin,
        "false_match_rate": point.false_match_rate,
        "fpir": search_rate(float(point.false_match_rate), people) if people else 0.0,
        "gallery": {
            "people": people,
            "templates": len(enrolled.photos),
            "left_out": {str(path): reason for path, reason in enrolled.left_out.items()},
        },
    }


def _told(enrolled: _Enrolled, point: OperatingPoint) -> str:
    people = len(enrolled.gallery.names)
    text = f"gallery: {people} people, {len(enrolled.photos)} photos; threshold "
    text += f"{point.threshold:.3f}, margin {point.margin:.3f}"
    if not people:
        return text
    stranger = odds(search_rate(float(point.false_match_rate), people))
    return f"{text}: about {stranger} strangers would be taken for one of them"


def _probe_dict(
    probe: _Probe, enrolled: _Enrolled, calibration: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "file": str(probe.path),
        "error": probe.error,
        "faces": [
            {
                "box": box(face),
                "quality": quality(face),
                "advice": advice(face) or None,
                "outcome": str(found.outcome),
                "name": found.name,
                "candidates": [
                    {
                        "name": candidate.name,
                        "score": round(candidate.score, 5),
                        "meaning": meaning(calibration, candidate.score),
                        "photo": str(enrolled.photos[candidate.template]),
                    }
                    for candidate in found.candidates
                ],
            }
            for face, found in probe.faces
        ],
    }


def _probe_text(probe: _Probe, enrolled: _Enrolled, calibration: Mapping[str, Any]) -> str:
    if probe.error is not None:
        return f"{probe.path}: {probe.error}"
    if not probe.faces:
        return f"{probe.path}: no face"
    lines = []
    for face, found in probe.faces:
        lines.append(
            f"{probe.path}, face of {width(face):.0f} pixels: {found.outcome}, "
            f"{SAID[found.outcome]}{f' {found.name}' if found.name else ''}"
        )
        lines += [
            f"  {candidate.score:.3f} {candidate.name}, {meaning(calibration, candidate.score)} "
            f"({enrolled.photos[candidate.template].name})"
            for candidate in found.candidates
        ]
        if advice(face):
            lines.append(f"  {advice(face)}")
    return "\n".join(lines)
