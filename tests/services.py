"""Real services for tests: `manage.py up` in a process of its own, and what to watch it with."""

from __future__ import annotations

import functools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from accesscontrol.services.child import die_with_parent

PROJECT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 120.0
EXTERNAL = {"DATABASE_URL", "REDIS_URL"}


@dataclass(frozen=True, slots=True)
class ServiceURLs:
    """Where the services of a home folder listen; as in its services.json."""

    database_url: str
    redis_url: str


def service_urls(home: Path) -> ServiceURLs:
    return ServiceURLs(**json.loads((home / "services.json").read_text()))


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Return as soon as `condition()` holds; fail with `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    between = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        between.wait(0.05)


class Up:
    """One run of `manage.py up` on `home`; it is stopped when this process dies, too."""

    def __init__(
        self,
        home: Path,
        *options: str,
        project: Path = PROJECT,
        environment: dict[str, str] | None = None,
        user: int | None = None,
        python: str = sys.executable,
    ) -> None:  # fmt: skip
        kept = {k: v for k, v in os.environ.items() if k not in EXTERNAL}
        self.home = home
        self.output = ""
        self._process = subprocess.Popen(
            [python, "manage.py", "up", *options],
            cwd=project,
            env={**kept, "GATEHOUSE_HOME": str(home), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            user=user,
            preexec_fn=functools.partial(die_with_parent, signal.SIGTERM),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_output(self, text: str) -> None:
        """Read its output until `text` is in it; fail if it ends, or is silent for too long."""
        assert self._process.stdout is not None
        while text not in self.output:
            readable, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
            assert readable, f"no {text!r} in time, only:\n{self.output}"
            chunk = os.read(self._process.stdout.fileno(), 65_536)
            assert chunk, f"ended without {text!r}:\n{self.output}"
            self.output += chunk.decode(errors="replace")

    def wait_until_up(self) -> Up:
        self.wait_for_output(" up")
        self.wait_for_output("Ctrl-C stops it")
        return self

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; returns the exit code and completes `output`."""
        rest, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        self.output += rest.decode(errors="replace")
        return self._process.returncode

    def stop(self) -> int:
        if self._process.poll() is None:
            self._process.terminate()
        return self.wait()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def part(self, words: str) -> psutil.Process:
        """The one supervised process with `words` in its command line."""
        supervisor = self.supervisor()
        found = [p for p in supervisor.children() if words in " ".join(_command(p))]
        assert len(found) == 1, f"{len(found)} processes with {words!r}"
        return found[0]

    def supervisor(self) -> psutil.Process:
        found = [p for p in self.descendants() if "supervisor.supervisord" in _command(p)]
        assert len(found) == 1, f"{len(found)} supervisors"
        return found[0]


@contextmanager
def running_up(
    home: Path, *options: str, environment: dict[str, str] | None = None
) -> Iterator[Up]:
    """Run `manage.py up` with `options` until the block ends; it is up when the block begins."""
    up = Up(home, *options, environment=environment)
    try:
        yield up.wait_until_up()
    finally:
        up.stop()


@contextmanager
def running_services(home: Path) -> Iterator[ServiceURLs]:
    """Run real PostgreSQL and Valkey on `home` until the block ends."""
    with running_up(home, "--services-only"):
        yield service_urls(home)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # a zombie is one, too
        return []
