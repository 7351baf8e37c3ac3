"""The web process as it runs in production, and a stand-in for the workers behind it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import redis
from django.conf import settings
from django.db import connection

from accesscontrol import notify
from accesscontrol.frames import Frame, FrameOutlet
from accesscontrol.services.child import die_with_parent
from kiosk.protocol import Message
from tests.services import PROJECT, until

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _environment(redis_url: str) -> dict[str, str]:
    database = connection.settings_dict
    user, password = quote(database["USER"]), quote(database["PASSWORD"])
    place = f"{database['HOST']}:{database['PORT']}/{quote(database['NAME'])}"
    return {
        **os.environ,
        "GATEHOUSE_HOME": str(settings.HOME),
        "GATEHOUSE_KEYRING": str(settings.KEYRING_PATH),
        "DATABASE_URL": f"postgresql://{user}:{password}@{place}",
        "REDIS_URL": redis_url,
    }


class WebServer:
    """uvicorn with the application, in a process of its own, on a port that stays the same."""

    def __init__(self, redis_url: str | None = None) -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._environment = _environment(redis_url or settings.REDIS_URL)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        argv = [
            sys.executable,
            "-m",
            "uvicorn",
            "accesscontrol.asgi:application",
            "--no-access-log",
        ]
        self._process = subprocess.Popen(
            [*argv, "--host", LOOPBACK, "--port", str(self.port), "--ws-max-size", "1048576"],
            cwd=PROJECT,
            env=self._environment,
            preexec_fn=functools.partial(die_with_parent, signal.SIGKILL),
        )
        until(self._answers, "the web server answers")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None
        web = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        try:
            web.request("GET", "/live")
            return web.getresponse().status == 200
        except OSError:
            return False
        finally:
            web.close()


Answer = Callable[[Frame], list[Message]]


class StandInWorker:
    """Takes frames out of the slots as a worker does, and answers them as the test says."""

    def __init__(self, answer: Answer, redis_url: str | None = None) -> None:
        self.answer = answer
        self.frames: list[Frame] = []
        self.rests = 0
        self._outlet = FrameOutlet(redis.Redis.from_url(redis_url or settings.REDIS_URL))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.02):
            with contextlib.suppress(redis.RedisError):
                self._drain()
        connection.close()  # this thread's own; an answer may have used it

    def _drain(self) -> None:
        self._outlet.begin()
        for frame in self._outlet.take(10, "stand-in"):
            self.frames.append(frame)
            for message in self.answer(frame):
                notify.send_to_kiosk(frame.kiosk_id, message)
            self._outlet.release(frame.kiosk_id, "stand-in")
        for kiosk_id in self._outlet.take_resting("stand-in"):
            self.rests += 1
            notify.send_to_kiosk(kiosk_id, {"type": "rested"})
            self._outlet.release(kiosk_id, "stand-in")


def faces(frame: Frame, *boxes: tuple[list[float], str], size: tuple[int, int]) -> Message:
    """The worker's message about a frame's faces."""
    return {
        "type": "faces",
        "seq": frame.sequence,
        "width": size[0],
        "height": size[1],
        "faces": [{"box": box, "state": state} for box, state in boxes],
    }


def decision(frame: Frame, **fields: Any) -> Message:
    """The worker's message about a presentation: accepted, unless `fields` say otherwise."""
    accepted = {
        "type": "decision",
        "presentation": str(uuid.uuid4()),
        "seq": frame.sequence,
        "outcome": "ACCEPTED",
        "employee": "Asha Rao",
        "direction": "IN",
        "at": datetime(2026, 3, 2, 9, 2, 11, tzinfo=UTC).isoformat(),
        "repeat": False,
        "reason": None,
    }
    return {**accepted, **fields}
