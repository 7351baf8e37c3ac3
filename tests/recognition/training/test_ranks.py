"""Several processes train as one does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from recognition.training.checkpoint import Checkpoints
from recognition.training.journal import read_rows
from recognition.training.launch import launch
from recognition.training.trainer import train
from tests.recognition.training.tiny import TinyBatches, TinyModel, tiny_config

_EXACT = {"norm": False, "dropout": 0.0}
_LAUNCHER = (
    "from recognition.training.launch import launch\nimport sys\nsys.exit(launch(sys.argv[1:], 2))"
)


@pytest.mark.parametrize("told", [{}, {"accumulate": 3, "ema": 0.9, "clip": 0.5}])
def test_two_processes_with_halves_of_each_batch_come_to_what_one_does_with_the_whole(
    tmp_path: Path, told: dict[str, object]
) -> None:
    one = TinyModel(norm=False, dropout=0)
    train(one, TinyBatches(), tiny_config(**told), tmp_path / "one")

    assert launch(command(tmp_path / "two", {**told, **_EXACT}), 2) == 0

    two = safetensors.torch.load_file(tmp_path / "two" / "weights.safetensors")
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def test_the_first_process_alone_validates_and_writes_and_all_stop_when_it_says(
    tmp_path: Path,
) -> None:
    watched = {"watched": True, "validate_every": 3, "watch": "loss", "patience": 1}
    said = run_two(tmp_path, {**watched, "learning_rate": 1e-6, "steps": 60})

    assert sum(line.startswith("step 3: loss") for line in said) == 1
    rows = read_rows(tmp_path)
    assert [row["step"] for row in rows if "losses" in row] == list(range(1, rows[-1]["step"] + 1))
    last = Checkpoints(tmp_path / "checkpoints", 2).steps()[0]
    assert last < 60
    facts = Checkpoints(tmp_path / "checkpoints", 2).read(last).facts
    assert facts["standing"]["ended"] == "stopped early"


def test_when_one_is_killed_all_end_and_together_they_resume_to_the_bit(tmp_path: Path) -> None:
    run_two(tmp_path / "whole", {})

    launcher = start_two(tmp_path / "killed", {"hold": 7})
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if line.startswith("holding"):
            os.kill(int(line.split()[1]), signal.SIGKILL)
            break
    launcher.communicate()
    assert launcher.returncode == 128 + signal.SIGKILL

    assert "going on from step 5" in run_two(tmp_path / "killed", {})
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    for name in ("checkpoints/00000012.safetensors", "weights.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_number_of_processes_is_refused_by_all(tmp_path: Path) -> None:
    train(TinyModel(), TinyBatches(), tiny_config(), tmp_path)
    said = run_two(tmp_path, {}, status=1)
    assert any("has another processes (processes: 1, now 2)" in line for line in said)
    assert any("the first process cannot go on" in line for line in said)


def test_a_launcher_that_is_asked_to_end_ends_all(tmp_path: Path) -> None:
    launcher = start_two(tmp_path, {"hold": 7})
    assert launcher.stdout is not None
    for line in launcher.stdout:
        if line.startswith("holding"):
            break
    launcher.send_signal(signal.SIGTERM)
    # The output ends only when every process that could write to it has ended.
    launcher.communicate(timeout=60)
    assert launcher.returncode != 0


def command(folder: Path, told: dict[str, object]) -> list[str]:
    """One process of a run."""
    module = "tests.recognition.training.tiny_run"
    return [sys.executable, "-m", module, str(folder), json.dumps(told)]


def start_two(folder: Path, told: dict[str, object]) -> subprocess.Popen[str]:
    """A launcher of two processes."""
    launcher = [sys.executable, "-c", _LAUNCHER, *command(folder, told)]
    return subprocess.Popen(launcher, stdout=subprocess.PIPE, text=True)


def run_two(folder: Path, told: dict[str, object], status: int = 0) -> list[str]:
    """Two processes to their end; what they said."""
    process = start_two(folder, told)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == status, said
    return said.splitlines()


def losses(folder: Path) -> list[float]:
    """Of each step."""
    return [row["losses"]["loss"] for row in read_rows(folder) if "losses" in row]
