"""A whole Gatehouse for end-to-end tests: every part real, driven as a user drives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from kiosk.installation import Installation
from tests.services import EXTERNAL, Up, running_up, service_urls, until


@dataclass(slots=True, kw_only=True)
class TestInstallation(Installation):
    """One running installation, with its processes within reach."""

    __test__ = False
    up: Up

    def environment(self) -> dict[str, str]:
        inherited = Installation.environment(self)
        return {name: value for name, value in inherited.items() if name not in EXTERNAL}

    def add_site(self, name: str, *options: str) -> None:
        # Journeys walk past with still portraits, whatever models the machine has.
        self.manage("add_site", "--name", name, "--pad", "off", *options)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(service_urls(self.home).database_url) as connection:
            return connection.execute(statement.encode()).fetchall()


@contextmanager
def running_installation(home: Path) -> Iterator[TestInstallation]:
    """Run everything on `home` until the block ends; workers are ready when it begins."""
    with running_up(home, "--port", "8700") as up:
        url = json.loads((home / "run" / "up.json").read_text())["url"]
        installation = TestInstallation(home, url, up=up)
        until(installation.is_ready, "web, database, broker and worker are ready")
        yield installation
