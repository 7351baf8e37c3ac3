"""Times the pipeline stage by stage and end to end, on one frame with one face."""

from __future__ import annotations

import io
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
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
    found = pipeline.analyse_pixels([np.asarray(frame)])[0].faces
    if len(found) != 1:
        raise BenchError(f"the frame made of the image has {len(found)} faces, not one")
    # A strong blur keeps the light and colours of the scene, and leaves nothing to find.
    empty = frame.filter(ImageFilter.GaussianBlur(24))
    return BenchFrames(_jpeg(frame), _jpeg(empty))


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
    """Medians over `rounds` runs of each part, in milliseconds, after a warm-up.

    Keys: frame_ms and no_face_ms are whole frames from JPEG to embeddings; decode_ms, detect_ms,
    align_ms, quality_ms, embed_ms and pad_ms the parts (PAD is not in frame_ms); frames_per_s is
    the best of `batches` (frames a second by batch size); memory_mb the process's peak.
    """
    with torch.inference_mode():
        figures: dict[str, object] = dict(
            _stages(pipeline, frames.with_face, smallest_face, rounds)
        )

    def whole(data: bytes, batch: int) -> Callable[[], object]:
        return lambda: pipeline.analyse([data] * batch, smallest_face=smallest_face)

    figures["frame_ms"] = _median_ms(whole(frames.with_face, 1), rounds, pipeline.device)
    figures["no_face_ms"] = _median_ms(whole(frames.without_face, 1), rounds, pipeline.device)
    batches = {}
    for batch in BATCHES:
        turns = max(3, rounds // batch)
        batch_ms = _median_ms(whole(frames.with_face, batch), turns, pipeline.device)
        batches[str(batch)] = round(1000 * batch / batch_ms, 2)
    figures["batches"] = batches
    figures["best_batch"] = int(max(batches, key=lambda size: batches[size]))
    figures["frames_per_s"] = max(batches.values())
    figures["memory_mb"] = _peak_memory_mb()
    figures["device"] = str(pipeline.device)
    figures["threads"] = torch.get_num_threads()
    figures["smallest_face"] = smallest_face
    return figures


def _stages(pipeline: Pipeline, data: bytes, smallest_face: int, rounds: int) -> dict[str, float]:
    settings = DetectorSettings(smallest_face=smallest_face)
    device = pipeline.device
    pixels = decode(data).pixels
    images = ImageSet([pixels], device)
    found = detect(pipeline.detector, images, settings)
    faces = align(images, found.frame, found.points)
    crops = images.sample(found.frame, framed(found.boxes), INPUT_SIZE)
    stages: dict[str, Callable[[], object]] = {
        "decode_ms": lambda: decode(data),
        "detect_ms": lambda: detect(pipeline.detector, ImageSet([pixels], device), settings),
        "align_ms": lambda: align(images, found.frame, found.points),
        "quality_ms": lambda: measure(faces, found.points),
        "embed_ms": lambda: embed(pipeline.embedder, faces),
        "pad_ms": lambda: attack_scores(pipeline.antispoofing, crops),
    }
    return {name: _median_ms(stage, rounds, device) for name, stage in stages.items()}


def _median_ms(action: Callable[[], object], rounds: int, device: torch.device) -> float:
    for _ in range(min(3, rounds)):
        action()
    times = []
    for _ in range(rounds):
        _finish(device)
        start = time.perf_counter()
        action()
        _finish(device)
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1000, 3)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024 * 1024), 1)
