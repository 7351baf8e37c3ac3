"""`train compare`: what each loss and each mining makes of the same small embedder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import torch

from recognition.commands.terminal import Commands, positive, say, show_figures
from recognition.commands.train_faces import add_face_options, faces_by_part
from recognition.commands.training_progress import training_progress
from recognition.training.backbones import BACKBONES
from recognition.training.compare import SHARES, Budget, compare_losses, summarise
from recognition.training.compare_report import write_compare_report
from recognition.training.config import Precision
from recognition.training.machine import machine


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of training."""
    usual = Budget()
    parser = kinds.add_parser(
        "compare", help="a small embedder from nothing under each loss, on people split apart"
    )
    add_face_options(parser)
    parser.add_argument("--steps", type=positive, default=usual.steps, help="each (%(default)s)")
    parser.add_argument(
        "--seeds", type=positive, default=2, metavar="N", help="runs of each loss (%(default)s)"
    )
    parser.add_argument("--backbone", choices=BACKBONES, default=usual.network)
    parser.add_argument("--precision", choices=get_args(Precision), default=usual.precision)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="runs and results")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> int:
    parts = faces_by_part(options, options.out / "faces.safetensors", SHARES)
    budget = Budget(
        steps=options.steps,
        network=options.backbone,
        precision=options.precision,
        device=options.device,
    )
    seeds = range(options.seed, options.seed + options.seeds)
    with training_progress() as listener:
        found = compare_losses(parts, budget, seeds, options.out / "runs", listener=listener)
    figures = {**summarise(found, seeds), "machine": machine(torch.device(options.device))}
    write_compare_report(options.out, figures)
    say(f"losses.json, losses.svg and losses.html in {options.out}")
    show_figures(figures, as_json=options.json)
    return 0
