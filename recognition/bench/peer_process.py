"""Talks to a program that runs a peer: one JSON line there, one JSON line back."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recognition.bench.contest import Candidate, Run, Task
from recognition.bench.frames import BenchError

PROGRAM = Path(__file__).with_name("peer_program.py")
PATIENCE = 120.0  # seconds for one answer; loading the libraries takes the longest
LONGEST_ANSWER = 1 << 20


class PeerProcess:
    """A peer in a process of its own, with the answers that a system in a contest gives.

    Whatever goes wrong there is a BenchError that names the peer; the process is ended then.
    """

    def __init__(self, name: str, command: Sequence[str], *, patience: float = PATIENCE) -> None:
        self.name = name
        self._patience = patience
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (`close` closes it)
        self._overdue = threading.Event()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        except OSError as error:
            self._errors.close()
            raise BenchError(f"{name} cannot be started: {error}") from error
        try:
            self.versions = self._versions(self._answer())
        except BenchError:
            self.close()
            raise

    def keep(self, key: str, candidate: Candidate) -> None:
        """Hand over a frame, to be named by `key` later; one of that name is replaced."""
        pixels, jpeg = candidate.pixels, candidate.jpeg
        self._ask(
            do="keep",
            key=key,
            shape=pixels.shape[:2],
            pixels=base64.b64encode(pixels.tobytes()).decode(),
            jpeg=base64.b64encode(jpeg).decode() if jpeg else None,
        )

    def run(self, task: Task, key: str) -> Run:
        """Do the task on a frame that was handed over."""
        answer = self._ask(do=task, key=key)
        try:
            return Run(
                ms=float(answer["ms"]),
                cpu_ms=float(answer["cpu_ms"]),
                faces=int(answer["faces"]),
                boxes=tuple(_box(box) for box in answer["boxes"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BenchError(f"{self.name} answered something else than was asked") from error

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # it ended before it read everything
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, **request: object) -> dict[str, Any]:
        return self._answer(json.dumps(request).encode() + b"\n")

    def _answer(self, request: bytes = b"") -> dict[str, Any]:
        """Send a line, if any, and read the next one; a peer that hangs is killed meanwhile."""
        reader, writer = self._process.stdout, self._process.stdin
        if reader is None or writer is None:
            raise ValueError("the process has no pipes")
        guard = threading.Timer(self._patience, self._give_up)
        guard.start()
        try:
            writer.write(request)
            writer.flush()
            line = reader.readline(LONGEST_ANSWER)
        except BrokenPipeError:
            line = b""
        finally:
            guard.cancel()
        if not line:
            raise BenchError(self._why_it_ended())
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise BenchError(f"{self.name} answered no JSON object but {line[:80]!r}")
        return answer

    def _give_up(self) -> None:
        self._overdue.set()
        self._process.kill()

    def _why_it_ended(self) -> str:
        if self._overdue.is_set():
            return f"{self.name} gave no answer within {self._patience:.0f} seconds"
        status = self._process.wait()
        self._errors.seek(0)
        said = [line for line in self._errors.read().decode(errors="replace").splitlines() if line]
        last = said[-1].strip() if said else "it said nothing"
        return f"{self.name} ended with status {status}: {last}"

    def _versions(self, hello: dict[str, Any]) -> dict[str, str]:
        versions = hello.get("versions")
        if hello.get("peer") != self.name or not isinstance(versions, dict):
            raise BenchError(f"{self.name} is not what answered, but {hello}")
        return {str(package): str(number) for package, number in versions.items()}


def _box(sides: Sequence[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(side) for side in sides)
    return x1, y1, x2, y2


def start(name: str, python: Path) -> PeerProcess:
    """Start a peer by the Python of the peers' environment, shielded from this one's settings.

    Raises:
        BenchError: it does not start.
    """
    try:
        return PeerProcess(name, [str(python), "-I", str(PROGRAM), name])
    except BenchError as error:
        environment = python.parent.parent
        raise BenchError(
            f"{error}. If the peers' packages are damaged, remove {environment} and try again."
        ) from error
