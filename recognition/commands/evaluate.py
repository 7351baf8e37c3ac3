"""`evaluate`: measure error rates on labelled images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from recognition.commands import evaluate_pad
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    load_pipeline,
    say,
    show,
    show_json,
    show_progress,
)
from recognition.evaluate.calibration import calibrate, calibration_path
from recognition.evaluate.datasets import images_by_person, read_pairs
from recognition.evaluate.embeddings import embed_files
from recognition.evaluate.report import write_report
from recognition.evaluate.verification import curve_of, score_pairs, summarise
from recognition.packages import write_atomically


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("evaluate", help=__doc__)
    kinds = parser.add_subparsers(required=True, metavar="WHAT")

    verification = kinds.add_parser("verification", help="1:1, over a list of pairs")
    verification.add_argument("--images", type=Path, required=True, metavar="DIR")
    verification.add_argument(
        "--pairs", type=Path, required=True, metavar="FILE", help="in LFW's format"
    )
    verification.add_argument("--json", action="store_true", help="print one JSON object")
    verification.add_argument(
        "--report", type=Path, metavar="DIR", help="write the figures and the DET plot there"
    )
    add_pipeline_options(verification)
    verification.set_defaults(command=_verification)

    calibration = kinds.add_parser(
        "calibrate", help="thresholds by false match rate, from all pairs of a folder of people"
    )
    calibration.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="a subfolder for each person"
    )
    calibration.add_argument(
        "--data", required=True, metavar="NAME", help="the data set's name, for the record"
    )
    calibration.add_argument(
        "--out", type=Path, metavar="FILE", help="by default the embedder's own in the package"
    )
    add_pipeline_options(calibration)
    calibration.set_defaults(command=_calibrate)
    evaluate_pad.add_to(kinds)


def _verification(options: argparse.Namespace) -> int:
    pairs = read_pairs(options.pairs)
    pipeline = load_pipeline(options)
    scored = score_pairs(
        pipeline,
        options.images,
        pairs,
        smallest_face=options.smallest_face,
        progress=show_progress,
    )
    figures = summarise(scored)
    figures["model"] = f"{pipeline.model.name} {pipeline.model.version}"
    if options.report:
        title = f"Verification, {len(pairs)} pairs"
        write_report(options.report, figures, curve_of(scored), title)
        say(f"report in {options.report}")
    if options.json:
        show_json(figures)
    else:
        show(json.dumps(figures, indent=2))
    return 0


def _calibrate(options: argparse.Namespace) -> int:
    people = images_by_person(options.images)
    person_of = {path: person for person, paths in people.items() for path in paths}
    pipeline = load_pipeline(options)
    embedded = embed_files(
        pipeline,
        list(person_of),
        smallest_face=options.smallest_face,
        progress=show_progress,
    )
    found = embedded.embeddings
    calibration = calibrate(
        np.stack(list(found.values())),
        [person_of[path] for path in found],
        pipeline.model,
        options.data,
    )
    out = options.out or calibration_path(pipeline.model.name)
    write_atomically(out, (json.dumps(calibration, indent=2) + "\n").encode())
    say(f"{len(embedded.missed)} images without a face left out")
    show(str(out))
    return 0
