"""Feeds a range of inputs within the limits; the supervisor starts it and may kill it.

Arguments: target, seed, first and end of the range. A line of JSON on stdout for each input that
is a defect, and one with the counts at the end. What is under way is written to stdin's file.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings
from collections import Counter

from PIL import Image

from tests.fuzz import limits
from tests.fuzz.faulty import FAULTY
from tests.fuzz.targets import TARGETS

ROOM = 2 << 30
"""Of address space: what swells beyond it fails, before it harms the machine."""
NOTE = 16
"""Bytes of the note that says which input is under way."""


def tell(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(name: str, seed: int, first: int, end: int) -> None:
    target, counts = (TARGETS | FAULTY)[name], Counter[str]()
    warnings.simplefilter("error")  # a decoder that only warns of hostile input logs without end
    Image.init()
    target.feed(target.make(seed, first))
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    base = limits.peak_megabytes()
    for number in range(first, end):
        os.pwrite(0, str(number).ljust(NOTE).encode(), 0)
        data = target.make(seed, number)
        limits.start_clock()
        try:
            counts[target.feed(data)] += 1
        except Exception as error:  # noqa: BLE001 (whatever else it raises is what is looked for)
            limits.stop_clock()
            counts["unexpected"] += 1
            tell(defect="unexpected", input=number, error=f"{type(error).__name__}: {error}")
        limits.stop_clock()
        if number % 64 == 0 or number == end - 1:
            base = _watch_memory(number, base, counts)
    tell(counts=counts, end=end)


def _watch_memory(number: int, base: float, counts: Counter[str]) -> float:
    peak = limits.peak_megabytes()
    if peak - base <= limits.MEGABYTES:
        return base
    counts["swollen"] += 1
    tell(defect="swollen", input=number, error=f"+{peak - base:.0f} MB within the last 64")
    return peak


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
