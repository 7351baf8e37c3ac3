"""Lets several systems do the same tasks on the same frames in turn, and compares their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from recognition.bench.stages import detect_faces
from recognition.pipeline import Pipeline
from recognition.types import Pixels

Task = Literal["chain", "detect"]
Box = tuple[float, float, float, float]  # x1, y1, x2, y2, in pixels
Progress = Callable[[int, int], None]  # done, of how many

OURS = "gatehouse"
WARM_UP = 2  # rounds


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An image for all systems: its pixels, and where the whole chain is run its JPEG file."""

    pixels: Pixels
    jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One task done once: time on the clock and of the processor, and what was found.

    boxes: of `detect` only.
    """

    ms: float
    cpu_ms: float
    faces: int
    boxes: tuple[Box, ...] = ()


class System(Protocol):
    """What takes part: this project, or a peer."""

    name: str

    def keep(self, key: str, candidate: Candidate) -> None:
        """Take an image, to be named by `key` later."""

    def run(self, task: Task, key: str) -> Run:
        """Do one task: `chain`, from the JPEG file to embeddings, or `detect`, from pixels."""


class Ours:
    """This project's pipeline, without PAD."""

    name = OURS

    def __init__(self, pipeline: Pipeline, smallest_face: int) -> None:
        self._pipeline = pipeline
        self._smallest_face = smallest_face
        self._kept: dict[str, Candidate] = {}

    def keep(self, key: str, candidate: Candidate) -> None:
        """Take an image."""
        self._kept[key] = candidate

    def run(self, task: Task, key: str) -> Run:
        """Do one task."""
        candidate = self._kept[key]
        if task == "chain":
            return self._chain(candidate.jpeg or b"")
        return self._detect(candidate.pixels)

    def _chain(self, jpeg: bytes) -> Run:
        clock, cpu = time.perf_counter(), time.process_time()
        result = self._pipeline.analyse([jpeg], smallest_face=self._smallest_face)[0]
        taken, used = time.perf_counter() - clock, time.process_time() - cpu
        return Run(1000 * taken, 1000 * used, len(result.faces))

    def _detect(self, pixels: Pixels) -> Run:
        with torch.inference_mode():
            clock, cpu = time.perf_counter(), time.process_time()
            found = detect_faces(self._pipeline, pixels, self._smallest_face)
            rows = found.boxes.tolist()
            taken, used = time.perf_counter() - clock, time.process_time() - cpu
        boxes = tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in rows)
        return Run(1000 * taken, 1000 * used, len(boxes), boxes)


@dataclass(frozen=True, slots=True)
class Event:
    """One comparison: who does which task on which of the kept images."""

    task: Task
    keys: tuple[str, ...]
    systems: tuple[System, ...]


Runs = Mapping[str, Mapping[str, Sequence[Run]]]  # by event, then by system


def race(events: Mapping[str, Event], *, rounds: int, progress: Progress) -> Runs:
    """Do every event `rounds` times on each of its images, the systems in turn.

    A system does an event's images one after the other, as in service, with its weights and code
    in the caches; then the next system does. Who begins changes from round to round, so that a
    slower or busier moment of the machine hits all alike. Two rounds before do not count.
    """
    runs: dict[str, dict[str, list[Run]]] = {
        name: {system.name: [] for system in event.systems} for name, event in events.items()
    }
    for turn in range(WARM_UP + rounds):
        for name, event in events.items():
            first = turn % len(event.systems)
            for system in event.systems[first:] + event.systems[:first]:
                done = [system.run(event.task, key) for key in event.keys]
                if turn >= WARM_UP:
                    runs[name][system.name] += done
        progress(turn + 1, WARM_UP + rounds)
    return runs


def medians(runs: Sequence[Run]) -> dict[str, float]:
    """Median milliseconds on the clock and of the processor; mean number of faces found."""
    return {
        "ms": round(statistics.median(run.ms for run in runs), 3),
        "cpu_ms": round(statistics.median(run.cpu_ms for run in runs), 3),
        "faces": round(statistics.fmean(run.faces for run in runs), 3),
        "runs": len(runs),
    }


def ratio(times: Mapping[str, Mapping[str, float]], peer: str, *, of: str = "ms") -> float:
    """How many times as long the peer's median is as ours, by event results by system."""
    return round(times[peer][of] / times[OURS][of], 3)
