"""`bench`: time the pipeline stage by stage and end to end, and beside other libraries."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from recognition.bench import BenchError, bench, prepare_frames, soak
from recognition.bench.peer_environment import peers_python
from recognition.bench.peer_table import table
from recognition.bench.peers import Telling, compare, frames_of_datasets, frames_of_portraits
from recognition.bench.recall import Dataset, clip_folder, image_folder, portraits
from recognition.bench.timing import one_core
from recognition.commands.terminal import (
    Commands,
    add_pipeline_options,
    positive,
    say,
    show,
    show_json,
)
from recognition.fetch import models_folder
from recognition.home import home
from recognition.pipeline import Pipeline
from recognition.sample_faces import fetch


class Named(NamedTuple):
    """A folder and what it is called in the report."""

    name: str
    folder: Path


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "bench", help="time the pipeline stage by stage and end to end, and beside other libraries"
    )
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
        choices=["auto", "torch", "openvino"],
        default="auto",
        help="what runs the networks; auto takes OpenVINO on the CPU where it is installed",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_pipeline_options(parser, threads=1)
    _add_peers(parser)
    parser.set_defaults(command=_run)


def _add_peers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "comparison with other libraries",
        "on one CPU core, installed into an environment of their own when first needed",
    )
    group.add_argument(
        "--peers", action="store_true", help="compare with face_recognition and facenet-pytorch"
    )
    group.add_argument(
        "--images",
        type=_named,
        action="append",
        default=[],
        metavar="[NAME=]FOLDER",
        help="images of one person each, near the centre: who finds them; may be repeated",
    )
    group.add_argument(
        "--clips",
        type=_named,
        action="append",
        default=[],
        metavar="[NAME=]FOLDER",
        help="clips of one person each before a fixed camera, likewise",
    )
    group.add_argument(
        "--sample",
        type=positive,
        default=200,
        metavar="N",
        help="images, or frames of clips, of each folder (%(default)s)",
    )


def _run(options: argparse.Namespace) -> int:
    if not options.peers and (options.images or options.clips):
        raise BenchError("--images and --clips say on what to compare: give --peers with them")
    if options.peers and (options.device not in ("auto", "cpu") or options.threads != 1):
        raise BenchError(
            "--peers compares on one core of the CPU: leave --device and --threads out"
        )
    with one_core() if options.peers else nullcontext():
        figures, lines = _figures(options)
    if options.json:
        show_json(figures)
    for line in lines:
        (say if options.json else show)(line)
    return 0


def _figures(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """All figures, and the same for people."""
    rounds = max(1, options.rounds)
    datasets = _datasets(options)
    python = peers_python(home(), say=say) if options.peers else None
    pipeline = _load(options)
    image = options.image or fetch(home(), say=say)["astronaut.png"]
    frames = prepare_frames(pipeline, image.read_bytes())
    say(f"{rounds} rounds of each part")
    figures = bench(pipeline, frames, smallest_face=options.smallest_face, rounds=rounds)
    figures["runtime"] = pipeline.runtime
    figures["precision"] = pipeline.precision
    if options.soak > 0:
        say(f"{options.soak} frames for the memory")
        figures |= soak(pipeline, frames, count=options.soak, progress=_tenths("frames"))
    lines = [f"{name:18} {value}" for name, value in figures.items()]
    if python is not None:
        compared = _compared(pipeline, python, datasets, rounds)
        figures |= compared
        lines += ["", table(compared)]
    return figures, lines


def _compared(
    pipeline: Pipeline, python: Path, datasets: Sequence[Dataset], rounds: int
) -> dict[str, Any]:
    samples = sorted(fetch(home(), say=say).values())
    timed = frames_of_portraits(pipeline, samples)
    timed = frames_of_datasets(pipeline, datasets, timed)
    return compare(
        pipeline,
        python,
        timed,
        datasets or [portraits("portraits", samples)],
        rounds=rounds,
        tell=Telling(say, _tenths),
    )


def _datasets(options: argparse.Namespace) -> list[Dataset]:
    datasets = [image_folder(named.name, named.folder, options.sample) for named in options.images]
    datasets += [clip_folder(named.name, named.folder, options.sample) for named in options.clips]
    names = [dataset.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise BenchError("two folders have one name; name them apart: --images NAME=FOLDER")
    return datasets


def _named(text: str) -> Named:
    name, given, folder = text.partition("=")
    return Named(name, Path(folder)) if given else Named(Path(text).resolve().name, Path(text))


def _tenths(what: str) -> Callable[[int, int], None]:
    """Progress on stderr, a line for every tenth."""
    last = 0

    def progress(done: int, total: int) -> None:
        nonlocal last
        if done * 10 // total > last:
            last = done * 10 // total
            say(f"{done}/{total} {what}")

    return progress


def _load(options: argparse.Namespace) -> Pipeline:
    try:
        return Pipeline.load(
            models_folder(home()),
            device="cpu" if options.peers else options.device,
            threads=options.threads,
            runtime=options.runtime,
            precision=options.precision,
            embedder=options.embedder,
        )
    except ValueError as error:
        raise BenchError(str(error)) from error
