"""Waiting that ends at once when somebody asks to stop: SIGINT, SIGTERM, SIGHUP."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType

from accesscontrol.services.errors import ServicesError, StopRequestedError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While entered, stop signals are noted, not raised; `pause` returns early on any of them.

    The end of a child process ends a pause too. Use in the main thread only.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignals:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._read)
        os.close(self._write)

    def pause(self, seconds: float) -> None:
        """Wait `seconds`, less if a signal comes. A stop request does not raise here."""
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 4096)

    def check(self) -> None:
        """Raise StopRequestedError if a stop was asked for."""
        if self.requested:
            raise StopRequestedError

    def wait_until(
        self, condition: Callable[[], bool], *, seconds: float, what: str, every: float = 0.1
    ) -> None:
        """Return when `condition()` is true, asking `every` so many seconds.

        Raises StopRequestedError, or ServicesError that says `what` did not happen in `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise ServicesError(f"{what} within {seconds:.0f} seconds.")
            self.pause(every)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
