"""A process of simulated kiosks, apart from the benchmark so that its cost can be told.

Reads its orders, one JSON line, on stdin; prints `{"ready": N}` when all kiosks are connected,
begins with the next line on stdin, and prints `{"logs", "cpu_s"}` at its end.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from kiosk import identity
from kiosk.load.walker import Part, Show, Walker

CONNECT_S = 60.0


def walkers(orders: dict[str, Any]) -> list[Walker]:
    """The kiosks of the orders.

    Args:
        orders: `{"url", "enrolled": {name: folder}, "strangers": {name: folder}, "room": path,
            "kiosks": [{"identity": path, "part": {...}, "seed"}]}`.
    """
    show = Show(
        {name: _frames(folder) for name, folder in orders["enrolled"].items()},
        {name: _frames(folder) for name, folder in orders["strangers"].items()},
        Path(orders["room"]).read_bytes(),
    )
    return [
        Walker(identity.load(Path(one["identity"])), Part(**one["part"]), show, one["seed"])
        for one in orders["kiosks"]
    ]


async def play(url: str, walkers: Sequence[Walker]) -> dict[str, Any]:
    """Connect all kiosks, wait for the word, let them play; their logs and what that cost."""
    ready, start = asyncio.Semaphore(0), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for walker in walkers:
            group.create_task(walker.run(url, ready, start))
        async with asyncio.timeout(CONNECT_S):
            for _ in walkers:
                await ready.acquire()
        _print({"ready": len(walkers)})
        await asyncio.to_thread(sys.stdin.readline)
        before = _cpu_s()
        start.set()
    return {
        "logs": [walker.log.plain() for walker in walkers],
        "cpu_s": _cpu_s() - before,
    }


def _frames(folder: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(folder).iterdir())]


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _print(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """The process."""
    orders = json.loads(sys.stdin.readline())
    _print(uvloop.run(play(orders["url"], walkers(orders))))
