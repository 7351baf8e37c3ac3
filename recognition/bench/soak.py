"""Analyses very many frames and tells by how much the process's memory has grown."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from recognition.bench.frames import BenchFrames
from recognition.bench.stages import BATCHES
from recognition.bench.timing import resident_mb
from recognition.pipeline import Pipeline

Progress = Callable[[int, int], None]  # done, of how many


def soak(
    pipeline: Pipeline, frames: BenchFrames, *, count: int, progress: Progress
) -> dict[str, object]:
    """Analyse `count` frames, with a face and without, in batches of changing size.

    Returns:
        soak_frames; rss_start_mb, resident memory after the first tenth, at most 1,000 frames;
        rss_end_mb; rss_growth, by which part of the first the second is larger.

    Raises:
        BenchError: the system does not tell a process's resident memory.
    """
    done, start = 0, 0.0
    for batch in itertools.cycle(BATCHES):
        if done >= count:
            break
        size = min(batch, count - done)
        pipeline.analyse([frames.with_face, *[frames.without_face] * (size - 1)])
        done += size
        progress(done, count)
        if not start and done >= min(1000, count / 10):
            start = resident_mb()
    end = resident_mb()
    return {
        "soak_frames": done,
        "rss_start_mb": round(start, 1),
        "rss_end_mb": round(end, 1),
        "rss_growth": round(end / start - 1, 4),
    }
