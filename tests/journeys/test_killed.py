"""Every part killed with kill -9 while a kiosk streams: no greeting is lost, no punch doubled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.installation import TestInstallation
from tests.services import PROJECT, until

pytestmark = pytest.mark.journey

PARTS = {
    "the recognition worker": "recognition@",
    "Valkey": "valkey",
    "the web server": "uvicorn",
    "PostgreSQL": "postgres",
}


@contextmanager
def streaming(
    installation: TestInstallation, site: str, source: Path
) -> Iterator[list[dict[str, Any]]]:
    """A kiosk that plays `source` over and over; the list grows with its decisions."""
    code = installation.pairing_code(site, "Door")
    process = subprocess.Popen(
        [
            sys.executable, "manage.py", "play_kiosk", "--url", installation.url,
            "--identity", str(installation.home / f"{site}.json"), "--pair", code,
            *[str(source)] * 200,
        ],
        cwd=PROJECT, env=installation.environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    decisions: list[dict[str, Any]] = []
    reader = threading.Thread(
        target=lambda lines: decisions.extend(json.loads(line) for line in lines),
        args=(process.stdout,),
    )
    reader.start()
    try:
        yield decisions
    finally:
        process.terminate()
        process.wait()
        reader.join()


def test_the_kiosk_recovers_and_no_greeted_punch_is_lost_or_double(
    installation: TestInstallation, faces: dict[str, Path], walk_pasts: Path
) -> None:
    installation.add_site("Killed", "--cool-down", "0")
    installation.enrol("Killed", "44", "Barack Obama", faces["obama.jpg"])

    with streaming(installation, "Killed", walk_pasts / "obama2") as decisions:

        def greetings() -> int:
            return sum(decision["outcome"] == "ACCEPTED" for decision in list(decisions))

        def greeted_at_least(count: int) -> bool:
            return greetings() >= count

        until(partial(greeted_at_least, 1), "the first greeting")
        for title, words in PARTS.items():
            wanted = greetings() + 2
            installation.up.part(words).send_signal(signal.SIGKILL)
            until(partial(greeted_at_least, wanted), f"greetings after {title} died")

    rows = installation.query(
        "SELECT p.presentation, count(*) FROM accesscontrol_punch p"
        " JOIN accesscontrol_site s ON s.id = p.site_id WHERE s.name = 'Killed' GROUP BY 1"
    )
    punched = {str(presentation): count for presentation, count in rows}
    greeted = {d["presentation"] for d in decisions if d["outcome"] == "ACCEPTED"}
    assert greeted <= punched.keys()
    assert set(punched.values()) == {1}
    assert not [d for d in decisions if d["outcome"] == "NO_MATCH"]
