"""manage.py pair_kiosk: a pairing code from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accesscontrol.kiosks import CODE_LIFETIME, PairingError, pair_kiosk
from accesscontrol.management.site_argument import add_site_argument, site_named_or_first
from accesscontrol.models import Kiosk


class Command(BaseCommand):
    help = (
        "Prints a pairing code, single use and 15 minutes, for a kiosk of a site; a kiosk of "
        "this name is added if there is none. The code stands alone on stdout."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_site_argument(parser)
        parser.add_argument("--name", required=True, help="of the kiosk, like “Main entrance”")
        parser.add_argument(
            "--direction",
            choices=Kiosk.Direction.values,
            type=str.upper,
            default=Kiosk.Direction.ALTERNATE,
            help="of a kiosk that is added: ALTERNATE (in and out in turn, the default), IN, OUT",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        site = site_named_or_first(options["site"], self.stderr)
        try:
            kiosk, code = pair_kiosk(site, options["name"], by=None, direction=options["direction"])
        except PairingError as error:
            raise CommandError(str(error)) from None
        minutes = int(CODE_LIFETIME.total_seconds() // 60)
        self.stderr.write(
            f"Pairing code of “{kiosk.name}” at {site.name}. Within {minutes} minutes, open the "
            "kiosk page (/kiosk/) on the device and type it in, or give it to "
            "play_kiosk --pair CODE. It works once; earlier codes of this kiosk have ended."
        )
        self.stdout.write(code)
