"""manage.py add_site: a site from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accesscontrol import pad
from accesscontrol.management.site_argument import add_site
from accesscontrol.models import PadPolicy, Site


class Command(BaseCommand):
    help = "Adds a site and prints its short name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--slug", default="", help="short name; made from the name if left out")
        parser.add_argument("--time-zone", default="UTC", help="like Europe/Berlin")

        parser.add_argument(
            "--cool-down", type=int, default=300, help="seconds without a second punch"
        )
        parser.add_argument(
            "--pad",
            choices=PadPolicy.values,
            default=pad.default_policy(),
            help="presentation attack detection; %(default)s with the models that are installed",
        )
        parser.add_argument(
            "--if-missing", action="store_true", help="leave a site of this name as it is"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        known = Site.objects.filter(name=options["name"]).first()
        if known and options["if_missing"]:
            self.stdout.write(known.slug)
            return
        site = add_site(
            options["name"],
            slug=options["slug"],
            time_zone=options["time_zone"],
            cool_down_s=options["cool_down"],
            pad_policy=options["pad"],
        )
        self.stdout.write(site.slug)
        self.stderr.write(f"Added the site “{site.name}”, time zone {site.time_zone}.")
        if site.pad_policy == PadPolicy.OFF:
            self.stderr.write("It has no presentation attack detection: photos are accepted.")
