"""`manage.py demo`: sets Gatehouse up with demo people and shows it at work."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kiosk.demo import SITE, Demo, verdict
from kiosk.installation import Installation, StepError, running


class Command(BaseCommand):
    help = "Start Gatehouse, enrol demo people, play a walk-past into a kiosk, then stay up."
    # They ask the services that this command starts.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--once", action="store_true", help="check the result and exit")
        parser.add_argument(
            "--setup-began", type=float, default=None, help="when the set-up began (Unix time)"
        )

    def handle(
        self, *args: Any, port: int, once: bool, setup_began: float | None, **options: Any
    ) -> None:
        # SIGINT, too: a shell lets what it starts in the background ignore it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        began = setup_began or time.time()
        installation = Installation(settings.HOME)
        demo = Demo(installation, say=self._say)
        try:
            portraits = demo.portraits()
            with running(installation, port) as process:
                setup_s = round(time.time() - began, 1)
                demo.enrol(portraits)
                decisions = demo.walk_past(portraits)
                rows = demo.attendance()
                if not once:
                    self._stay(installation, process, len(rows))
        except StepError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self._say("Stopped.")
            if once:
                sys.exit(130)
            return
        if once:
            result = verdict(decisions, rows)
            good = result.pop("ok")
            self.stdout.write(json.dumps({**result, "setup_s": setup_s}))
            sys.exit(0 if good else 1)

    def _stay(
        self, installation: Installation, process: subprocess.Popen[bytes], rows: int
    ) -> None:
        password = installation.manage("reset_login", "--username", "admin").strip()
        code = installation.pairing_code(SITE, "My browser")
        self._say(
            f"""
{rows} punch{"" if rows == 1 else "es"} of this run in the exported attendance.

  Admin     {installation.url}admin/   login: admin   password: {password}
            (valid until the next start of the demo)
  Kiosk     {installation.url}kiosk/?code={code}
            opens your camera; the code works once, for 15 minutes
  Enrol     yourself: Admin, Employees, Add employee; record the consent, upload a photo

Ctrl-C stops everything; the data stays in {installation.home}.
"""
        )
        process.wait()
        raise StepError("Gatehouse ended; its own messages stand above.")

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201  a command's own output
