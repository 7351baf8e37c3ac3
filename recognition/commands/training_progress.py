"""Shows on stderr how a training run goes: a bar on a terminal, else a line for every tenth."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from recognition.commands.terminal import say
from recognition.training.trainer import Listener


class _Lines:
    """For logs: a line for each tenth of the steps."""

    def __init__(self) -> None:
        self._tenth = -1

    def say(self, message: str) -> None:
        say(message)

    def stepped(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        tenth = step * 10 // steps
        if tenth > self._tenth:
            self._tenth = tenth
            say(f"step {step}/{steps}: {_told(figures)}")


class _Bar:
    """For a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None  # only the first of several processes has steps to show

    def say(self, message: str) -> None:
        self._progress.console.print(message, markup=False, highlight=False)

    def stepped(self, step: int, steps: int, figures: Mapping[str, float]) -> None:
        if self._task is None:
            self._task = self._progress.add_task("", total=steps, figures="")
        self._progress.update(self._task, completed=step, figures=_told(figures))


@contextmanager
def training_progress() -> Iterator[Listener]:
    """What to give `train` as its listener, within."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        yield _Bar(progress)


def _told(figures: Mapping[str, float]) -> str:
    shown = {name: value for name, value in figures.items() if name != "waiting"}
    speed = shown.pop("items_per_second", 0.0)
    losses = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    return f"{losses}  {speed:.0f}/s"
