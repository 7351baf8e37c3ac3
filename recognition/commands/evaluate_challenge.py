"""`evaluate challenge`: who passes the challenge of strict sites by chance or with a picture."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    positive,
    show_figures,
    show_progress,
)
from recognition.evaluate import challenge as evaluated
from recognition.evaluate.calibration import calibration_path
from recognition.evaluate.challenge import Seen, Turns, by_chance, by_turning, faces_of, turns
from recognition.evaluate.composed import clip_frames
from recognition.evaluate.datasets import DatasetError, images_by_person
from recognition.evaluate.pad_data import CLIPS
from recognition.evaluate.turning import SURFACES, as_at_a_kiosk
from recognition.fetch import models_folder
from recognition.home import home
from recognition.images import PHOTO_LIMITS, ImageError, decode
from recognition.imported import calibration_file
from recognition.pipeline import Pipeline
from recognition.types import Pixels

LEVEL = 12.0
"""Degrees of yaw within which a portrait looks ahead."""


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of evaluation."""
    parser = kinds.add_parser(
        "challenge", help="who passes the challenge of strict sites by chance or with a picture"
    )
    parser.add_argument(
        "--clips",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="clips of people who were asked nothing, in it or its subfolders",
    )
    parser.add_argument(
        "--stills",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="a subfolder of portraits for each person; one that looks ahead is turned in software",
    )
    parser.add_argument(
        "--people",
        type=positive,
        default=40,
        metavar="N",
        help="of the portraits, at most (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_pipeline_options(parser)
    parser.set_defaults(command=_challenge)


def _challenge(options: argparse.Namespace) -> int:
    if not options.clips and not options.stills:
        raise DatasetError("Name clips or portraits: --clips DIR, --stills DIR")
    pipeline = load_pipeline(options)
    alike = _alike(pipeline.model.name)
    figures = evaluated.summary() | {"alike": alike}
    figures["model"] = f"{pipeline.model.name} {pipeline.model.version}"
    if options.clips:
        figures["by_chance"] = by_chance(_clips(pipeline, options), alike)
    if options.stills:
        figures["by_turning"] = by_turning(_turned(pipeline, options), alike)
    show_figures(figures, as_json=options.json)
    return 0


def _alike(model: str) -> float:
    """The cosine from which on tracking takes two faces of a walk-up for one person's."""
    shipped = calibration_path(model)
    path = shipped if shipped.exists() else calibration_file(models_folder(home()), model)
    if not path.exists():
        raise DatasetError(f"{model} has no calibration: nobody would be accepted")
    rows = json.loads(path.read_text())["thresholds"]
    return float(next(row["threshold"] for row in rows if row["fmr"] == "1e-6"))


def _clips(pipeline: Pipeline, options: argparse.Namespace) -> dict[str, list[Seen | None]]:
    paths = [
        path
        for folder in options.clips
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in CLIPS
    ]
    if not paths:
        raise DatasetError(f"No clips in {', '.join(map(str, options.clips))}")
    found = {}
    for number, path in enumerate(paths, 1):
        name = f"{path.parent.name}/{path.stem}"
        found[name] = faces_of(pipeline, clip_frames(path), options.smallest_face)
        show_progress(number, len(paths))
    return found


def _turned(pipeline: Pipeline, options: argparse.Namespace) -> list[list[Turns]]:
    def look(pixels: Pixels) -> Seen | None:
        return faces_of(pipeline, [pixels], options.smallest_face)[0]

    portraits: list[list[Turns]] = []
    for pixels in _portraits(options):
        (result,) = pipeline.analyse_pixels([pixels], smallest_face=options.smallest_face)
        if len(portraits) >= options.people:
            break
        if not result.faces or not _looks_ahead(Seen.of(result.faces[0])):
            continue
        shown, points = as_at_a_kiosk(pixels, result.faces[0].points)
        portraits.append([turns(shown, points, surface, look) for surface in SURFACES])
        show_progress(len(portraits), options.people)
    if not portraits:
        raise DatasetError("No portrait looks ahead.")
    return portraits


def _looks_ahead(seen: Seen) -> bool:
    return abs(seen.yaw) <= LEVEL and abs(seen.pitch) <= LEVEL


def _portraits(options: argparse.Namespace) -> Iterator[Pixels]:
    """The first readable picture of each person."""
    for folder in options.stills:
        for paths in images_by_person(folder).values():
            try:
                yield decode(paths[0].read_bytes(), PHOTO_LIMITS).pixels
            except ImageError:
                continue
