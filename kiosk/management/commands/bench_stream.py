"""`manage.py bench_stream`: what a kiosk's user waits for, and who is recognised on clips."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kiosk.bench import Clips, fresh_installation, measure_clips, measure_latency
from kiosk.installation import StepError


class Command(BaseCommand):
    help = (
        "Measure frame to greeting through a fresh installation and the real stream; with --clips "
        "also who is accepted and refused on clips of people, a folder for each person."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=20, help="walk-pasts to time")
        parser.add_argument("--clips", type=Path, help="folder with a folder for each person")
        parser.add_argument(
            "--every-clip", action="store_true", help="enrol from each clip in turn"
        )
        parser.add_argument("--json", action="store_true", help="one object on stdout")

    def handle(self, *args: Any, rounds: int, clips: Path | None, **options: Any) -> None:
        try:
            found = Clips.find(clips) if clips else None
            with fresh_installation(settings.HOME) as installation:
                result: dict[str, Any] = {"latency": measure_latency(installation, rounds, _say)}
                if found:
                    result["clips"] = measure_clips(
                        installation, found, _say, every_clip=options["every_clip"]
                    )
        except StepError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps(result, indent=None if options["json"] else 2))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201  progress of a command
