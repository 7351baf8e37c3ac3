"""What one hostile input may cost at most: a process that takes more is killed.

These are limits of safety, far above what is usual. Processor time is counted, not the clock, so
that a busy machine changes nothing.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

SECONDS = 2.0
MEGABYTES = 64.0


def start_clock() -> None:
    """From here on the process has SECONDS of processor time; then SIGPROF ends it."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)


def stop_clock() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)


def peak_megabytes() -> float:
    """The most memory this program had so far.

    On Linux getrusage counts what the parent had when it started this one, so that a large
    parent would hide any growth; VmHWM does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
