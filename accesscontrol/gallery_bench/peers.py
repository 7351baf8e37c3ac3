"""numpy and faiss in a process of their own, each on one thread."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from accesscontrol.environment import PROJECT
from accesscontrol.gallery_bench.crowd import Vectors

PROGRAM = Path(__file__).with_name("peer_program.py")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
SET_UP_SECONDS = 1800


class PeerError(Exception):
    """The peers do not run; the message says why."""


def faiss_python() -> Path:
    """The Python of the environment that has faiss, set up at its first use.

    Raises:
        PeerError: it cannot be had.
    """
    command = [sys.executable, "-m", "recognition", "faiss-environment"]
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=SET_UP_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(str(error)) from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise PeerError(said[-1] if said else f"exit status {done.returncode}")
    return Path(done.stdout.strip().splitlines()[-1])


class Peers:
    """The systems that the gallery search is compared with."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), "-I", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ONE_THREAD,
            text=True,
        )
        self.versions: dict[str, str] = self._read()

    def load(self, templates: Vectors) -> None:
        """Take the templates of one site, (N, D), in place of those before."""
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            np.save(file, templates)
            file.flush()
            self._ask({"load": file.name})

    def search(self, system: str, probe: NDArray[np.float32]) -> tuple[int, float]:
        """The row of the largest inner product, and the milliseconds that finding it took."""
        answer = self._ask({"search": probe.tolist(), "with": system})
        return int(answer["row"]), float(answer["ms"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None:
            raise PeerError("the process has no input")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise PeerError("numpy or faiss ended; its last words are above") from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise PeerError("numpy or faiss ended; its last words are above")
        answer: dict[str, Any] = json.loads(line)
        return answer
