"""manage.py add_site: a site from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accesscontrol.management.site_argument import add_site


class Command(BaseCommand):
    help = "Adds a site and prints its short name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--slug", default="", help="short name; made from the name if left out")
        parser.add_argument("--time-zone", default="UTC", help="like Europe/Berlin")

    def handle(self, *args: Any, **options: Any) -> None:
        site = add_site(options["name"], slug=options["slug"], time_zone=options["time_zone"])
        self.stdout.write(site.slug)
        self.stderr.write(f"Added the site “{site.name}”, time zone {site.time_zone}.")
