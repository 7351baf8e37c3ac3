"""Doing the same thing many times at once, against the real database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection


def at_once(works: Sequence[Callable[[], object]]) -> list[Any]:
    """Run each in a thread of its own, all let go at one moment; what each returned or raised.

    Use with `transactional_db`: every thread has a connection of its own, closed at its end.
    """
    start = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        try:
            connection.ensure_connection()
            start.wait(30)
            return work()
        except Exception as error:  # noqa: BLE001  the test looks at it
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))


def errors(results: Sequence[object]) -> list[Exception]:
    return [result for result in results if isinstance(result, Exception)]
