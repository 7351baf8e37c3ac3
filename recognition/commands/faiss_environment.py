"""`faiss-environment`: set up faiss, with which `manage.py bench_gallery` compares, once."""

from __future__ import annotations

import argparse

from recognition.bench.peer_environment import FAISS, peers_python
from recognition.commands.terminal import Commands, say, show
from recognition.home import home


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "faiss-environment",
        help="set up faiss, with which `manage.py bench_gallery` compares, once",
    )
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    """Print the Python of the environment."""
    show(str(peers_python(home(), say=say, peers=FAISS)))
    return 0
