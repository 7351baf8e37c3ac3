"""`train lesson`: what each loss makes of features, on digits."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from recognition.commands import (
    train_annotate,
    train_compare,
    train_embedding,
    train_look,
    train_mtcnn,
    train_throughput,
)
from recognition.commands.terminal import Commands, positive, say, show_figures
from recognition.home import home
from recognition.training.digits import digits
from recognition.training.lesson import STEPS, summarise, teach
from recognition.training.lesson_report import write_lesson_report


def add_to(commands: Commands) -> None:
    """Add it to the commands."""
    parser = commands.add_parser("train", help="learn embedders, and what losses do")
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    train_embedding.add_to(kinds)
    train_compare.add_to(kinds)
    train_throughput.add_to(kinds)
    train_look.add_to(kinds)
    lesson = kinds.add_parser("lesson", help="features of digits under each loss, side by side")
    lesson.add_argument("--steps", type=positive, default=STEPS, help="of each loss (%(default)s)")
    lesson.add_argument("--seed", type=int, default=0)
    lesson.add_argument("--threads", type=positive, metavar="N", help="of torch")
    lesson.add_argument("--json", action="store_true", help="print one JSON object")
    lesson.add_argument(
        "--report", type=Path, metavar="DIR", help="write the figures and the picture there"
    )
    lesson.set_defaults(command=_lesson)
    train_annotate.add_to(kinds)
    train_mtcnn.add_to(kinds)


def _lesson(options: argparse.Namespace) -> int:
    if options.threads:
        torch.set_num_threads(options.threads)
    learn, unseen = digits(home(), say=say)
    learnt = teach(
        learn,
        unseen,
        steps=options.steps,
        seed=options.seed,
        progress=lambda name: say(f"{name} ..."),
    )
    figures = summarise(learnt)
    if options.report:
        write_lesson_report(options.report, figures, learnt)
        say(f"report in {options.report}")
    show_figures(figures, as_json=options.json)
    return 0
