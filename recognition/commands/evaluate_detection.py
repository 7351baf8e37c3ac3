"""`evaluate detection`: how well MTCNN finds annotated faces, the shipped weights and others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from recognition.cascade import THRESHOLDS, cascade
from recognition.commands.terminal import (
    Commands,
    face_side,
    positive,
    say,
    show_figures,
    show_progress,
)
from recognition.detections import Detections
from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.detection import Finder, run_detectors, summarise
from recognition.evaluate.detection_report import write_detection_report
from recognition.fetch import models_folder
from recognition.home import home
from recognition.mtcnn import Mtcnn
from recognition.sampling import ImageSet
from recognition.training.cascade.annotations import read_annotations
from recognition.training.cascade.run import WEIGHTS
from recognition.types import Pixels
from recognition.weights import load_into, load_trained

_LEAST = 0.02
"""O-Net's threshold for the curve: below it nothing is looked at."""


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of evaluation."""
    parser = kinds.add_parser(
        "detection", help="recall against false positives, and the points, of MTCNN"
    )
    parser.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="of `train annotate`"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="RUN",
        help="a folder of `train mtcnn`, or its weights, to put beside the shipped ones",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--threads", type=positive, metavar="N", help="of torch, on the CPU")
    parser.add_argument(
        "--smallest-face",
        type=face_side,
        default=20,
        metavar="PIXELS",
        help="side of the smallest face to find (%(default)s)",
    )
    parser.add_argument(
        "--thresholds",
        type=_probability,
        nargs=2,
        default=THRESHOLDS[:2],
        metavar=("P", "R"),
        help="of the first two networks; the last one's is what the curve goes through "
        f"({THRESHOLDS[0]} {THRESHOLDS[1]})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write the figures and the curves there"
    )
    parser.set_defaults(command=_detection)


def _detection(options: argparse.Namespace) -> int:
    if options.threads:
        torch.set_num_threads(options.threads)
    images = read_annotations(options.annotations)
    if not all(image.complete for image in images):
        raise DatasetError(
            f"{options.annotations} has images in which not all faces are annotated: what is found "
            "there beside them cannot be counted as false"
        )
    finders = _finders(options)
    found = run_detectors(finders, images, show_progress)
    try:
        figures = {
            "thresholds": list(options.thresholds),
            **summarise(found, THRESHOLDS[2]),
        }
    except ValueError as error:
        raise DatasetError(f"{options.annotations}: {error}") from error
    if options.report:
        write_detection_report(options.report, figures, found)
        say(f"report in {options.report}")
    show_figures(figures, as_json=options.json)
    return 0


def _finders(options: argparse.Namespace) -> dict[str, Finder]:
    device = torch.device(options.device)
    shipped = Mtcnn()
    load_into(shipped, models_folder(home()), "mtcnn")
    finders = {"shipped": _finder(shipped.to(device), options)}
    if options.weights:
        trained = Mtcnn()
        whole = options.weights / WEIGHTS if options.weights.is_dir() else options.weights
        load_trained(trained, whole)
        finders["trained"] = _finder(trained.to(device), options)
    return finders


def _finder(net: Mtcnn, options: argparse.Namespace) -> Finder:
    """The cascade down to a low threshold of the last network."""
    device = torch.device(options.device)
    first, second = options.thresholds
    thresholds = (first, second, _LEAST)

    def find(images: Sequence[Pixels]) -> list[Detections]:
        with torch.inference_mode():
            seen = cascade(net, ImageSet(images, device), options.smallest_face, thresholds)
        return [_of(seen, number) for number in range(len(images))]

    return find


def _probability(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("above 0 and below 1")
    return value


def _of(seen: Detections, number: int) -> Detections:
    rows = seen.frame == number
    return Detections(
        torch.zeros_like(seen.frame[rows]), seen.boxes[rows], seen.points[rows], seen.scores[rows]
    )
