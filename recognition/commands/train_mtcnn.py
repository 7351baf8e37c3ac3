"""`train mtcnn`: the three networks of MTCNN from annotated images."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from recognition.commands.terminal import Commands, positive, say, show_figures, show_progress
from recognition.commands.training_progress import training_progress
from recognition.training.cascade.annotations import AnnotatedImage, read_annotations
from recognition.training.cascade.run import WEIGHTS, CascadeConfig, Told, train_cascade
from recognition.training.cascade.trainee import STAGES


def add_to(kinds: Commands) -> None:
    """Add it to what can be trained."""
    parser = kinds.add_parser(
        "mtcnn", help="MTCNN's three networks, from nothing; killed, it goes on when run again"
    )
    parser.add_argument(
        "--annotations",
        type=Path,
        required=True,
        nargs="+",
        metavar="FILE",
        help="of `train annotate`",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    defaults = CascadeConfig()
    usual = [defaults.stages[stage].steps for stage in STAGES]
    parser.add_argument(
        "--steps",
        type=positive,
        nargs=3,
        default=usual,
        metavar=("P", "R", "O"),
        help=f"of each network ({' '.join(map(str, usual))})",
    )
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--threads", type=positive, metavar="N", help="of torch, on the CPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=_mtcnn)


def _mtcnn(options: argparse.Namespace) -> int:
    if options.threads:
        torch.set_num_threads(options.threads)
    images: dict[Path, AnnotatedImage] = {}
    for file in options.annotations:
        images |= {image.path.resolve(): image for image in read_annotations(file)}
    usual = CascadeConfig(seed=options.seed, device=options.device)
    stages = {
        stage: replace(usual.stages[stage], steps=steps)
        for stage, steps in zip(STAGES, options.steps, strict=True)
    }
    figures = train_cascade(
        list(images.values()),
        options.out,
        replace(usual, stages=stages),
        Told(training_progress, say, show_progress),
    )
    say(f"weights in {options.out / WEIGHTS}")
    show_figures(figures, as_json=options.json)
    return 0
