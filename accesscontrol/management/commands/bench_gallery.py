"""manage.py bench_gallery: the gallery search at scale, beside numpy and faiss."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accesscontrol.gallery_bench.peers import PeerError
from accesscontrol.gallery_bench.run import GROWN_FROM, Plan, bench


class Command(BaseCommand):
    help = (
        "Searches galleries of made-up people in a scratch database, which it makes and drops, "
        "and compares with numpy and faiss on one thread each. faiss goes into an environment of "
        "its own at the first use (19 MB to download). Needs about 1 GB of disk for a million "
        "templates."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--templates", type=int, default=100_000, metavar="N")
        parser.add_argument("--sites", type=int, default=100, metavar="M")
        parser.add_argument(
            "--dimension", type=int, default=320, metavar="D", help="of the vectors (%(default)s)"
        )
        parser.add_argument(
            "--probes", type=int, default=1_000, metavar="N", help="searches (%(default)s)"
        )
        parser.add_argument(
            "--load",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="then search 50 a second for so long, while people are enrolled and leave",
        )
        parser.add_argument(
            "--growth",
            action="store_true",
            help=f"measure on the way, too, from {GROWN_FROM:,} templates on, sites of equal size",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = Plan(
            options["templates"],
            options["sites"],
            options["dimension"],
            options["probes"],
            options["load"],
            options["growth"],
        )
        if not (1 <= plan.sites <= plan.templates and plan.probes >= 1 and plan.load_seconds >= 0):
            raise CommandError("There must be a site, a probe, and a template for each site.")
        if not 8 <= plan.dimension <= 2_000:
            raise CommandError("--dimension takes a number from 8 to 2000.")
        try:
            figures = bench(plan, self.stderr.write)
        except PeerError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(figures))
            return
        for name, value in figures.items():
            self.stdout.write(f"{name:20} {value}")
