"""`manage.py reset_login`: a way into the admin, at first or after a lost password."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

from accesscontrol.users import reset_login


class Command(BaseCommand):
    help = (
        "Print a new random password for an administrator's login, which is added if it is new. "
        "The password that it had before stops working."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--username", default="admin")

    def handle(self, *args: Any, username: str, **options: Any) -> None:
        self.stdout.write(reset_login(username))
