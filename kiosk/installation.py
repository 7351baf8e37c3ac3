"""A whole Gatehouse as its user drives it: every step a public command in a process of its own.

For the demo, the benchmarks and the end-to-end tests.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accesscontrol.environment import PROJECT

READY_SECONDS = 180
PHOTO_SECONDS = 120


class StepError(Exception):
    """A step failed; the message says which and what it printed."""


@dataclass(slots=True)
class Installation:
    """An installation's home folder, and where its web server answers once it runs."""

    home: Path
    url: str = ""

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GATEHOUSE_HOME": str(self.home)}

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run `python ARGUMENTS` and return its stdout; raises StepError if it fails."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise StepError(f"{' '.join(arguments[:2])} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def manage(self, *arguments: str, check: bool = True) -> str:
        return self.run("manage.py", *arguments, check=check)

    def enrol(self, site: str, number: str, name: str, *photos: Path) -> list[dict[str, Any]]:
        """Enrol from the command line; what became of each photo."""
        printed = self.manage(
            "enrol", "--site", site, "--number", number, "--name", name,
            "--timeout", str(PHOTO_SECONDS), *map(str, photos), check=False,
        )  # fmt: skip
        return _objects(printed)

    def pairing_code(self, site: str, kiosk: str) -> str:
        return self.manage("pair_kiosk", "--site", site, "--name", kiosk).strip()

    def play(self, site: str, kiosk: str, *sources: Path) -> list[dict[str, Any]]:
        """Play sources into a kiosk, which is paired when it is new; its decisions."""
        identity = self.home / "kiosks" / f"{site}, {kiosk}.json"
        identity.parent.mkdir(exist_ok=True)
        pairing = [] if identity.exists() else ["--pair", self.pairing_code(site, kiosk)]
        printed = self.manage(
            "play_kiosk", "--url", self.url, "--identity", str(identity), *pairing, "--once",
            *map(str, sources),
        )  # fmt: skip
        return _objects(printed)

    def attendance(self, site: str) -> list[dict[str, str]]:
        """All rows of the site's exported CSV."""
        printed = self.manage(
            "export_attendance", "--site", site, "--from", "2020-01-01", "--to", "2099-12-31"
        )
        return list(csv.DictReader(io.StringIO(printed.lstrip("\ufeff"))))

    def is_ready(self) -> bool:
        """Whether web, database, broker and a worker answer."""
        try:
            with urllib.request.urlopen(f"{self.url}ready", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False


@contextmanager
def running(installation: Installation, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `manage.py up` until the block ends; everything is ready when it begins."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port)],
        cwd=PROJECT,
        env=installation.environment(),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        process_group=0,  # Ctrl-C comes to the caller, which ends it
    )
    try:
        _wait_until_ready(installation, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wait_until_ready(installation: Installation, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    pause = threading.Event()
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StepError("Gatehouse did not start; its own messages stand above.")
        installation.url = _url(installation.home / "run" / "up.json", process.pid)
        if installation.url and installation.is_ready():
            return
        pause.wait(0.2)
    raise StepError(
        f"Gatehouse was not ready within {READY_SECONDS} s; see {installation.home / 'log'}"
    )


def _url(state: Path, pid: int) -> str:
    try:
        found = json.loads(state.read_text())
    except (FileNotFoundError, ValueError):
        return ""
    return str(found["url"]) if found["pid"] == pid else ""


def _objects(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
