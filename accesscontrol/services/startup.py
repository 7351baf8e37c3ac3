"""What `manage.py up` does: prepare, start, wait until everything answers, watch, stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from accesscontrol.services import addresses, application, folders, postgres, valkey
from accesscontrol.services.addresses import Addresses
from accesscontrol.services.errors import ServicesError, StopRequestedError
from accesscontrol.services.parts import Part
from accesscontrol.services.run_lock import only_one
from accesscontrol.services.supervision import Supervisor, last_lines
from accesscontrol.services.waiting import StopSignals

PORTS_TRIED = 100
EXTERNAL_SECONDS = 30
MIGRATION_SECONDS = 3600

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start. A service with an external URL is neither started nor stopped by us."""

    home: Path
    project: Path
    host: str = "127.0.0.1"
    port: int = 8000
    external_database: str | None = None
    external_broker: str | None = None
    services_only: bool = False
    workers: bool = True
    beat: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """For our own processes: the home, also where it is only the default."""
        return {"GATEHOUSE_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}


def state_file(home: Path) -> Path:
    """`{"pid": number, "url": address or null}`; it is there while everything is up."""
    return home / "run" / "up.json"


def bring_up(plan: Plan, say: Say) -> None:
    """Start everything, keep it running until SIGINT or SIGTERM, stop it cleanly and return.

    `say` gets one line for each step. Raises ServicesError, with everything stopped, if a part
    cannot be prepared, does not answer, or keeps failing.
    """
    with StopSignals() as signals:
        folders.ensure(plan.home)
        with only_one(plan.home, signals) as lock:
            state_file(plan.home).unlink(missing_ok=True)  # left by a start that was killed
            try:
                _run(plan, signals, lock, say)
            except StopRequestedError:
                say("Gatehouse has stopped.")


def _run(plan: Plan, signals: StopSignals, lock: int, say: Say) -> None:
    services = _prepare_services(plan, say)
    port = _free_web_port(plan, say)
    own = [] if plan.services_only else _application_parts(plan, port)
    if not services and not own:
        raise ServicesError("Nothing to start: DATABASE_URL and REDIS_URL name other servers.")
    with _supervised(plan.home, [*services, *own], signals, lock, say) as supervisor:
        _start(services, supervisor, signals, say)
        _wait_for_external(plan, signals)
        url = None
        if not plan.services_only:
            _migrate(plan, signals, say)
            _start(own, supervisor, signals, say)
            url = f"http://{_reached_at(plan.host)}:{port}/"
        state = {"pid": os.getpid(), "url": url}
        folders.write_private(state_file(plan.home), json.dumps(state) + "\n")
        what = f"Gatehouse is up: {url}" if url else "The services are up"
        say(f"{what} (logs: {plan.home / 'log'}; Ctrl-C stops it)")
        _watch(supervisor, signals)


def _prepare_services(plan: Plan, say: Say) -> list[Part]:
    before = addresses.load(plan.home)
    database, broker = before.postgres, before.valkey
    parts: list[Part] = []
    if not plan.external_database:
        if not postgres.data_folder(plan.home).exists():
            say(f"Creating the database in {postgres.data_folder(plan.home)}")
        database = addresses.renewed(before.postgres)
        known = before.postgres is not None
        parts.append(postgres.prepare(plan.home, database, password_is_new=not known))
    if not plan.external_broker:
        broker = addresses.renewed(before.valkey)
        parts.append(valkey.prepare(plan.home, broker))
    Addresses(database, broker).save(plan.home)
    return parts


def _application_parts(plan: Plan, port: int) -> list[Part]:
    parts = [application.web(plan.project, plan.environment, plan.host, port)]
    if plan.workers:
        queues = ("recognition", "enrolment")
        parts += [application.worker(plan.project, plan.environment, queue) for queue in queues]
    if plan.beat:
        parts.append(application.beat(plan.project, plan.environment))
    return parts


def _free_web_port(plan: Plan, say: Say) -> int:
    if plan.services_only:
        return plan.port
    for port in range(plan.port, min(plan.port + PORTS_TRIED, 65_536)):
        if addresses.is_free(plan.host, port):
            if port != plan.port:
                say(f"Port {plan.port} is taken by another program, so this takes {port}.")
            return port
    raise ServicesError(f"No free port from {plan.port} on. Choose one: manage.py up --port N")


@contextmanager
def _supervised(
    home: Path, parts: list[Part], signals: StopSignals, lock: int, say: Say
) -> Iterator[Supervisor]:
    supervisor = Supervisor(home, parts, lock)
    try:
        supervisor.wait_until_ready(signals)
        yield supervisor
    finally:
        state_file(home).unlink(missing_ok=True)
        say("Stopping ...")
        supervisor.stop(signals)


def _start(parts: list[Part], supervisor: Supervisor, signals: StopSignals, say: Say) -> None:
    """Start `parts` at once, then wait for the answer of each that can give one."""
    for part in parts:
        supervisor.start(part.name)
    for part in parts:
        answers = part.answers
        if answers is None:
            say(f"{part.title}: started")
            continue

        def ready(answers: Callable[[], bool] = answers) -> bool:
            supervisor.raise_for_failed()
            return answers()

        what = f"{part.title} did not answer"
        signals.wait_until(ready, seconds=part.patience_seconds, what=what)
        say(f"{part.title}: answers")


def _wait_for_external(plan: Plan, signals: StopSignals) -> None:
    if (database := plan.external_database) is not None:
        what = "The server that DATABASE_URL names did not answer"
        signals.wait_until(
            lambda: postgres.answers(database), seconds=EXTERNAL_SECONDS, what=what, every=1.0
        )
    if (broker := plan.external_broker) is not None:
        what = "The server that REDIS_URL names did not answer"
        signals.wait_until(
            lambda: valkey.answers(broker), seconds=EXTERNAL_SECONDS, what=what, every=1.0
        )


def _migrate(plan: Plan, signals: StopSignals, say: Say) -> None:
    """Bring the tables up to date; in a process of its own, whose settings see the new URLs."""
    log = plan.home / "log" / "migrate.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "--noinput"],
            cwd=plan.project,
            env={**os.environ, **plan.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C comes to us, and we end it
        )
        try:
            signals.wait_until(
                lambda: process.poll() is not None,
                seconds=MIGRATION_SECONDS,
                what="The database was not migrated",
            )
        finally:
            process.terminate()  # if it still runs: each migration is one transaction
            process.wait()
    if process.returncode != 0:
        raise ServicesError(f"The migration failed. The end of {log}:\n{last_lines(log)}")
    say("Database tables: up to date")


def _watch(supervisor: Supervisor, signals: StopSignals) -> None:
    """Return by an exception only: a stop request, or a part that cannot be kept alive."""
    while True:
        supervisor.reap_orphans()
        supervisor.raise_for_failed()
        signals.check()
        signals.pause(1.0)


def _reached_at(host: str) -> str:
    """The name under which this machine reaches a server that listens on `host`."""
    return f"[{host}]" if ":" in host else host.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
