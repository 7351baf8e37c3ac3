"""The demo: Gatehouse from an empty folder to a punch in the exported attendance.

It does what a user would: every step is one of the public commands, run as its own process.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import tzlocal

from kiosk.walk_past import write_walk_past

SITE = "Demo"
COOL_DOWN_S = 15
"""Short, so that a second run of the demo punches again."""
PEOPLE = {
    "44": ("Barack Obama", ["obama.jpg", "obama3.jpg"]),
    "46": ("Joe Biden", ["biden.jpg"]),
}
PASSER_BY = ("Barack Obama", "obama2.jpg")
"""A portrait other than the enrolled ones."""
STRANGER = "astronaut.png"
READY_SECONDS = 180

Say = Callable[[str], None]


class DemoError(Exception):
    """A step failed; the message says which and what it printed."""


@dataclass(slots=True)
class Demo:
    """One run of the demo on an installation's home folder."""

    project: Path
    home: Path
    say: Say
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    url: str = ""

    def run(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
        """Run `python ARGUMENTS` as a user would and return what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.project, env=self.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode not in ok:
            raise DemoError(f"{' '.join(arguments[:2])} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GATEHOUSE_HOME": str(self.home)}

    def portraits(self) -> Path:
        """Fetch the public-domain portraits and return their folder."""
        self.say("Portraits: two presidents to enrol, an astronaut as the stranger")
        self.run("-m", "recognition", "fetch-faces")
        return self.home / "cache" / "faces"

    def enrol(self, portraits: Path) -> None:
        """Enrol the demo people, as HR would from the command line."""
        zone = tzlocal.get_localzone_name() or "UTC"
        self.run(
            "manage.py", "add_site", "--name", SITE, "--time-zone", zone,
            "--cool-down", str(COOL_DOWN_S), "--if-missing",
        )  # fmt: skip
        for number, (name, files) in PEOPLE.items():
            photos = [str(portraits / file) for file in files]
            self.run(
                "manage.py", "enrol", "--site", SITE, "--number", number, "--name", name,
                "--timeout", "120", *photos,
            )  # fmt: skip
            self.say(f"Enrolled {name} from {len(photos)} photo{'s' if len(photos) > 1 else ''}")

    def walk_past(self, portraits: Path) -> list[dict[str, Any]]:
        """Play the two walk-pasts into a kiosk and return its decisions."""
        folder = self.home / "demo"
        sources = [
            str(write_walk_past(portraits / file, folder / Path(file).stem))
            for file in (PASSER_BY[1], STRANGER)
        ]
        identity = folder / "kiosk.json"
        pairing = []
        if not identity.exists():
            code = self.run("manage.py", "pair_kiosk", "--site", SITE, "--name", "Demo door")
            pairing = ["--pair", code.strip()]
        self.say("A walk-past of an enrolled person, then of a stranger, before the kiosk …")
        printed = self.run(
            "manage.py", "play_kiosk", "--url", self.url, "--identity", str(identity),
            *pairing, "--once", *sources,
        )  # fmt: skip
        decisions = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        for decision in decisions:
            self.say(f"  the kiosk shows: {shown(decision)}")
        return decisions

    def attendance(self) -> list[dict[str, str]]:
        """The rows of the exported CSV that are of this run."""
        today = datetime.now(UTC).date()
        printed = self.run(
            "manage.py", "export_attendance", "--site", SITE,
            "--from", str(today - timedelta(days=1)), "--to", str(today + timedelta(days=1)),
        )  # fmt: skip
        rows = csv.DictReader(io.StringIO(printed.lstrip("\ufeff")))
        return [row for row in rows if datetime.fromisoformat(row["utc_time"]) >= self.began]


def shown(decision: dict[str, Any]) -> str:
    """A decision as the kiosk's screen words it."""
    if decision["outcome"] != "ACCEPTED":
        return f"refused ({decision['outcome']}): {decision['reason']}"
    again = ", already recorded" if decision.get("repeat") else ""
    at = datetime.fromisoformat(decision["at"]).strftime("%H:%M")
    return f"{decision['employee']}, {decision['direction']} {at}{again}"


def verdict(decisions: list[dict[str, Any]], rows: list[dict[str, str]]) -> dict[str, Any]:
    """Whether the demo did what it is for, as the object that `--once` prints."""
    accepted = [d for d in decisions if d["outcome"] == "ACCEPTED"]
    refused = [d for d in decisions if d["outcome"] != "ACCEPTED"]
    times = [d["frame_to_result_ms"] for d in accepted if d["frame_to_result_ms"] is not None]
    named = [d["employee"] for d in accepted]
    return {
        "recognised": len(accepted),
        "refused": len(refused),
        "csv_rows": len(rows),
        "frame_to_greeting_ms": {"p50": _p50(times), "p95": _p95(times)},
        "ok": named == [PASSER_BY[0]]
        and [d["source"] for d in refused] == [Path(STRANGER).stem]
        and [(row["employee_name"], row["direction"]) for row in rows]
        == [(d["employee"], d["direction"]) for d in accepted],
    }


def _p50(times: list[float]) -> float | None:
    return round(median(times), 1) if times else None


def _p95(times: list[float]) -> float | None:
    if len(times) < 2:
        return _p50(times)
    return round(quantiles(times, n=20, method="inclusive")[-1], 1)


@contextmanager
def running(demo: Demo, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `manage.py up` until the block ends; `demo.url` is set when the block begins."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port)],
        cwd=demo.project, env=demo.environment(), stdin=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C comes to the demo, which ends it
    )  # fmt: skip
    try:
        demo.url = _wait_until_ready(process, demo.home / "run" / "up.json")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], state: Path) -> str:
    """The web server's address, as soon as it and a worker are at work."""
    deadline = time.monotonic() + READY_SECONDS
    pause = threading.Event()
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError("Gatehouse did not start; its own messages stand above.")
        url = _url(state, process.pid)
        if url and _is_ready(url):
            return url
        pause.wait(0.2)
    raise DemoError(f"Gatehouse was not ready within {READY_SECONDS} s; see {state.parents[1]}/log")


def _url(state: Path, pid: int) -> str | None:
    try:
        found = json.loads(state.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return str(found["url"]) if found["pid"] == pid else None


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}ready", timeout=2) as answer:  # noqa: S310  our own URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
