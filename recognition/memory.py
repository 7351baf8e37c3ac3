"""Keeps freed memory in the process instead of handing it back after every frame."""

from __future__ import annotations

import ctypes
import sys

# Parameters of glibc's mallopt(3), from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_LARGEST_KEPT = 32 * 1024 * 1024  # bytes of one block, the most that glibc allows
_MOST_KEPT = 256 * 1024 * 1024  # bytes in all


def keep_freed_memory() -> bool:
    """Tell the C library to reuse freed blocks; returns whether it did.

    The networks' intermediate images have a few megabytes each. By default glibc maps such blocks
    anew for every frame, and their thousands of page faults cost a sixth of its time. What other
    systems' libraries do is left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    kept = mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
    return bool(kept)
