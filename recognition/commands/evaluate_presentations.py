"""`evaluate presentations`: one decision for each person, however many come."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from accesscontrol.assurance import Assurance
from recognition.commands.terminal import (
    Commands,
    add_report_options,
    load_pipeline,
    positive,
    say,
    show_figures,
    show_progress,
)
from recognition.evaluate.calibration import calibration_path
from recognition.evaluate.composed import (
    Clip,
    Composed,
    clip_frames,
    clip_of,
    clips_by_person,
    scenes,
)
from recognition.evaluate.datasets import DatasetError, images_by_person
from recognition.evaluate.embeddings import embed_files
from recognition.evaluate.presentations import Followed, Ruling, look, summarise, track
from recognition.evaluate.presentations_report import write_presentations_report
from recognition.fetch import models_folder
from recognition.home import home
from recognition.imported import calibration_file
from recognition.pipeline import Pipeline
from recognition.placing import Likeness
from recognition.search import Gallery
from recognition.types import Floats, FrameResult

IN_USE = "1e-6"
"""The false match rate that a new site starts at."""


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of evaluation."""
    parser = kinds.add_parser(
        "presentations", help="several people before a kiosk: one decision for each, no swaps"
    )
    parser.add_argument(
        "--clips",
        type=Path,
        required=True,
        metavar="DIR",
        help="a subfolder of clips for each person; the first clip of each is for enrolling them",
    )
    parser.add_argument(
        "--gallery",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="people who are enrolled, too: a subfolder of images for each; for one who is in the "
        "clips they are the templates instead of a clip",
    )
    parser.add_argument(
        "--scenes", type=positive, default=6, metavar="N", help="of each kind (%(default)s)"
    )
    add_report_options(
        parser, "the figures, the plots and report.html, with pictures of the people,"
    )
    parser.set_defaults(command=_presentations)


def _presentations(options: argparse.Namespace) -> int:
    paths = clips_by_person(options.clips)
    pipeline = load_pipeline(options)
    rulings = _rulings(pipeline.model.name)
    enrolled = _enrolled(pipeline, options)
    clips = _clips(pipeline, paths, enrolled, options.smallest_face)
    composed = scenes(clips, options.scenes)
    likeness = Likeness.by_rates({rate: one.threshold for rate, one in rulings.items()})
    followed = _follow(pipeline, composed, likeness, options.smallest_face)
    figures = summarise(composed, followed, Gallery.of(enrolled), rulings, IN_USE)
    figures["model"] = f"{pipeline.model.name} {pipeline.model.version}"
    if options.report:
        write_presentations_report(options.report, figures, composed)
        say(f"report in {options.report}")
    show_figures(figures, as_json=options.json)
    return 0


def _rulings(model: str) -> dict[str, Ruling]:
    """What a site asks for by default, at each calibrated false match rate."""
    shipped = calibration_path(model)
    path = shipped if shipped.exists() else calibration_file(models_folder(home()), model)
    if not path.exists():
        raise DatasetError(f"{model} has no calibration: nobody would be accepted")
    rows = json.loads(path.read_text())["thresholds"]
    thresholds = {row["fmr"]: float(row["threshold"]) for row in rows}
    margin = thresholds[IN_USE] - thresholds["1e-5"]
    return {rate: Ruling(one, margin, Assurance(margin)) for rate, one in thresholds.items()}


def _enrolled(pipeline: Pipeline, options: argparse.Namespace) -> dict[str, list[Floats]]:
    """Templates by person, of the people in the gallery's folders."""
    people = [(name, path) for folder in options.gallery
              for name, paths in images_by_person(folder).items() for path in paths]  # fmt: skip
    embedded = embed_files(
        pipeline,
        [path for _, path in people],
        smallest_face=options.smallest_face,
        progress=show_progress,
    )
    enrolled: dict[str, list[Floats]] = {}
    for name, path in people:
        if path in embedded.embeddings:
            enrolled.setdefault(name, []).append(embedded.embeddings[path])
    return enrolled


def _clips(
    pipeline: Pipeline,
    people: dict[str, list[Path]],
    enrolled: dict[str, list[Floats]],
    smallest_face: int,
) -> list[Clip]:
    """The clips to be shown; those who have no template yet get one of their first clip."""
    clips = []
    for person, paths in people.items():
        for path in paths:
            frames = clip_frames(path)
            results = [
                pipeline.analyse_pixels([pixels], smallest_face=smallest_face)[0]
                for pixels in frames
            ]
            if person not in enrolled:
                enrolled[person] = [_template(path, results)]
                continue
            clip = clip_of(path, frames, results)
            if clip is None:
                say(f"{path} shows no face")
            else:
                clips.append(clip)
    if len({clip.person for clip in clips}) < 2:
        raise DatasetError("At least two people need a clip beside the one that enrols them.")
    return clips


def _template(path: Path, results: Sequence[FrameResult]) -> Floats:
    """The best face of the clip."""
    faces = [result.faces[0] for result in results if result.faces]
    best = max(faces, key=lambda face: face.quality.score if face.quality else 0.0, default=None)
    if best is None or best.embedding is None:
        raise DatasetError(f"{path} shows no face, and is to enrol its person")
    return best.embedding


def _follow(
    pipeline: Pipeline, composed: Sequence[Composed], likeness: Likeness, smallest_face: int
) -> list[Followed]:
    followed: list[Followed] = []
    for number, scene in enumerate(composed, 1):
        followed += track(scene, look(pipeline, scene, smallest_face=smallest_face), likeness)
        show_progress(number, len(composed))
    return followed
