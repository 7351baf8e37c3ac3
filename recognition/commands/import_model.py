"""`import-model` and `forget-model`: a company's own embedder of faces."""

from __future__ import annotations

import argparse
from pathlib import Path

from recognition.commands.terminal import Commands, say, show
from recognition.fetch import models_folder
from recognition.home import home
from recognition.imported import weights_file
from recognition.importing import Wanted, forget_model, import_model


def add_to(commands: Commands) -> None:
    """Add both commands to the command line."""
    parser = commands.add_parser(
        "import-model", help="add an embedder of your own, from an ONNX or safetensors file"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="ArcFace-type, (N, 3, 112, 112)")
    parser.add_argument("--name", required=True, help="for --embedder and GATEHOUSE_EMBEDDER")
    parser.add_argument("--licence", required=True, metavar="TEXT", help="of the weights")
    parser.add_argument("--version", metavar="V", help="by default a part of its SHA-256")
    parser.add_argument(
        "--channels",
        choices=["RGB", "BGR"],
        help="their order in the network's input (RGB)",
    )
    parser.add_argument(
        "--mean",
        type=float,
        help="values 0..255 go in as (v - mean) / scale (127.5; 0 where the file subtracts itself)",
    )
    parser.add_argument(
        "--scale",
        type=float,
        help="(127.5; our MobileFaceNet 128; 1 where the file divides itself)",
    )
    parser.set_defaults(command=_import)
    parser = commands.add_parser("forget-model", help="remove an imported embedder")
    parser.add_argument("name", metavar="NAME")
    parser.set_defaults(command=_forget)


def _import(options: argparse.Namespace) -> int:
    wanted = Wanted(
        name=options.name,
        licence=options.licence,
        version=options.version,
        channels=options.channels,
        mean=options.mean,
        scale=options.scale,
    )
    info = import_model(home(), options.file, wanted, say)
    say(f"{info.name} {info.version}: {info.dimension} numbers, registered as {info.sha256}")
    say(
        "It accepts nobody before it is calibrated: python -m recognition evaluate calibrate "
        f"--embedder {info.name} --images FOLDER --data NAME"
    )
    show(str(weights_file(models_folder(home()), info.name)))
    return 0


def _forget(options: argparse.Namespace) -> int:
    forget_model(home(), options.name, say)
    show(options.name)
    return 0
