"""The parts of Gatehouse itself: web server, two workers, scheduler."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path

from accesscontrol.services.parts import Part

GROUP = "application"
FRAME_MAX_MESSAGE = 1_048_576
"""Bytes of one WebSocket message; a frame may have half of it."""


def web(project: Path, environment: dict[str, str], host: str, port: int) -> Part:
    argv = [sys.executable, "-m", "uvicorn", "accesscontrol.asgi:application"]
    argv += ["--host", host, "--port", str(port), "--lifespan", "off"]
    argv += ["--ws-max-size", str(FRAME_MAX_MESSAGE), "--no-server-header", "--no-access-log"]
    argv += ["--timeout-graceful-shutdown", "5"]
    return Part(
        name="web",
        title=f"Web server on {host}:{port}",
        group=GROUP,
        argv=argv,
        folder=project,
        environment=environment,
        settle_seconds=5,
        answers=lambda: web_answers(host, port),
        patience_seconds=120,
    )


def worker(project: Path, environment: dict[str, str], queue: str) -> Part:
    """A Celery worker of one process and thread on `queue`: "recognition" or "enrolment"."""
    argv = [sys.executable, "-m", "celery", "-A", "accesscontrol", "worker", "-P", "solo"]
    argv += ["-Q", queue, "-n", f"{queue}@%h", "--without-gossip", "--without-mingle"]
    argv += ["--include", "recognition.tasks"]  # so that the scheduler need not import torch
    return Part(
        name=f"worker-{queue}",
        title=f"Worker for {queue}",
        group=GROUP,
        argv=[*argv, "-l", "INFO"],
        folder=project,
        environment={**environment, "OMP_NUM_THREADS": "1"},
        settle_seconds=10,
    )


def beat(project: Path, environment: dict[str, str]) -> Part:
    argv = [sys.executable, "-m", "celery", "-A", "accesscontrol", "beat", "-l", "WARNING"]
    # The schedule is kept in memory: the default scheduler writes a pickle.
    argv += ["-S", "celery.beat:Scheduler", "--pidfile="]
    return Part(
        name="beat",
        title="Scheduler",
        group=GROUP,
        argv=argv,
        folder=project,
        environment=environment,
        settle_seconds=5,
    )


def web_answers(host: str, port: int) -> bool:
    """Tell whether GET /live gives 200."""
    reached_at = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(reached_at, port, timeout=5)
    try:
        connection.request("GET", "/live", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
