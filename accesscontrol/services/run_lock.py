"""One `manage.py up` for each home folder: a lock that a power cut cannot leave behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accesscontrol.services.errors import ServicesError
from accesscontrol.services.waiting import StopSignals

PATIENCE_SECONDS = 90


@contextmanager
def only_one(home: Path, signals: StopSignals) -> Iterator[int]:
    """Hold the lock of `home`; yields its descriptor, which the supervisor inherits.

    So the lock is free when both are gone: after a kill -9 of `up`, the next one waits until the
    supervisor has stopped what it had started. Raises ServicesError naming the process that
    runs, if one does.
    """
    path = home / "run" / "up.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:

        def locked() -> bool:
            if _try_lock(descriptor):
                return True
            holder = _holder(path)
            if holder is not None and _is_alive(holder):
                raise ServicesError(
                    f"Gatehouse runs already on {home}, as process {holder}. "
                    f"Stop it first: kill {holder}"
                )
            return False

        signals.wait_until(
            locked,
            seconds=PATIENCE_SECONDS,
            what=f"What an earlier start on {home} left running did not stop",
        )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> int | None:
    text = path.read_text()
    return int(text) if text.isdigit() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # A killed process whose parent has not noticed yet still has its number, in state Z.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True  # no /proc here
    return state not in {"Z", "X"}
