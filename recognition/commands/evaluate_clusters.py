"""`evaluate clusters`: whether visits of unknown people are grouped by person."""

from __future__ import annotations

import argparse
from pathlib import Path

from accesscontrol.score_tail import Calibration
from recognition.commands.calibrated import shipped
from recognition.commands.terminal import (
    Commands,
    add_report_options,
    load_pipeline,
    positive,
    say,
    show_figures,
    show_progress,
)
from recognition.evaluate.clusters import Visits, compare, grouped, timed
from recognition.evaluate.clusters_report import write_clusters_report
from recognition.evaluate.datasets import DatasetError, images_by_person
from recognition.evaluate.embeddings import embed_files
from recognition.pipeline import Pipeline

MADE_UP = 10_000


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of evaluation."""
    parser = kinds.add_parser("clusters", help="visits of unknown people, grouped by person")
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="a subfolder for each person"
    )
    parser.add_argument(
        "--staff",
        type=Path,
        metavar="DIR",
        help="likewise, the people enrolled at the site, whose scores say how alike people are",
    )
    parser.add_argument(
        "--frames", type=positive, default=1, metavar="N", help="images of a visit (%(default)s)"
    )
    parser.add_argument(
        "--timed",
        type=positive,
        default=MADE_UP,
        metavar="N",
        help="made-up visits that are timed (%(default)s)",
    )
    add_report_options(parser, "the figures, their plot and report.html")
    parser.set_defaults(command=_clusters)


def _clusters(options: argparse.Namespace) -> int:
    pipeline = load_pipeline(options)
    calibration = Calibration.read(shipped(pipeline))
    visits = _visits(pipeline, options.images, options.frames, options)
    staff = _visits(pipeline, options.staff, 1, options) if options.staff else None
    figures = compare(visits, calibration, staff)
    figures["timed"] = timed(options.timed, pipeline.model.dimension, calibration)
    figures["frames_a_visit"] = options.frames
    figures["model"] = f"{pipeline.model.name} {pipeline.model.version}"
    if options.report:
        write_clusters_report(options.report, figures)
        say(f"report in {options.report}")
    show_figures(figures, as_json=options.json)
    return 0


def _visits(pipeline: Pipeline, folder: Path, each: int, options: argparse.Namespace) -> Visits:
    named = images_by_person(folder)
    of = {path: number for number, paths in enumerate(named.values()) for path in paths}
    embedded = embed_files(
        pipeline, list(of), smallest_face=options.smallest_face, progress=show_progress
    )
    say(f"{len(embedded.missed)} images without a face left out")
    if not embedded.embeddings:
        raise DatasetError(f"no image in {folder} has a face")
    return grouped(
        list(embedded.embeddings.values()), [of[path] for path in embedded.embeddings], each
    )
