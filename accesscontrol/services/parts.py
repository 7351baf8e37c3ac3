"""A part: one process that the supervisor keeps alive, and how it is started and stopped."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from accesscontrol.services.accounts import Account
from accesscontrol.services.folders import write_private


@dataclass(frozen=True, slots=True)
class Part:
    """One supervised process. `name` is also its log file's name, `title` is for people.

    Parts of one `group` are stopped together, the groups in the reverse order of their start.
    """

    name: str
    title: str
    group: str
    argv: list[str]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    inherit: bool = True
    stdin: Path | None = None
    held: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: int = 15
    death_signal: signal.Signals = signal.SIGKILL
    settle_seconds: int = 1
    """An end sooner than this after the start counts as a failed start."""
    start_attempts: int = 5
    answers: Callable[[], bool] | None = None
    """Tells whether the part does its work now; None where running is all that can be seen."""
    patience_seconds: int = 30
    """How long the first answer may take."""


def write_children(path: Path, parts: list[Part]) -> None:
    """Write what `child.py` reads; mode 0600."""
    children = {
        part.name: {
            "argv": part.argv,
            "folder": str(part.folder),
            "environment": part.environment,
            "inherit": part.inherit,
            "stdin": str(part.stdin) if part.stdin else None,
            "held": str(part.held) if part.held else None,
            "uid": part.account.uid if part.account else None,
            "gid": part.account.gid if part.account else None,
            "death_signal": int(part.death_signal),
        }
        for part in parts
    }
    write_private(path, json.dumps(children, indent=1) + "\n")
