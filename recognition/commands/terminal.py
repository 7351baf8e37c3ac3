"""What the commands share: writing to the terminal, and the options of the pipeline."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from recognition.detect import DetectorName
from recognition.fetch import models_folder
from recognition.home import home
from recognition.pipeline import Pipeline
from recognition.precision import Precision

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001
else:
    Commands = Any


def say(message: str) -> None:
    """A line of progress, or an error, on stderr."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def show(line: str) -> None:
    """A line of the result, on stdout."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def show_json(value: object) -> None:
    """A JSON object on one line of stdout."""
    show(json.dumps(value, allow_nan=False))


def show_figures(figures: object, *, as_json: bool) -> None:
    """Figures on stdout: a JSON object on one line, or indented for people."""
    if as_json:
        show_json(figures)
    else:
        show(json.dumps(figures, indent=2))


def show_progress(done: int, total: int) -> None:
    """Counts on stderr: in place on a terminal, else a line for every tenth."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done}/{total} images" + ("\n" if done >= total else ""))
        sys.stderr.flush()
    elif done >= total or done * 10 // total != (done - 1) * 10 // total:
        say(f"{done}/{total} images")


def add_pipeline_options(parser: argparse.ArgumentParser, *, threads: int | None = None) -> None:
    """--device, --threads, --precision, --smallest-face, --embedder and --detector."""
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda or auto, which takes CUDA if there is any"
    )
    parser.add_argument(
        "--threads", type=positive, default=threads, metavar="N", help="of torch, on the CPU"
    )
    parser.add_argument(
        "--precision",
        default="auto",
        choices=get_args(Precision),
        help="of the networks: reduced is 16 bits, which auto takes where the processor is made "
        "for it",
    )
    parser.add_argument(
        "--smallest-face",
        type=face_side,
        default=40,
        metavar="PIXELS",
        help="side of the smallest face to find (%(default)s)",
    )
    parser.add_argument(
        "--embedder",
        default="fused",
        metavar="NAME",
        help=(
            "fused; mobilefacenet, its first part alone; or one that was added with import-model "
            "(%(default)s)"
        ),
    )
    parser.add_argument(
        "--detector",
        default="retinaface",
        type=_detector,
        metavar="NAME",
        help=(
            "retinaface, mtcnn, or the path of MTCNN's weights as `train mtcnn` writes them "
            "(%(default)s)"
        ),
    )


def add_report_options(parser: argparse.ArgumentParser, contents: str) -> None:
    """--json and --report, then those of the pipeline.

    Args:
        contents: what the report is made of, for the help.
    """
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--report", type=Path, metavar="DIR", help=f"write {contents} there")
    add_pipeline_options(parser)


def load_pipeline(options: argparse.Namespace) -> Pipeline:
    """The pipeline with the installation's models, as the options want it.

    Raises:
        WeightsError: the models are not there; the message names the command that gets them.
    """
    return Pipeline.load(
        models_folder(home()),
        device=options.device,
        threads=options.threads,
        precision=options.precision,
        embedder=options.embedder,
        detector=options.detector,
    )


def positive(text: str) -> int:
    """An option's value of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1 is needed")
    return number


def _detector(text: str) -> DetectorName | Path:
    names: dict[str, DetectorName] = {"retinaface": "retinaface", "mtcnn": "mtcnn"}
    return names.get(text, Path(text))


def face_side(text: str) -> int:
    """An option's value: the side of the smallest face to find, in pixels."""
    number = int(text)
    if number < 12:
        raise argparse.ArgumentTypeError("the detector's window has 12 pixels: at least 12")
    return number
