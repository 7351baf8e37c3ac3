"""A run's figures as they come: `metrics.jsonl`, and events for TensorBoard where it is installed.

Each line of `metrics.jsonl` is an object with "step" (steps made) and one of
  "losses" (with "rate" and "gradient"), for each step;
  "validation", whenever the model was validated;
  "speed", from time to time: the only lines that differ between two runs of the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from recognition.packages import write_atomically
from recognition.training.config import TrainingError

METRICS = "metrics.jsonl"


class _Events(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Journal:
    """Writes a run's figures into its folder.

    Args:
        after: the step from which the run goes on; lines of later steps, which will come again,
            and a line that a kill cut short are removed.
    """

    def __init__(self, folder: Path, after: int) -> None:
        self._path = folder / METRICS
        kept = [row for row in read_rows(folder) if int(row["step"]) <= after]
        write_atomically(self._path, "".join(map(_line, kept)).encode())
        self._file = self._path.open("a")
        self._events = _events(folder / "events", after)

    @property
    def has_events(self) -> bool:
        """Whether TensorBoard is there to be written for."""
        return self._events is not None

    def add(self, step: int, kind: str, figures: Mapping[str, float], **more: float) -> None:
        """Write one line.

        Args:
            step: steps made.
            kind: "losses", "validation" or "speed".
            more: further numbers of the line.
        """
        with self._room():
            self._file.write(_line({"step": step, kind: dict(figures), **more}))
            if self._events is not None:
                for name, value in figures.items():
                    self._events.add_scalar(f"{kind}/{name}", value, step)
                for name, value in more.items():
                    self._events.add_scalar(name, value, step)

    def keep(self) -> None:
        """Bring all to the disk."""
        with self._room():
            self._file.flush()
            os.fsync(self._file.fileno())
            if self._events is not None:
                self._events.flush()

    def close(self) -> None:
        """Nothing more is written."""
        with self._room():
            self._file.close()
            if self._events is not None:
                self._events.close()

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"{self._path} could not be written: {error.strerror}. Make room there and run "
                "again: it goes on from the last checkpoint."
            ) from error


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`, none if there is none; a torn last line is left out.

    Raises:
        TrainingError: another line is damaged.
    """
    try:
        lines = (folder / METRICS).read_text().split("\n")
    except FileNotFoundError:
        return []
    rows = []
    for number, line in enumerate(lines[:-1]):  # what follows the last newline is torn or empty
        try:
            row = json.loads(line)
            int(row["step"])
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{folder / METRICS}, line {number + 1}, is damaged; remove that line"
            ) from error
        rows.append(row)
    return rows


def _line(row: Mapping[str, object]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"


def _events(folder: Path, after: int) -> _Events | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    writer: _Events = SummaryWriter(str(folder), purge_step=after + 1)
    return writer
