"""Targets with defects, to see that the fuzzing program finds each kind."""

from __future__ import annotations

import os
import signal

from tests.fuzz.targets import Target

FAULTY_INPUT = 7


def _make(_seed: int, number: int) -> bytes:
    return bytes([number % 256])


def _crash(data: bytes) -> str:
    if data[0] == FAULTY_INPUT:
        os.kill(os.getpid(), signal.SIGSEGV)
    return "refused"


def _stall(data: bytes) -> str:
    while data[0] == FAULTY_INPUT:
        pass
    return "refused"


def _swell(data: bytes) -> str:
    if data[0] == FAULTY_INPUT:
        bytearray(100_000_000)[::4096] = b"x" * (100_000_000 // 4096 + 1)
    return "refused"


def _raise(data: bytes) -> str:
    return "refused" if data[0] != FAULTY_INPUT else str(1 / 0)


FAULTY = {
    "crashed": Target(_make, _crash),
    "timed_out": Target(_make, _stall),
    "swollen": Target(_make, _swell),
    "unexpected": Target(_make, _raise),
}
