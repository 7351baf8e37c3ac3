"""`bench`: time the pipeline stage by stage and end to end."""

from __future__ import annotations

import argparse
from pathlib import Path

from recognition.bench import BenchError, bench, prepare_frames, soak
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    say,
    show,
    show_json,
)
from recognition.fetch import models_folder
from recognition.home import home
from recognition.pipeline import Pipeline
from recognition.sample_faces import fetch


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("bench", help=__doc__)
    parser.add_argument(
        "--image",
        type=Path,
        metavar="FILE",
        help="a portrait; by default one out of a package, downloaded once",
    )
    parser.add_argument("--rounds", type=int, default=30, help="runs of each part (%(default)s)")
    parser.add_argument(
        "--soak",
        type=int,
        default=0,
        metavar="FRAMES",
        help="then analyse so many frames and tell by how much memory has grown",
    )
    parser.add_argument(
        "--runtime",
        choices=["torch", "openvino"],
        default="torch",
        help="what runs the networks; OpenVINO on the CPU only (%(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_pipeline_options(parser, threads=1)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    pipeline = _load(options)
    image = options.image or fetch(home(), say=say)["astronaut.png"]
    frames = prepare_frames(pipeline, image.read_bytes())
    say(f"{options.rounds} rounds of each part")
    figures = bench(
        pipeline, frames, smallest_face=options.smallest_face, rounds=max(1, options.rounds)
    )
    figures["runtime"] = options.runtime
    if options.soak > 0:
        say(f"{options.soak} frames for the memory")
        figures |= soak(pipeline, frames, count=options.soak)
    if options.json:
        show_json(figures)
    else:
        for name, value in figures.items():
            show(f"{name:18} {value}")
    return 0


def _load(options: argparse.Namespace) -> Pipeline:
    try:
        return Pipeline.load(
            models_folder(home()),
            device=options.device,
            threads=options.threads,
            runtime=options.runtime,
            embedder=options.embedder,
        )
    except ValueError as error:
        raise BenchError(str(error)) from error
