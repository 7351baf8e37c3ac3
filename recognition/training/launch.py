"""Starts a command as several processes that train together on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from types import FrameType

import torch.distributed as dist

_LOCALHOST = "127.0.0.1"


def launched() -> bool:
    """Whether this process is one of several, started by `launch` or by `torchrun`."""
    return dist.is_torchelastic_launched()


def launch(command: Sequence[str], processes: int) -> int:
    """Run a command several times at once, as `torchrun` does; its exit status.

    Each finds out by `recognition.training.ranks.joined` which one it is. When one fails, or is
    killed, the others cannot go on and are ended.

    Returns:
        0 if all ended with 0, else the status of the first that did not; 128 and the signal's
        number where a signal ended it.
    """
    store = dist.TCPStore(  # type: ignore[attr-defined]
        _LOCALHOST, 0, is_master=True, wait_for_workers=False
    )
    each = max(1, (os.cpu_count() or 1) // processes)
    shared = {
        "OMP_NUM_THREADS": str(each),  # unless it was set: all cores for each would be too many
        **os.environ,
        "MASTER_ADDR": _LOCALHOST,
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_RUN_ID": "launch",
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is ours, no process has to open one
        "WORLD_SIZE": str(processes),
    }
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ThreadPoolExecutor(processes) as waiting, ExitStack() as ending:
            ended = []
            for rank in range(processes):
                own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                process = subprocess.Popen(list(command), env=own)
                ending.callback(process.kill)  # before the threads are waited for
                ended.append(waiting.submit(process.wait))
            statuses = (future.result() for future in as_completed(ended))
            failed = next((status for status in statuses if status), 0)
            return failed if failed >= 0 else 128 - failed
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
