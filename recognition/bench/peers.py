"""Compares this project with face_recognition and facenet-pytorch: same frames, core and run.

face_recognition is compared over the whole chain, from the JPEG file to embeddings;
facenet-pytorch in detection alone; both in the share of images in which they find the person.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from recognition.bench.contest import (
    OURS,
    Candidate,
    Event,
    Ours,
    Progress,
    System,
    medians,
    race,
    ratio,
)
from recognition.bench.frames import FRAME_SIZE, BenchError, prepare_frames
from recognition.bench.peer_process import start
from recognition.bench.recall import Dataset, find, recall, spread
from recognition.images import decode
from recognition.packages import Say
from recognition.pipeline import Pipeline

FACE_RECOGNITION = "face_recognition"
FACENET_PYTORCH = "facenet_pytorch"
SMALLEST_FACE = 40  # pixels, of ours and of MTCNN; the histogram detector's own is the same
FACE_HEIGHTS = (100, 200)  # pixels of the face in the frames that are timed
TIMED_FRAMES = 6
BLANK = 128  # grey of the frame without anything


@dataclass(frozen=True, slots=True)
class Timed:
    """Frames of 640x480 as JPEG files: some with one face of 100-200 pixels, one with none."""

    with_face: tuple[Candidate, ...]
    without_face: Candidate
    source: str


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is told how far things are: lines, and counts of a named kind of thing."""

    say: Say
    progress: Callable[[str], Progress]


def frames_of_portraits(pipeline: Pipeline, paths: Sequence[Path]) -> Timed:
    """Frames made of portraits, with faces of heights evenly spread over 100-200 pixels.

    A portrait of which no frame with one face can be made is left out.

    Raises:
        BenchError: none is left.
    """
    low, high = FACE_HEIGHTS
    made = []
    for number, path in enumerate(paths):
        height = low + round((high - low) * (number + 0.5) / len(paths))
        try:
            made.append(prepare_frames(pipeline, path.read_bytes(), face_height=height))
        except BenchError:
            continue
    if not made:
        raise BenchError("no frame with one face can be made of the sample portraits")
    return Timed(
        tuple(_candidate(frames.with_face) for frames in made),
        _candidate(made[0].without_face),
        "portraits",
    )


def frames_of_datasets(pipeline: Pipeline, datasets: Sequence[Dataset], otherwise: Timed) -> Timed:
    """Some of the data sets' own frames that are as wanted; `otherwise` where there are none."""
    for dataset in datasets:
        images = chain.from_iterable(group.images() for group in dataset.groups)
        fit = spread([image for image in images if _is_fit(pipeline, image)], TIMED_FRAMES)
        if len(fit) == TIMED_FRAMES:
            return Timed(tuple(fit), otherwise.without_face, dataset.name)
    return otherwise


def compare(
    pipeline: Pipeline,
    python: Path,
    timed: Timed,
    datasets: Sequence[Dataset],
    *,
    rounds: int,
    tell: Telling,
) -> dict[str, Any]:
    """Run all comparisons.

    Args:
        pipeline: on the CPU with one thread, this process kept on one core.
        python: of the peers' environment.

    Returns:
        compared: by event (frame: JPEG to embeddings; no_face: the same of a frame without a
        face; detect and detect_blank: detection alone), then by system, `medians`.
        ratio_face_recognition and ratio_facenet_pytorch_detect: how many times as long as ours
        the peer takes for `frame` and `detect`, of the medians on the clock; ratio_cpu, the same
        of processor time. recall and recall_peers by data set; recall_images, their numbers.

    Raises:
        BenchError: a peer does not run.
    """
    with ExitStack() as stack:
        dlib = stack.enter_context(start(FACE_RECOGNITION, python))
        mtcnn = stack.enter_context(start(FACENET_PYTORCH, python))
        ours = Ours(pipeline, SMALLEST_FACE)
        tell.say(f"timing {len(timed.with_face)} frames, {rounds} rounds")
        events = _events(timed, ours, dlib, mtcnn)
        runs = race(events, rounds=rounds, progress=tell.progress("rounds"))
        figures = _times(
            {name: {s: medians(r) for s, r in by.items()} for name, by in runs.items()}
        )
        figures |= _recalls(datasets, (ours, dlib, mtcnn), tell)
        figures["peer_versions"] = dlib.versions | mtcnn.versions
    figures["timed_on"] = timed.source
    figures["machine"] = f"{_processor()}, {platform.system()}, Python {platform.python_version()}"
    return figures


def _events(timed: Timed, ours: System, dlib: System, mtcnn: System) -> dict[str, Event]:
    kept = {f"face {number}": frame for number, frame in enumerate(timed.with_face)}
    faces = tuple(kept)
    kept["none"] = timed.without_face
    width, height = FRAME_SIZE
    kept["blank"] = Candidate(np.full((height, width, 3), BLANK, dtype=np.uint8))
    for system in (ours, dlib, mtcnn):
        for key, frame in kept.items():
            system.keep(key, frame)
    return {
        "frame": Event("chain", faces, (ours, dlib)),
        "no_face": Event("chain", ("none",) * len(faces), (ours, dlib)),
        "detect": Event("detect", faces, (ours, mtcnn)),
        "detect_blank": Event("detect", ("blank",) * len(faces), (ours, mtcnn)),
    }


def _times(compared: dict[str, dict[str, dict[str, float]]]) -> dict[str, Any]:
    chain_, detection = compared["frame"], compared["detect"]
    return {
        "compared": compared,
        "ratio_face_recognition": ratio(chain_, FACE_RECOGNITION),
        "ratio_facenet_pytorch_detect": ratio(detection, FACENET_PYTORCH),
        "ratio_cpu": {
            FACE_RECOGNITION: ratio(chain_, FACE_RECOGNITION, of="cpu_ms"),
            FACENET_PYTORCH: ratio(detection, FACENET_PYTORCH, of="cpu_ms"),
        },
    }


def _recalls(
    datasets: Sequence[Dataset], systems: Sequence[System], tell: Telling
) -> dict[str, Any]:
    shares: dict[str, dict[str, float]] = {system.name: {} for system in systems}
    for dataset in datasets:
        tell.say(f"looking for faces in {dataset.count} images of {dataset.name}")
        groups = list(find(dataset, systems, tell.progress("images")))
        for system in systems:
            shares[system.name][dataset.name] = recall(groups, system.name)
    return {
        "recall": shares.pop(OURS),
        "recall_peers": shares,
        "recall_images": {dataset.name: dataset.count for dataset in datasets},
    }


def _candidate(jpeg: bytes) -> Candidate:
    return Candidate(decode(jpeg).pixels, jpeg)


def _is_fit(pipeline: Pipeline, image: Candidate) -> bool:
    """Whether it is a JPEG file of 640x480 with one face of 100-200 pixels."""
    if image.jpeg is None or image.pixels.shape[1::-1] != FRAME_SIZE:
        return False
    faces = pipeline.analyse_pixels([image.pixels], smallest_face=SMALLEST_FACE)[0].faces
    low, high = FACE_HEIGHTS
    return len(faces) == 1 and low <= faces[0].box[3] - faces[0].box[1] <= high


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
