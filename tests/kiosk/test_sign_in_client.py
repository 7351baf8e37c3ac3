"""The Python client signs in with a number and the PIN on its standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from accesscontrol import credentials, kiosks
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Kiosk, Punch
from kiosk import identity
from kiosk.client import ClientError
from kiosk.identity import Identity
from kiosk.sign_in_client import sign_in
from tests.factories import EmployeeFactory, KioskFactory
from tests.kiosk.server import WebServer, free_port
from tests.services import PROJECT
from tests.sign_ins import PIN

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kiosk(outlet: FrameOutlet) -> Kiosk:
    kiosk = KioskFactory.create()
    employee = EmployeeFactory.create(site=kiosk.site, number="42", name="Jürgen Groß")
    credentials.set_pin(employee, PIN, by=None)
    return kiosk


def play_kiosk(*arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "play_kiosk", *map(str, arguments)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        input=typed,
        timeout=90,
        check=False,
    )


def test_the_command_prints_the_decision(web: WebServer, kiosk: Kiosk, tmp_path: Path) -> None:
    base = ("--url", web.url, "--identity", tmp_path / "identity.json")
    code = kiosks.new_pairing_code(kiosk, by=None)
    done = play_kiosk(*base, "--pair", code, "--sign-in", "42", typed=f"{PIN}\n")
    assert done.returncode == 0, done.stderr
    decision = json.loads(done.stdout)
    assert (decision["outcome"], decision["employee"]) == ("ACCEPTED", "Jürgen Groß")
    assert PIN not in done.stdout + done.stderr
    assert Punch.objects.count() == 1


def test_something_to_play_or_somebody_to_sign_in_not_both(tmp_path: Path) -> None:
    base = ("--url", "http://localhost", "--identity", tmp_path / "identity.json")
    for arguments in ((), ("--sign-in", "42", "clip.mp4")):
        done = play_kiosk(*base, *arguments)
        assert done.returncode == 1
        assert "Give something to play, or --sign-in NUMBER." in done.stderr


def test_what_is_no_pin_is_told(web: WebServer, kiosk: Kiosk) -> None:
    code = kiosks.new_pairing_code(kiosk, by=None)
    device = identity.pair(Identity.new(), web.url, code)
    with pytest.raises(ClientError, match="digits only"):
        sign_in(web.url, device, {"number": "42", "pin": "secret"})


def test_a_server_that_is_not_there_is_told(web: WebServer, kiosk: Kiosk) -> None:
    code = kiosks.new_pairing_code(kiosk, by=None)
    device = identity.pair(Identity.new(), web.url, code)
    with pytest.raises(ClientError, match="No answer"):
        sign_in(f"http://127.0.0.1:{free_port()}", device, {"number": "42", "pin": PIN})
