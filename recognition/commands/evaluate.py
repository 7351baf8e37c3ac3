"""`evaluate`: measure error rates on labelled images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from recognition.commands import (
    evaluate_budget,
    evaluate_challenge,
    evaluate_clusters,
    evaluate_detection,
    evaluate_pad,
    evaluate_presentations,
    evaluate_quality,
)
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    add_report_options,
    load_pipeline,
    positive,
    say,
    show,
    show_figures,
    show_progress,
)
from recognition.evaluate import identification, verification
from recognition.evaluate.calibration import calibrate, calibration_path, unfit_for_a_door
from recognition.evaluate.datasets import (
    DatasetError,
    images_by_person,
    make_pairs,
    read_pairs,
)
from recognition.evaluate.embeddings import embed_files
from recognition.evaluate.report import Report, write_report
from recognition.fetch import models_folder
from recognition.home import home
from recognition.imported import calibration_file, entries
from recognition.packages import write_atomically


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("evaluate", help="measure error rates on labelled images")
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    _add_verification(kinds)
    _add_identification(kinds)
    _add_calibrate(kinds)
    _add_pairs(kinds)
    evaluate_pad.add_to(kinds)
    evaluate_quality.add_to(kinds)
    evaluate_budget.add_to(kinds)
    evaluate_presentations.add_to(kinds)
    evaluate_clusters.add_to(kinds)
    evaluate_challenge.add_to(kinds)
    evaluate_detection.add_to(kinds)


def _add_verification(kinds: Commands) -> None:
    parser = kinds.add_parser("verification", help="1:1, over a list of pairs")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pairs", type=Path, required=True, metavar="FILE", help="in LFW's format")
    _add_output_options(parser)
    parser.set_defaults(command=_verification)


def _add_identification(kinds: Commands) -> None:
    parser = kinds.add_parser("identification", help="1:N, over folders named by identity")
    parser.add_argument(
        "--gallery", type=Path, required=True, metavar="DIR", help="a subfolder for each person"
    )
    parser.add_argument(
        "--probes",
        type=Path,
        required=True,
        metavar="DIR",
        help="likewise; people who are not in the gallery count as strangers",
    )
    parser.add_argument(
        "--strangers",
        type=Path,
        metavar="DIR",
        help="likewise; without any strangers each probe is one, to all people but its own",
    )
    _add_output_options(parser)
    parser.set_defaults(command=_identification)


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    add_report_options(
        parser, "the figures, the plots and report.html, with the worst pairs' photos,"
    )


def _add_calibrate(kinds: Commands) -> None:
    parser = kinds.add_parser(
        "calibrate", help="thresholds by false match rate, from all pairs of a folder of people"
    )
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="a subfolder for each person"
    )
    parser.add_argument(
        "--data", required=True, metavar="NAME", help="the data set's name, for the record"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="by default where workers find it: in the package, or beside an imported model",
    )
    add_pipeline_options(parser)
    parser.set_defaults(command=_calibrate)


def _add_pairs(kinds: Commands) -> None:
    parser = kinds.add_parser(
        "pairs", help="a list of pairs for verification, from a folder of people; always the same"
    )
    parser.add_argument(
        "--images", type=Path, required=True, metavar="DIR", help="a subfolder for each person"
    )
    parser.add_argument("--first", default="*", metavar="PATTERN", help="file names (%(default)s)")
    parser.add_argument("--second", default="*", metavar="PATTERN", help="file names (%(default)s)")
    parser.add_argument("--folds", type=positive, default=10, metavar="N", help="(%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.set_defaults(command=_pairs)


def _verification(options: argparse.Namespace) -> int:
    pairs = read_pairs(options.pairs)
    pipeline = load_pipeline(options)
    scored = verification.score_pairs(
        pipeline,
        options.images,
        pairs,
        smallest_face=options.smallest_face,
        progress=show_progress,
    )
    figures = verification.summarise(scored)
    figures["model"] = f"{pipeline.model.name} {pipeline.model.version}"
    _tell(options, verification.report_of(scored, figures))
    return 0


def _identification(options: argparse.Namespace) -> int:
    gallery, probes = images_by_person(options.gallery), images_by_person(options.probes)
    strangers = images_by_person(options.strangers) if options.strangers else {}
    pipeline = load_pipeline(options)
    result = identification.identify(
        pipeline,
        gallery,
        probes,
        strangers,
        smallest_face=options.smallest_face,
        progress=show_progress,
    )
    figures = identification.summarise(result)
    figures["model"] = f"{pipeline.model.name} {pipeline.model.version}"
    _tell(options, identification.report_of(result, figures))
    return 0


def _tell(options: argparse.Namespace, report: Report) -> None:
    if options.report:
        write_report(options.report, report)
        say(f"report in {options.report}")
    show_figures(report.figures, as_json=options.json)


def _pairs(options: argparse.Namespace) -> int:
    people = images_by_person(options.images)
    lines = make_pairs(people, options.first, options.second, folds=options.folds)
    text = "".join("\t".join(words) + "\n" for words in lines)
    write_atomically(options.out, text.encode())
    show(str(options.out))
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
    say(f"{len(embedded.missed)} images without a face left out")
    shown_people = [person_of[path] for path in found]
    if len(set(shown_people)) < 2:
        raise DatasetError("A calibration needs images with faces of at least two people.")
    calibration = calibrate(
        np.stack(list(found.values())), shown_people, pipeline.model, options.data
    )
    out = options.out or _kept_calibration(pipeline.model.name, calibration)
    write_atomically(out, (json.dumps(calibration, indent=2) + "\n").encode())
    show(str(out))
    return 0


def _kept_calibration(name: str, calibration: dict[str, object]) -> Path:
    """Where a worker looks for the calibration; only one that gives it a threshold gets there."""
    models = models_folder(home())
    if name not in entries(models):
        return calibration_path(name)
    reason = unfit_for_a_door(calibration)
    if reason is not None:
        raise DatasetError(f"Nothing was written: {reason}")
    return calibration_file(models, name)
