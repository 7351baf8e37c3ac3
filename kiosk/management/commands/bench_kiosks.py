"""`manage.py bench_kiosks`: many simulated kiosks before a real installation."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kiosk.installation import StepError
from kiosk.load import clients
from kiosk.load.plot import write_plot
from kiosk.load.prepare import prepare
from kiosk.load.run import Plan, bench


class Command(BaseCommand):
    help = (
        "Let many simulated kiosks stream people walking past into an installation of its own: "
        "what is looked at and dropped, how long people wait, how fairly, and whether a kiosk "
        "that floods the server is felt by others."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--kiosks", type=int, default=50, help="at most (%(default)s)")
        parser.add_argument(
            "--rate", type=float, default=20.0, help="frames a second of each (%(default)s)"
        )
        parser.add_argument(
            "--seconds", type=float, default=20.0, help="of each phase (%(default)s)"
        )
        parser.add_argument(
            "--flood", type=int, default=1, metavar="K",
            help="kiosks that send at 100 times the page's rate; 0 leaves that out (%(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--faces", type=Path, metavar="DIR",
            help="a folder with a folder of images for each person, instead of the sample faces",
        )  # fmt: skip
        parser.add_argument("--plot", type=Path, metavar="FILE", help="write a plot there, as SVG")
        parser.add_argument("--json", action="store_true", help="one object on stdout")
        # What the benchmark starts itself with, in the scratch installation.
        parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
        parser.add_argument("--clients", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["clients"]:
            clients.main()
        elif options["prepare"]:
            self.stdout.write(json.dumps(prepare(json.loads(options["prepare"].read_text()))))
        else:
            self._bench(options)

    def _bench(self, options: dict[str, Any]) -> None:
        if settings.ENVIRONMENT.database_url or settings.ENVIRONMENT.redis_url:
            raise CommandError(
                "Unset DATABASE_URL and REDIS_URL: the benchmark adds people to an installation "
                "of its own, never to one in use."
            )
        if options["kiosks"] < 1 or not 0 < options["rate"] <= 30 or options["seconds"] < 5:
            raise CommandError("It takes a kiosk, a rate up to 30 and phases of 5 seconds.")
        plan = Plan(
            *(options["kiosks"], options["rate"], options["seconds"]),
            *(options["flood"], options["faces"]),
        )
        try:
            figures = bench(plan, settings.HOME, _say)
        except StepError as error:
            raise CommandError(str(error)) from None
        if options["plot"]:
            write_plot(figures, options["plot"])
        self.stdout.write(json.dumps(figures, indent=None if options["json"] else 2))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  progress of a command
