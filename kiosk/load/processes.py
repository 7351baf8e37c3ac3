"""What the processes of an installation take: processor time and memory, from /proc.

Where there is no /proc (not Linux) there are no figures.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PARTS = {
    "web": "uvicorn",
    "worker": "recognition@",
    "enrolment": "enrolment@",
    "valkey": "valkey-server",
    "postgres": "postgres",
}
"""Parts of an installation by words in their command lines."""


@dataclass(frozen=True, slots=True)
class Use:
    """Of one part so far: seconds of processor time, and megabytes in memory now."""

    cpu_s: float
    memory_mb: float


def use_of_parts(root: int) -> dict[str, Use]:
    """What each part takes whose processes descend from `root`."""
    used: dict[str, Use] = {}
    for pid in _descendants(root):
        part, own = _part(pid), _use(pid)
        if part and own:
            before = used.get(part, Use(0.0, 0.0))
            used[part] = Use(before.cpu_s + own.cpu_s, before.memory_mb + own.memory_mb)
    return used


def busy_s() -> float:
    """Seconds of processor time that the whole machine has spent since its start; 0: not known."""
    try:
        ticks = [int(one) for one in (PROC / "stat").read_text().split("\n")[0].split()[1:]]
    except (OSError, ValueError):
        return 0.0
    user, nice, system, _idle, _waiting, *interrupts = ticks[:7]
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _descendants(root: int) -> list[int]:
    parents = {}
    for entry in PROC.glob("[0-9]*"):
        if fields := _stat(int(entry.name)):
            parents[int(entry.name)] = int(fields[1])
    found, new = [], [root]
    while new:
        new = [pid for pid, parent in parents.items() if parent in new]
        found += new
    return found


def _part(pid: int) -> str | None:
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (OSError, ValueError):
        return None
    return next((part for part, words in PARTS.items() if words in command), None)


def _use(pid: int) -> Use | None:
    fields = _stat(pid)
    if fields is None:
        return None
    # Its own time, and that of its children that have ended: a database serves by children.
    ticks = sum(int(ticks) for ticks in fields[11:15])
    pages = int(fields[21])
    return Use(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the name, which may hold anything: state comes first."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
