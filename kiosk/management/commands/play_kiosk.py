"""`manage.py play_kiosk`: the kiosk client for cameras, RTSP streams, videos and images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kiosk import identity
from kiosk.client import ClientError, KioskClient, Playing, run
from kiosk.identity import IdentityError
from kiosk.protocol import Message
from kiosk.sign_in_client import sign_in


class Command(BaseCommand):
    help = (
        "Plays videos, images, folders of images, RTSP streams or cameras into a kiosk's stream "
        "and prints each decision as a JSON line. The device makes its own key at the first "
        "start; --pair registers it. It needs neither the database nor Redis."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sources", nargs="*", metavar="SOURCE")
        parser.add_argument("--url", required=True, help="the server, like http://localhost:8000")
        parser.add_argument(
            "--identity", required=True, type=Path, metavar="FILE", help="the device's key file"
        )
        parser.add_argument("--pair", metavar="CODE", help="pairing code from the admin")
        parser.add_argument(
            "--sign-in",
            metavar="NUMBER",
            help="instead of playing: sign in with this number, and the PIN on standard input",
        )
        parser.add_argument("--once", action="store_true", help="play each source once and exit")
        parser.add_argument(
            "--fps", type=float, default=10.0, help="frames a second at most (default 10)"
        )
        parser.add_argument(
            "--hold", type=float, default=2.0, metavar="S", help="seconds to show a single image"
        )
        parser.add_argument(
            "--patience", type=float, default=20.0, metavar="S",
            help="with --once: seconds without a connection before giving up (default 20)",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["fps"] <= 30:
            raise CommandError("--fps must be above 0 and at most 30.")
        if options["hold"] <= 0:
            raise CommandError("--hold must be above 0.")
        if bool(options["sources"]) == bool(options["sign_in"]):
            raise CommandError("Give something to play, or --sign-in NUMBER.")
        playing = Playing(
            sources=options["sources"],
            once=options["once"],
            fps=options["fps"],
            hold_s=options["hold"],
            patience_s=options["patience"],
        )
        try:
            device = self._device(options["url"], options["identity"], options["pair"])
            if options["sign_in"]:
                said = {"number": options["sign_in"], "pin": sys.stdin.readline().strip()}
                self._report(sign_in(options["url"], device, said))
                return
            run(KioskClient(options["url"], device, playing, self._report, self._complain))
        except (IdentityError, ClientError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped.", returncode=130) from None

    def _device(self, url: str, path: Path, code: str | None) -> identity.Identity:
        device = identity.load(path)
        if device.kiosk is None:
            identity.save(device, path)  # before a code is used up: is the file writable?
        if code is not None:
            # A paired key may belong to another kiosk; a new one replaces it if the code is good.
            device = identity.pair(identity.Identity.new() if device.kiosk else device, url, code)
            identity.save(device, path)
            self._complain(f"Paired as {device.name}, {device.site}.")
        elif device.kiosk is None:
            raise IdentityError(f"{path} is not paired yet. Start once with --pair CODE.")
        return device

    def _report(self, decision: Message) -> None:
        self.stdout.write(json.dumps(decision, ensure_ascii=False))
        self.stdout.flush()

    def _complain(self, line: str) -> None:
        self.stderr.write(line)
        self.stderr.flush()
