"""What an earlier PostgreSQL left behind: its `postmaster.pid`, or itself, still shutting down."""

from __future__ import annotations

import os
import select
from pathlib import Path

from accesscontrol.services.errors import ServicesError

PATIENCE_SECONDS = 30


def clear_stale_lock(data: Path) -> None:
    """Make sure that PostgreSQL can start on `data`, without ever endangering a running one.

    PostgreSQL clears a stale lock by itself, except where the number in it was given to another
    process since, which is usual after a power cut: the same start-up order gives the same
    numbers. Waits for a server that is still shutting down. Raises ServicesError if it stays.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    program = _program(pid)
    if program == "postgres" and _may_use(pid, data):
        _wait_for_end(pid, data)
    elif program is not None and not _servers_on(data):
        # The number belongs to something else by now, and no PostgreSQL uses these data.
        lock.unlink(missing_ok=True)


def _program(pid: int) -> str | None:
    """The program's name; None if there is no such process (or no /proc to tell)."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def _servers_on(data: Path) -> list[int]:
    """The PostgreSQL processes that use `data`, or that may do so as far as one can see."""
    owner = data.stat().st_uid
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    servers = [pid for pid in pids if _program(pid) == "postgres" and _owner(pid) == owner]
    return [pid for pid in servers if _may_use(pid, data)]


def _may_use(pid: int, data: Path) -> bool:
    """PostgreSQL works in its data folder. False only if it is seen to work in another."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except PermissionError:  # in a container root may not look
        return True
    except OSError:
        return False


def _owner(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _wait_for_end(pid: int, data: Path) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([descriptor], [], [], PATIENCE_SECONDS)
    finally:
        os.close(descriptor)
    if not ended:
        raise ServicesError(
            f"PostgreSQL process {pid} still uses {data}. Stop it with: kill -INT {pid}"
        )
