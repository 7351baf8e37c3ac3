"""Starts a command as several processes that train together on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
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
    store = dist.TCPStore(_LOCALHOST, 0, is_master=True, wait_for_workers=False)
    shared = {
        **os.environ,
        "MASTER_ADDR": _LOCALHOST,
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_RUN_ID": "launch",
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is ours, no process has to open one
        "WORLD_SIZE": str(processes),
    }
    before = signal.signal(signal.SIGTERM, _interrupt)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(processes):
            own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            running.append(subprocess.Popen(list(command), env=own))
        return _first_failure(running)
    finally:
        signal.signal(signal.SIGTERM, before)
        for process in running:
            process.kill()
            process.wait()


def _first_failure(running: Sequence[subprocess.Popen[bytes]]) -> int:
    with ThreadPoolExecutor(len(running)) as pool:
        left = {pool.submit(process.wait) for process in running}
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            failed = [one.result() for one in done if one.result()]
            if failed:
                for process in running:
                    process.kill()
                return failed[0] if failed[0] > 0 else 128 - failed[0]
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
