"""`manage.py bench_kiosks`, small: every figure is there, and nobody is taken for somebody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import EXTERNAL, PROJECT

pytestmark = pytest.mark.journey


def test_a_small_run_gives_every_figure(home: Path, faces: dict[str, Path]) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in EXTERNAL}
    done = subprocess.run(
        [
            *(sys.executable, "manage.py", "bench_kiosks", "--kiosks", "2", "--rate", "10"),
            *("--seconds", "6", "--flood", "0", "--json", "--plot", str(home / "plot.svg")),
        ],
        cwd=PROJECT,
        env={**kept, "GATEHOUSE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["full"].keys() == {"1", "2"}
    assert figures["usual"].keys() == {"2"}
    assert figures["flood"] is None
    for phase in (*figures["full"].values(), *figures["usual"].values()):
        assert phase["problems"] == []
        assert phase["walk_ups"]["walk_ups"] >= 1
        assert phase["walk_ups"]["wrong"] == 0
        assert phase["frames"]["processed"] >= 1
        assert phase["batches"]
        assert phase["processors"]["worker"] > 0
    assert (home / "plot.svg").read_text().rstrip().endswith("</svg>")
