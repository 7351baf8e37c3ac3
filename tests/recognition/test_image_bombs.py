"""Files made to swell or stall a decoder: each in a process that may take 64 MB and 2 s more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recognition.images import FRAME_LIMITS
from tests.fuzz import limits
from tests.recognition.bombs import LARGE, REFUSED, bomb


def outcome(data: bytes, folder: Path) -> str:
    """What becomes of the file; fails if it takes more than the limits allow."""
    path = folder / "image"
    path.write_bytes(data)
    command = [sys.executable, "-m", "tests.fuzz.decode_once", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ended by {done.returncode}: {done.stderr}"
    result = json.loads(done.stdout)
    assert result["growth"] <= limits.MEGABYTES
    return str(result["outcome"])


@pytest.mark.parametrize("name", list(LARGE))
def test_what_is_decoded_stays_within_memory_and_time(name: str, tmp_path: Path) -> None:
    data = bomb(name)
    assert len(data) <= FRAME_LIMITS.max_bytes
    assert outcome(data, tmp_path) == "OK"


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_costs_too_much_is_refused_within_memory_and_time(name: str, tmp_path: Path) -> None:
    data = bomb(name)
    assert len(data) <= FRAME_LIMITS.max_bytes
    assert outcome(data, tmp_path) in {"CORRUPT", "TOO_MANY_PIXELS"}


def test_the_limits_are_real(tmp_path: Path) -> None:
    """A process that has grown far beyond its parent's size must be seen to have grown."""
    code = (
        "from tests.fuzz import limits\n"
        "before = limits.peak_megabytes()\n"
        "kept = b'x' * 100_000_000\n"
        "print(limits.peak_megabytes() - before)\n"
        "limits.start_clock()\n"
        "while True: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-uc", code], capture_output=True, text=True, check=False
    )
    assert float(done.stdout) > 90
    assert done.returncode < 0
