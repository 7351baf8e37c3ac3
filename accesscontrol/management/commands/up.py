"""`manage.py up`: all of Gatehouse on this machine, in one process group, until Ctrl-C."""

from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accesscontrol import keyring
from accesscontrol.environment import PROJECT
from accesscontrol.services import folders
from accesscontrol.services.errors import ServicesError
from accesscontrol.services.startup import Plan, bring_up


class Command(BaseCommand):
    help = (
        "Start PostgreSQL, Valkey, the web server, the workers and the scheduler, and keep them "
        "running until Ctrl-C. Servers named by DATABASE_URL and REDIS_URL are used as they are."
    )
    # The checks ask the database and the broker, which are not there before this command.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address that the web listens on")
        parser.add_argument("--port", type=_port, default=8000, help="the next free one is taken")
        parser.add_argument(
            "--services-only", action="store_true", help="only PostgreSQL and Valkey"
        )
        parser.add_argument("--no-workers", action="store_true", help="workers run elsewhere")
        parser.add_argument("--no-beat", action="store_true", help="the scheduler runs elsewhere")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = Plan(
            home=settings.HOME,
            project=PROJECT,
            host=options["host"],
            port=options["port"],
            external_database=settings.ENVIRONMENT.database_url,
            external_broker=settings.ENVIRONMENT.redis_url,
            services_only=options["services_only"],
            workers=not options["no_workers"],
            beat=not options["no_beat"],
        )
        try:
            folders.ensure(settings.HOME)
            keyring.ensure(settings.KEYRING_PATH)
            bring_up(plan, self._say)
        except (ServicesError, keyring.KeyringError) as error:
            raise CommandError(str(error)) from None

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port
