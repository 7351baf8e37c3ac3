"""Times the pipeline stage by stage and end to end, on one frame with one face."""

from __future__ import annotations

import torch

from recognition.align import align
from recognition.bench.frames import BenchFrames
from recognition.bench.timing import Action, peak_memory_mb, times_ms
from recognition.detect import DetectorSettings, detect
from recognition.detections import Detections
from recognition.embed import embed
from recognition.images import decode
from recognition.minifasnet import attack_scores as pair_scores
from recognition.pad import tree_scores
from recognition.pipeline import Pipeline
from recognition.quality import measure
from recognition.resnet29 import chips, describe
from recognition.sampling import ImageSet
from recognition.types import Pixels

BATCHES = (1, 2, 4, 8, 16)


def bench(
    pipeline: Pipeline, frames: BenchFrames, *, smallest_face: int = 40, rounds: int = 30
) -> dict[str, object]:
    """Times of whole frames and of each part, in milliseconds, after a warm-up; see `times_ms`.

    Keys: frame_ms and no_face_ms are whole frames from JPEG to embeddings; decode_ms, detect_ms,
    align_ms, quality_ms, embed_ms and pad_ms the parts (PAD, by `pad_model`, is not in frame_ms),
    with the fused embedder also describe_ms, its second part; detect_no_face_ms is detection
    alone where there is nothing; frames_per_s is the best of `batches` (frames a second by batch
    size); memory_mb the process's peak.
    """

    def whole(data: bytes, batch: int) -> Action:
        return lambda: pipeline.analyse([data] * batch, smallest_face=smallest_face)

    with torch.inference_mode():
        parts = _stages(pipeline, frames, smallest_face)
        pad = {"pad_ms": parts.pop("pad_ms")}  # not part of a frame, and leaves the caches cold
        parts["frame_ms"] = whole(frames.with_face, 1)
        parts["no_face_ms"] = whole(frames.without_face, 1)
        figures: dict[str, object] = dict(times_ms(parts, rounds, pipeline.device))
        figures |= times_ms(pad, rounds, pipeline.device)
    batches = {}
    for batch in BATCHES:
        action = {"batch": whole(frames.with_face, batch)}
        taken = times_ms(action, min(rounds, max(3, rounds // batch)), pipeline.device)
        batches[str(batch)] = round(1000 * batch / taken["batch"], 2)
    figures["batches"] = batches
    figures["best_batch"] = int(max(batches, key=lambda size: batches[size]))
    figures["frames_per_s"] = max(batches.values())
    figures["memory_mb"] = peak_memory_mb()
    figures["device"] = str(pipeline.device)
    figures["threads"] = torch.get_num_threads()
    figures["smallest_face"] = smallest_face
    figures["model"] = pipeline.model.name
    figures["pad_model"] = pipeline.pad_model.name
    return figures


def detect_faces(pipeline: Pipeline, pixels: Pixels, smallest_face: int) -> Detections:
    """Detection alone, of one decoded frame."""
    images = ImageSet([pixels], pipeline.device)
    return detect(pipeline.detector, images, DetectorSettings(smallest_face=smallest_face))


def _stages(pipeline: Pipeline, frames: BenchFrames, smallest_face: int) -> dict[str, Action]:
    data = frames.with_face
    pixels, nothing = decode(data).pixels, decode(frames.without_face).pixels
    images = ImageSet([pixels], pipeline.device)
    found = detect_faces(pipeline, pixels, smallest_face)
    faces = align(images, found.frame, found.points)
    pair, second = pipeline.pair, pipeline.second_embedder
    stages: dict[str, Action] = {
        "decode_ms": lambda: decode(data),
        "detect_ms": lambda: detect_faces(pipeline, pixels, smallest_face),
        "detect_no_face_ms": lambda: detect_faces(pipeline, nothing, smallest_face),
        "align_ms": lambda: align(images, found.frame, found.points),
        "quality_ms": lambda: measure(faces, found.points),
        "embed_ms": lambda: embed(pipeline.embedder, faces),
        "pad_ms": lambda: (
            pair_scores(pair, images, found.frame, found.boxes)
            if pair
            else tree_scores(pipeline.antispoofing, images, found.frame, found.boxes)
        ),
    }
    if second is not None:
        stages["describe_ms"] = lambda: describe(second, chips(images, found.frame, found.points))
    return stages
