"""`fetch-faces`: fetch the public-domain portraits of the demo and the tests, once."""

from __future__ import annotations

import argparse

from recognition import sample_faces
from recognition.commands.terminal import Commands, say, show
from recognition.home import home


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "fetch-faces", help="fetch the public-domain portraits of the demo and the tests, once"
    )
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    for path in sample_faces.fetch(home(), say=say).values():
        show(str(path))
    return 0
