"""`train look`: what is done to faces while a network is trained, in one picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from recognition.commands.terminal import Commands, show
from recognition.training.contact_sheet import write_contact_sheet


def add_to(kinds: Commands) -> None:
    """Add it to the kinds of training."""
    parser = kinds.add_parser("look", help="how faces are changed while training, on a drawn one")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a JPEG")
    parser.add_argument(
        "--turned", action="store_true", help="heads turned, in place of the kiosk's look"
    )
    parser.set_defaults(command=_look)


def _look(options: argparse.Namespace) -> int:
    write_contact_sheet(options.out, turned=options.turned)
    show(str(options.out))
    return 0
