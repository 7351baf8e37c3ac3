"""`evaluate detection`: how well MTCNN finds annotated faces, the shipped weights and others."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import torch

from recognition.commands.terminal import (
    Commands,
    face_side,
    positive,
    say,
    show_figures,
    show_progress,
)
from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.detection import run_detectors, summarise
from recognition.evaluate.detection_report import write_detection_report
from recognition.fetch import models_folder
from recognition.home import home
from recognition.mtcnn import THRESHOLDS, Mtcnn, load_cascade
from recognition.training.cascade.annotations import read_annotations
from recognition.training.cascade.run import WEIGHTS
from recognition.training.cascade.thresholds import LEAST, find_all
from recognition.weights import load_into


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
        metavar=("P", "R"),
        help="of the first two networks (those that go with the weights); the last one's is what "
        "the curve goes through",
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
    nets = _nets(options)
    finders = {
        name: partial(find_all, net, options.smallest_face, (*net.thresholds[:2], LEAST))
        for name, net in nets.items()
    }
    found = run_detectors(finders, images, show_progress)
    try:
        figures = summarise(found, THRESHOLDS[2])
    except ValueError as error:
        raise DatasetError(f"{options.annotations}: {error}") from error
    for name, net in nets.items():
        figures[name] = {"thresholds": list(net.thresholds[:2]), **figures[name]}
    if options.report:
        write_detection_report(options.report, figures, found)
        say(f"report in {options.report}")
    show_figures(figures, as_json=options.json)
    return 0


def _nets(options: argparse.Namespace) -> dict[str, Mtcnn]:
    """The cascades by name, with the thresholds that they are to be run with."""
    shipped = Mtcnn()
    load_into(shipped, models_folder(home()), "mtcnn")
    nets = {"shipped": shipped}
    if options.weights:
        whole = options.weights / WEIGHTS if options.weights.is_dir() else options.weights
        nets["trained"] = load_cascade(whole)
    for net in nets.values():
        net.to(torch.device(options.device))
        if options.thresholds:
            net.thresholds = (*options.thresholds, net.thresholds[2])
    return nets


def _probability(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("above 0 and below 1")
    return value
