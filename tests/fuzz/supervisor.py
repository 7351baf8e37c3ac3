"""Runs the inputs in processes that may die, and counts how."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STALLED_S = 600.0
"""Without a result of PORTION inputs: it waits for something. Processor time is limited apart."""
PORTION = 5_000

OUTCOMES = ("accepted", "refused", "unexpected", "crashed", "timed_out", "swollen")


@dataclass(slots=True)
class Report:
    """How often each outcome came, and which inputs are defects (number and what happened)."""

    counts: Counter[str] = field(default_factory=Counter)
    defects: list[tuple[int, str]] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return sum(self.counts[name] for name in OUTCOMES if name != "swollen")


def fuzz(
    target: str, inputs: int, seed: int, progress: Callable[[int], None] = lambda done: None
) -> Report:
    """Feed inputs 0 to `inputs` of the run `seed` to a target of `tests.fuzz.targets`."""
    report, begun = Report(), 0
    while begun < inputs:
        begun = _portion(target, seed, (begun, min(begun + PORTION, inputs)), report)
        progress(begun)
    return report


def _portion(target: str, seed: int, numbers: tuple[int, int], report: Report) -> int:
    """Run the inputs in one process; returns the number after the last one it came to."""
    first, end = numbers
    command = [sys.executable, "-m", "tests.fuzz.child", target, *map(str, (seed, first, end))]
    with tempfile.TemporaryFile() as note:
        try:
            done = subprocess.run(
                command, stdin=note, capture_output=True, timeout=STALLED_S, check=False
            )
            status, output, errors = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as stalled:
            status, output, errors = -signal.SIGPROF, stalled.stdout or b"", stalled.stderr or b""
        note.seek(0)
        under_way = int(note.read() or first)
    finished = _read(output, report)
    if finished:
        return end
    if status > 0:
        raise RuntimeError(f"the fuzzing process failed: {errors.decode(errors='replace')}")
    # What went well before the end is known by its number alone.
    report.counts["refused"] += under_way - first
    kind = "timed_out" if status == -signal.SIGPROF else "crashed"
    report.counts[kind] += 1
    report.defects.append((under_way, f"{kind}, {signal.Signals(-status).name}"))
    return under_way + 1


def _read(output: bytes, report: Report) -> bool:
    finished = False
    for line in output.splitlines():
        told = json.loads(line)
        if "counts" in told:
            report.counts.update(told["counts"])
            finished = True
        else:
            report.defects.append((told["input"], f"{told['defect']}, {told['error']}"))
    return finished


def save_input(target: str, seed: int, number: int, folder: Path) -> Path:
    """Write one input to a file, to look into it."""
    from tests.fuzz.targets import TARGETS

    path = folder / f"{target}-{seed}-{number}"
    path.write_bytes(TARGETS[target].make(seed, number))
    return path
