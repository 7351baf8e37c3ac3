"""Two workers: never both at one kiosk, and one goes on where the other was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest
import redis
from django.conf import settings

from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Employee, Outcome, Punch
from recognition.types import FrameResult
from tests.concurrency import at_once, errors
from tests.enrolled import template
from tests.factories import (
    EmployeeFactory,
    ModelVersionFactory,
    SiteFactory,
    ThresholdFactory,
    jpeg_bytes,
)
from tests.plugin import TEST_HOME
from tests.recognition.eyes import ANNA, MODEL, Eyes
from tests.recognition.walk import Screen, kiosk_at

pytestmark = pytest.mark.django_db(transaction=True)


class Watched(Eyes):
    """Eyes that count how many of them look at the same moment."""

    lock = threading.Lock()
    looking = 0
    most = 0

    def analyse(self, images: Sequence[bytes], **named: object) -> list[FrameResult]:
        with self.lock:
            Watched.looking += 1
            Watched.most = max(Watched.most, Watched.looking)
        try:
            return super().analyse(images, **named)
        finally:
            with self.lock:
                Watched.looking -= 1


@pytest.fixture
def employee() -> Employee:
    version = ModelVersionFactory.create(
        name=MODEL.name, version=MODEL.version, sha256=MODEL.sha256
    )
    site = SiteFactory.create()
    ThresholdFactory.create(site=site, model_version=version)
    employee: Employee = EmployeeFactory.create(site=site, consented=True)
    template(employee, ANNA, version=version)
    return employee


@pytest.fixture
def screen(employee: Employee, valkey: redis.Redis) -> Iterator[Screen]:
    opened = Screen(kiosk_at(employee.site))
    yield opened
    opened.close()


def test_both_at_once_are_never_at_the_same_kiosk(screen: Screen) -> None:
    Watched.looking = Watched.most = 0
    workers = [Watched().recogniser(FrameOutlet.connect()) for _ in range(2)]

    def drain_often(worker: int) -> None:
        for _ in range(15):
            workers[worker].drain()

    def show_often() -> None:
        for _ in range(60):
            screen.show(jpeg_bytes())

    results = at_once([lambda: drain_often(0), lambda: drain_often(1), show_often])
    assert not errors(results)
    for _ in range(2):
        screen.show(jpeg_bytes())
        workers[0].drain()
    assert Watched.most == 1
    assert Decision.objects.get().outcome == Outcome.ACCEPTED
    assert Punch.objects.count() == 1


WORKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "accesscontrol.settings"
from accesscontrol import frames
outlet = frames.FrameOutlet.connect()
frames._frames_key(), outlet.waiting()
print("ready", flush=True)
sys.stdin.readline()
print(len(outlet.take(8, "the one that is killed")), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process() -> Iterator[subprocess.Popen[str]]:
    """A worker of its own: it takes what is waiting when it is told to, and goes no further."""
    environment = {**os.environ, "GATEHOUSE_HOME": str(TEST_HOME), "REDIS_URL": settings.REDIS_URL}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield process
        process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_after_a_kill_another_goes_on_with_the_same_presentation(
    screen: Screen,
    valkey: redis.Redis,
    other_process: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recognition.tracking.GONE_AFTER_MS", 60_000)
    monkeypatch.setattr("recognition.tracking.LONGEST_HIDDEN_MS", 60_000)
    monkeypatch.setattr("recognition.deciding.PATIENCE_MS", 60_000)
    outlet, worker = FrameOutlet.connect(), Eyes().recogniser(FrameOutlet.connect())
    assert heard(other_process) == "ready"
    screen.show(jpeg_bytes())
    worker.drain()
    before = outlet.load_tracks(screen.kiosk.pk)
    assert before is not None

    screen.show(jpeg_bytes())
    assert other_process.stdin is not None
    print(file=other_process.stdin, flush=True)
    assert heard(other_process) == "1"
    other_process.send_signal(signal.SIGKILL)

    screen.show(jpeg_bytes())
    worker.drain()
    assert outlet.load_tracks(screen.kiosk.pk) == before, "the dead one holds the kiosk still"
    assert not Decision.objects.exists()

    assert valkey.pexpire(f"slots:busy:{screen.kiosk.pk}", 1)
    while valkey.exists(f"slots:busy:{screen.kiosk.pk}"):
        pass
    screen.show(jpeg_bytes())
    worker.drain()
    decision = Decision.objects.get()
    assert (decision.outcome, decision.frames) == (Outcome.ACCEPTED, 2)
    assert str(decision.presentation).encode() in before
