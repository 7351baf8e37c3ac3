"""`manage.py demo --once`: from an empty folder, and again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.services import EXTERNAL, PROJECT, until

pytestmark = pytest.mark.journey


def demo(home: Path, *options: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in EXTERNAL}
    return subprocess.Popen(
        [sys.executable, "manage.py", "demo", *options],
        cwd=PROJECT,
        env={**kept, "GATEHOUSE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_recognises_one_refuses_one_and_exports_one_punch_and_does_so_a_second_time(
    home: Path, faces: dict[str, Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        for _ in range(2):
            process = demo(home, "--once", "--port", str(port))
            output, messages = process.communicate()

            assert process.returncode == 0, messages
            assert f"Port {port} is taken" in messages
            result = json.loads(output.splitlines()[-1])
            assert (result["recognised"], result["csv_rows"]) == (1, 1)
            assert result["refused"] >= 1
            assert result["frame_to_greeting_ms"].keys() == {"p50", "p95"}
            assert result["setup_s"] > 0


def test_it_stays_up_with_a_login_and_a_pairing_link_until_ctrl_c_leaves_nothing_running(
    home: Path, faces: dict[str, Path]
) -> None:
    process = demo(home, "--port", "8710")
    assert process.stderr is not None
    printed = ""
    while "Ctrl-C stops everything" not in printed:
        line = process.stderr.readline()
        assert line, printed
        printed += line
    assert "password: " in printed
    assert "kiosk/?code=" in printed
    children = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(signal.SIGINT)
    process.communicate()

    until(lambda: not any(child.is_running() for child in children), "all of it has stopped")
    assert process.returncode == 0
