"""Times the pipeline stage by stage and end to end, on one frame with one face."""

from __future__ import annotations

import io
import itertools
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageFilter

from recognition.align import align
from recognition.detect import DetectorSettings, detect
from recognition.embed import embed
from recognition.images import PHOTO_LIMITS, ImageError, decode
from recognition.pad import INPUT_SIZE, attack_scores, framed
from recognition.pipeline import Pipeline
from recognition.quality import measure
from recognition.sampling import ImageSet
from recognition.types import Face, Pixels

FRAME_SIZE = (640, 480)
FACE_HEIGHT = 150  # pixels of the face in the frame: somebody at a terminal
BATCHES = (1, 2, 4, 8, 16)

Action = Callable[[], object]


class BenchError(Exception):
    """An image that the benchmark cannot use."""


@dataclass(frozen=True, slots=True)
class BenchFrames:
    """Two JPEG files of 640x480, one with exactly one face, one with none."""

    with_face: bytes
    without_face: bytes


def prepare_frames(pipeline: Pipeline, data: bytes) -> BenchFrames:
    """Make the frames out of a portrait: its largest face about 150 pixels high.

    Raises:
        BenchError: the portrait cannot be read, or no single face is found in the frame.
    """
    try:
        portrait = decode(data, PHOTO_LIMITS).pixels
    except ImageError as error:
        raise BenchError(error.message) from error
    faces = pipeline.analyse_pixels([portrait])[0].faces
    if not faces:
        raise BenchError("there is no face in the image")
    frame = _framed(portrait, faces[0])
    with_face = _jpeg(frame)
    found = pipeline.analyse([with_face])[0].faces
    if len(found) != 1:
        raise BenchError(f"the frame made of the image has {len(found)} faces, not one")
    # A strong blur keeps the light and colours of the scene, and leaves nothing to find.
    empty = frame.filter(ImageFilter.GaussianBlur(24))
    return BenchFrames(with_face, _jpeg(empty))


def _framed(portrait: Pixels, face: Face) -> Image.Image:
    x1, y1, x2, y2 = (float(side) for side in face.box)
    scale = FACE_HEIGHT / (y2 - y1)
    image = Image.fromarray(portrait)
    size = (round(image.width * scale), round(image.height * scale))
    resized = image.resize(size, Image.Resampling.LANCZOS)
    left = round((x1 + x2) / 2 * scale - FRAME_SIZE[0] / 2)
    top = round((y1 + y2) / 2 * scale - FRAME_SIZE[1] / 2)
    frame = Image.new("RGB", FRAME_SIZE, (96, 96, 96))
    frame.paste(resized, (-left, -top))
    return frame


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def bench(
    pipeline: Pipeline, frames: BenchFrames, *, smallest_face: int = 40, rounds: int = 30
) -> dict[str, object]:
    """Times of whole frames and of each part, in milliseconds, after a warm-up.

    The parts take turns, so that none has the machine at a better moment than another; of the
    medians over the first, middle and last third of the rounds the best is reported, so that
    another process that runs for a while does not count as ours.

    Keys: frame_ms and no_face_ms are whole frames from JPEG to embeddings; decode_ms, detect_ms,
    align_ms, quality_ms, embed_ms and pad_ms the parts (PAD is not in frame_ms);
    detect_no_face_ms is detection alone where there is nothing; frames_per_s is the best of
    `batches` (frames a second by batch size); memory_mb the process's peak.
    """

    def whole(data: bytes, batch: int) -> Action:
        return lambda: pipeline.analyse([data] * batch, smallest_face=smallest_face)

    with torch.inference_mode():
        parts = _stages(pipeline, frames, smallest_face)
        pad = {"pad_ms": parts.pop("pad_ms")}  # not part of a frame, and leaves the caches cold
        parts["frame_ms"] = whole(frames.with_face, 1)
        parts["no_face_ms"] = whole(frames.without_face, 1)
        figures: dict[str, object] = dict(_times_ms(parts, rounds, pipeline.device))
        figures |= _times_ms(pad, rounds, pipeline.device)
    batches = {}
    for batch in BATCHES:
        action = {"batch": whole(frames.with_face, batch)}
        taken = _times_ms(action, max(3, rounds // batch), pipeline.device)
        batches[str(batch)] = round(1000 * batch / taken["batch"], 2)
    figures["batches"] = batches
    figures["best_batch"] = int(max(batches, key=lambda size: batches[size]))
    figures["frames_per_s"] = max(batches.values())
    figures["memory_mb"] = _peak_memory_mb()
    figures["device"] = str(pipeline.device)
    figures["threads"] = torch.get_num_threads()
    figures["smallest_face"] = smallest_face
    return figures


def soak(pipeline: Pipeline, frames: BenchFrames, *, count: int) -> dict[str, object]:
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
        if not start and done >= min(1000, count / 10):
            start = _resident_mb()
    end = _resident_mb()
    return {
        "soak_frames": done,
        "rss_start_mb": round(start, 1),
        "rss_end_mb": round(end, 1),
        "rss_growth": round(end / start - 1, 4),
    }


def _stages(pipeline: Pipeline, frames: BenchFrames, smallest_face: int) -> dict[str, Action]:
    settings = DetectorSettings(smallest_face=smallest_face)
    device, data = pipeline.device, frames.with_face
    pixels, nothing = decode(data).pixels, decode(frames.without_face).pixels
    images = ImageSet([pixels], device)
    found = detect(pipeline.detector, images, settings)
    faces = align(images, found.frame, found.points)
    crops = images.sample(found.frame, framed(found.boxes), INPUT_SIZE)
    return {
        "decode_ms": lambda: decode(data),
        "detect_ms": lambda: detect(pipeline.detector, ImageSet([pixels], device), settings),
        "detect_no_face_ms": lambda: detect(
            pipeline.detector, ImageSet([nothing], device), settings
        ),
        "align_ms": lambda: align(images, found.frame, found.points),
        "quality_ms": lambda: measure(faces, found.points),
        "embed_ms": lambda: embed(pipeline.embedder, faces),
        "pad_ms": lambda: attack_scores(pipeline.antispoofing, crops),
    }


def _times_ms(actions: Mapping[str, Action], rounds: int, device: torch.device) -> dict[str, float]:
    """The best median of three thirds of the rounds, the actions taking turns."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    warm_up = min(3, rounds)
    for turn in range(warm_up + rounds):
        for name, action in actions.items():
            _finish(device)
            start = time.perf_counter()
            action()
            _finish(device)
            if turn >= warm_up:
                times[name].append(1000 * (time.perf_counter() - start))
    third = -(-rounds // 3)
    return {
        name: round(
            min(statistics.median(all_[at : at + third]) for at in range(0, rounds, third)), 3
        )
        for name, all_ in times.items()
    }


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError as error:
        raise BenchError("resident memory can be read on Linux only") from error
    return pages * resource.getpagesize() / 2**20


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024 * 1024), 1)
