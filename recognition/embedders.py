"""Embedders by name: their networks loaded and made fast, and faces embedded by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from recognition.align import FACE_SIZE, align
from recognition.embed import MobileFaceNet, compile_embedder, embed_raw
from recognition.fusion import FUSED, fuse
from recognition.images import FRAME_LIMITS, decode
from recognition.imported import BUILT_IN, entries, load_embedder
from recognition.precision import ReducedNet
from recognition.resnet29 import CHIP_SIZE, ResNet29, chips, compile_describer, describe
from recognition.sampling import ImageSet
from recognition.tuned import Tuned, load_tuned
from recognition.types import Face, ModelInfo
from recognition.weights import WeightsError, load_into, published

_WARM_RUNS = 3
"""OpenVINO makes a program for a shape at its second run."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedder:
    """What turns faces into vectors.

    second: ResNet-29, of the fused embedder.
    adapter: of a fine-tuned one, on the vectors that the others give.
    lengths_known: whether the lengths of the first network's vectors tell a face's quality.
    """

    first: nn.Module
    model: ModelInfo
    device: torch.device
    second: nn.Module | None = None
    adapter: nn.Module | None = None
    lengths_known: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """Faces as vectors, row by row.

    aligned: (N, 3, 112, 112) float32, 0..255. lengths: (N,) of the first network's own vectors.
    vectors: (N, D) float32 of length 1.
    """

    aligned: Tensor
    lengths: Tensor
    vectors: Tensor


def installed(models_dir: Path) -> dict[str, ModelInfo]:
    """The embedders that can be loaded from this folder, by the name that loads them.

    As the manifest lists them; only loading one checks its files.
    """
    found = {"mobilefacenet": published("mobilefacenet").info, "fused": FUSED}
    for name, entry in entries(models_dir).items():
        try:
            found[name] = ModelInfo(**entry["model"])
        except (KeyError, TypeError):
            continue
    return found


def load(models_dir: Path, name: str, device: torch.device) -> Embedder:
    """The embedder of this name, one of `imported.BUILT_IN`, an imported or a fine-tuned one.

    Raises:
        WeightsError: it is not there, or was changed.
    """
    tuned = load_tuned(models_dir, name)
    if tuned is not None:
        return with_tuned(load(models_dir, tuned.parent, device), tuned)
    first, model = load_embedder(models_dir, name)
    second: nn.Module | None = None
    if name == "fused":
        second, model = ResNet29(), FUSED
        load_into(second, models_dir, "resnet29")
    for net in filter(None, (first, second)):
        net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Embedder(first, model, device, second, lengths_known=name in BUILT_IN)


def with_tuned(parent: Embedder, tuned: Tuned) -> Embedder:
    """The embedder with what a fine-tune has learnt on top of it.

    Raises:
        WeightsError: it was learnt on top of another one.
    """
    if parent.model != tuned.parent_model:
        raise WeightsError(
            f"The fine-tuned model was learnt on top of {tuned.parent_model.name} "
            f"{tuned.parent_model.version}, not of {parent.model.name} {parent.model.version}."
        )
    found = replace(parent, model=tuned.model or parent.model)
    if tuned.adapter is not None:
        found = replace(found, adapter=tuned.adapter.to(parent.device))
    if tuned.first is not None:
        if not isinstance(parent.first, MobileFaceNet):
            raise WeightsError(f"{tuned.parent} has no MobileFaceNet that could be replaced.")
        first = tuned.first.to(parent.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        found = replace(found, first=first, lengths_known=False)
    return found


def quickened(embedder: Embedder, *, compiles: bool, reduced: bool) -> Embedder:
    """The same embedder, run by OpenVINO or in 16 bits; imported networks stay as they are."""
    first, second = embedder.first, embedder.second
    threads = torch.get_num_threads()
    if compiles:
        if isinstance(first, MobileFaceNet):
            first = compile_embedder(first, threads, bfloat16=reduced)
        if isinstance(second, ResNet29):
            second = compile_describer(second, threads, bfloat16=reduced)
    if reduced:
        # Where OpenVINO does not, torch computes in 16 bits.
        if isinstance(first, MobileFaceNet):
            first = ReducedNet(first, embedder.device)
        if isinstance(second, ResNet29):
            second = ReducedNet(second, embedder.device)
    return replace(embedder, first=first, second=second)


def embed_faces(embedder: Embedder, images: ImageSet, frame: Tensor, points: Tensor) -> Embedded:
    """Embed faces by their five points; see `align` for `frame` and `points`."""
    aligned = align(images, frame, points)
    raw = embed_raw(embedder.first, aligned)
    vectors = normalize(raw, dim=1)
    if embedder.second is not None:
        vectors = fuse(vectors, describe(embedder.second, chips(images, frame, points)))
    if embedder.adapter is not None:
        vectors = embedder.adapter(vectors)
    return Embedded(aligned, raw.norm(dim=1), vectors)


def embed_again(embedder: Embedder, image: bytes, faces: Sequence[Face]) -> NDArray[np.float32]:
    """Vectors under another embedder of faces that were found in this file before.

    Args:
        image: a file that `Pipeline.analyse` has decoded under FRAME_LIMITS.
        faces: at least one of its faces.

    Returns:
        (N, D) float32 of length 1.
    """
    decoded = decode(image, FRAME_LIMITS)
    scale = np.array(decoded.scale, dtype=np.float32)
    points = np.stack([(face.points + 0.5) / scale - 0.5 for face in faces]).astype(np.float32)
    device = embedder.device
    with torch.inference_mode():
        frame = torch.zeros(len(faces), dtype=torch.int64, device=device)
        images = ImageSet([decoded.pixels], device)
        found = embed_faces(embedder, images, frame, torch.from_numpy(points).to(device))
        vectors: NDArray[np.float32] = found.vectors.cpu().numpy()
    return vectors


def warm_up(embedder: Embedder) -> None:
    """Run it on one face and on two until it is fast; leaves what finds faces alone."""
    with torch.inference_mode():
        for count in (1, 2):
            faces = torch.zeros((count, 3, FACE_SIZE, FACE_SIZE), device=embedder.device)
            larger = torch.zeros((count, 3, CHIP_SIZE, CHIP_SIZE), device=embedder.device)
            for _ in range(_WARM_RUNS):
                embed_raw(embedder.first, faces)
                if embedder.second is not None:
                    describe(embedder.second, larger)
