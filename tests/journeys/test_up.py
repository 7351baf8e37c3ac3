"""`manage.py up` as its user sees it: one command, every part, a clean end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.services import PROJECT, Up, running_up, until

pytestmark = pytest.mark.journey

PARTS = {
    "web": "uvicorn",
    "recognition worker": "recognition@",
    "enrolment worker": "enrolment@",
    "scheduler": "beat",
}
PORT = 8600


@pytest.fixture
def up(home: Path) -> Iterator[Up]:
    with running_up(home, "--port", str(PORT)) as up:
        yield up


def web_port(home: Path) -> int:
    state = json.loads((home / "run" / "up.json").read_text())
    return int(state["url"].rstrip("/").rpartition(":")[2])


def web_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_every_part_killed_is_started_again_under_the_same_address(up: Up) -> None:
    port = web_port(up.home)
    killed = {title: up.part(words) for title, words in PARTS.items()}

    for process in killed.values():
        process.send_signal(signal.SIGKILL)

    for title, words in PARTS.items():
        pid = killed[title].pid
        until(partial(_is_another, up, words, pid), f"the {title} is back")
    until(lambda: web_answers(port), "the web server answers again")


def _is_another(up: Up, words: str, pid: int) -> bool:
    try:
        return up.part(words).pid != pid
    except (AssertionError, psutil.Error):
        return False  # it is ended or not yet begun


def test_ctrl_c_at_the_terminal_stops_the_parts_in_order_and_leaves_nothing(up: Up) -> None:
    port = web_port(up.home)
    processes = up.descendants()

    up.signal(signal.SIGINT)

    assert up.wait() == 0
    assert "Gatehouse has stopped." in up.output
    assert psutil.wait_procs(processes, timeout=30)[1] == []
    assert not web_answers(port)
    log = (up.home / "log" / "supervisord.log").read_text()
    ends = [log.index(f"stopped: {name} ") for name in ("web", "valkey", "postgres")]
    assert ends == sorted(ends)


def test_the_schedule_is_in_memory_and_nothing_is_pickled(up: Up) -> None:
    assert list(up.home.rglob("*schedule*")) == []
    assert list(PROJECT.glob("celerybeat*")) == []


def test_a_taken_port_is_named_and_the_next_one_is_used(home: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", PORT + 20))
        other.listen()

        with running_up(home, "--port", str(PORT + 20), "--no-workers", "--no-beat") as up:
            assert f"Port {PORT + 20} is taken by another program" in up.output
            assert web_port(home) == PORT + 21
            assert f"http://127.0.0.1:{PORT + 21}/" in up.output
            assert web_answers(PORT + 21)


@pytest.mark.parametrize(
    "moment", ["Creating the database", "PostgreSQL 18", "Valkey on", "tables"]
)
def test_a_stop_in_the_middle_of_the_start_is_clean_and_the_next_start_works(
    tmp_path: Path, moment: str
) -> None:
    up = Up(tmp_path, "--port", str(PORT + 40), "--no-workers", "--no-beat")
    up.wait_for_output(moment)
    processes = up.descendants()

    assert up.stop() == 0

    assert psutil.wait_procs(processes, timeout=30)[1] == []
    with running_up(tmp_path, "--services-only"):
        pass


def test_a_part_that_keeps_failing_ends_everything_and_its_log_is_shown(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from accesscontrol.services import folders, supervision
from accesscontrol.services.parts import Part
from accesscontrol.services.waiting import StopSignals

home = Path(sys.argv[1])
folders.ensure(home)
shell = ["/bin/sh", "-c"]
lasting = Part("lasting", "Lasting", "one", [*shell, "exec sleep 1000"], Path("/"))
failing = Part("failing", "Failing", "two", [*shell, "echo no such luck; exit 3"], Path("/"),
               start_attempts=1)
with StopSignals() as signals:
    supervisor = supervision.Supervisor(home, [lasting, failing], 0)
    try:
        supervisor.wait_until_ready(signals)
        supervisor.start("lasting")
        supervisor.start("failing")
        signals.wait_until(lambda: supervisor.raise_for_failed() or False, seconds=60, what="None")
    except supervision.ServicesError as error:
        print(error)
    finally:
        print(supervisor.states()["lasting"].pid)
        supervisor.stop(signals)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )

    *message, lasting = done.stdout.splitlines()
    assert message[0].startswith("Failing keeps failing")
    assert message[-1].strip() == "no such luck"
    assert not psutil.pid_exists(int(lasting))


def test_an_external_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql://gatehouse:x@127.0.0.1:1/gatehouse"}

    up = Up(tmp_path, "--port", str(PORT + 60), environment=nowhere)

    assert up.wait() != 0
    assert "DATABASE_URL names did not answer" in up.output
    assert not list((tmp_path / "run").glob("up.json"))


def test_killing_up_frees_the_port_for_the_next_start(home: Path) -> None:
    up = Up(home, "--port", str(PORT + 80), "--no-beat").wait_until_up()
    os.kill(up.pid, signal.SIGKILL)

    with running_up(home, "--port", str(PORT + 80), "--no-beat") as again:
        assert web_port(home) == PORT + 80
        assert "taken" not in again.output
    up.wait()
