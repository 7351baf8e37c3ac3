"""manage.py check_gallery: is every gallery whole, and does no index lose anybody?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accesscontrol import gallery_check, gallery_index
from accesscontrol.gallery_check import GalleryState
from accesscontrol.management.site_argument import site_named
from accesscontrol.models import Site


class Command(BaseCommand):
    help = (
        "Compares each site's gallery with its templates, and the search by its index, where it "
        f"has one, with the exact search. An index below {gallery_index.LOWEST_RECALL:.1%} goes "
        "out of use, and the site is searched exactly again. Exit code 1 if anything was not as "
        "it should be."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--site", metavar="SITE", help="one site; all of them by default")
        parser.add_argument(
            "--probes",
            type=int,
            default=gallery_index.PROBES,
            metavar="N",
            help="searches to compare at each site with an index (%(default)s)",
        )
        parser.add_argument(
            "--tend",
            action="store_true",
            help=f"also build indexes from {gallery_index.INDEX_FROM:,} templates on, and remove "
            "those no longer needed, as is done every night",
        )
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["probes"] < 1:
            raise CommandError("--probes takes a number from 1 on.")
        sites = [site_named(options["site"])] if options["site"] else list(Site.objects.all())
        with gallery_index.tending() as alone:
            if not alone:
                raise CommandError("Indexes are being built or checked just now. Try again later.")
            states = gallery_check.check(sites, probes=options["probes"], tend=options["tend"])
        if options["json"]:
            self.stdout.write(json.dumps({"galleries": [_figures(state) for state in states]}))
        else:
            for state in states:
                self.stdout.write(_line(state))
        unsound = [state.site for state in states if not state.is_sound]
        if unsound:
            raise CommandError(
                f"Not as it should be: {'; '.join(unsound)}. Entries missing or surplus mean that "
                "somebody wrote past the database's triggers; an index that was given up costs "
                "time, nobody is lost by it."
            )


def _figures(state: GalleryState) -> dict[str, Any]:
    measured = state.measured
    return {
        "site": state.site,
        "people": state.people,
        "templates": state.templates,
        "missing": state.missing,
        "surplus": state.surplus,
        "index": state.index,
        "recall": measured.recall if measured else None,
        "probes": measured.probes if measured else None,
        "exact_ms": round(measured.exact_ms, 3) if measured else None,
        "index_ms": round(measured.index_ms, 3) if measured else None,
    }


def _line(state: GalleryState) -> str:
    line = f"{state.site}: {state.people:,} people, {state.templates:,} templates; "
    if state.missing or state.surplus:
        line += f"{state.missing:,} missing, {state.surplus:,} surplus; "
    if state.measured is None:
        return line + "searched exactly"
    how = "searched by its index" if state.index == "in use" else "searched exactly again"
    return (
        f"{line}{how}: recall {state.measured.recall:.4f} of {state.measured.probes:,} probes, "
        f"{state.measured.index_ms:.1f} ms by the index, {state.measured.exact_ms:.1f} ms exactly"
    )
