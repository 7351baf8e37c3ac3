"""What a network of the cascade is trained on: windows cut out of images, each with its targets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from recognition.cascade import cut, propose, refine
from recognition.evaluate.datasets import DatasetError
from recognition.mtcnn import Mtcnn
from recognition.sampling import ImageSet
from recognition.training.cascade.annotations import AnnotatedImage, Truth, load
from recognition.training.cascade.windows import (
    Kind,
    Plan,
    Windows,
    box_targets,
    choose,
    point_targets,
)
from recognition.types import Pixels

AT_ONCE = 16  # images in memory

Progress = Callable[[int, int], None]  # done, of how many
Proposer = Callable[[ImageSet], tuple[Tensor, Tensor]]
"""What earlier networks take for faces: frame (N,), windows (N, 4), likeliest of a frame first."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """views: (N, 3, side, side) uint8 RGB. kinds: (N,) int64, of `Kind`.

    boxes: (N, 4), places: (N, 10) float32: targets, see `windows`; 0 where the kind has none.
    sides: (N,) float32, of the windows, in pixels of their image.
    """

    views: Tensor
    kinds: Tensor
    boxes: Tensor
    places: Tensor
    sides: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """By name, as `Samples(**tensors)` takes them."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it."""
        digest = hashlib.sha256()
        for tensor in self.tensors().values():
            digest.update(str((tensor.dtype, tuple(tensor.shape))).encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {kind.name.lower(): int((self.kinds == kind).sum()) for kind in Kind if kind >= 0}


def cut_samples(
    images: Sequence[AnnotatedImage],
    side: int,
    plan: Plan,
    *,
    seed: int,
    proposer: Proposer | None = None,
    progress: Progress = lambda done, total: None,
) -> Samples:
    """Choose windows of all images and cut them out as the cascade itself does.

    Args:
        side: of the views, in pixels.
        seed: of what is drawn; an image's draws depend on it and on the image's place in the list.
        proposer: of the networks before this one; None for the first.

    Raises:
        DatasetError: an image cannot be read, or there is no positive or no negative among them.
    """
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), AT_ONCE):
            loaded = [load(image) for image in images[start : start + AT_ONCE]]
            draws = [np.random.default_rng([seed, start + n]) for n in range(len(loaded))]
            parts.append(_cut_some(loaded, side, plan, draws, proposer))
            progress(min(start + AT_ONCE, len(images)), len(images))
    # Out of inference mode: what was made there may not be trained on.
    samples = Samples(*(torch.cat(columns).clone() for columns in zip(*parts, strict=True)))
    for kind in (Kind.POSITIVE, Kind.NEGATIVE):
        if not (samples.kinds == kind).any():
            raise DatasetError(
                f"the annotated images give no {kind.name.lower()} windows of {side} pixels: "
                "annotate more images, with faces that are not ignored and with all of theirs"
            )
    return samples


def _cut_some(
    loaded: Sequence[tuple[Pixels, Truth]],
    side: int,
    plan: Plan,
    draws: Sequence[np.random.Generator],
    proposer: Proposer | None,
) -> tuple[Tensor, ...]:
    images = ImageSet([pixels for pixels, _ in loaded], torch.device("cpu"))
    proposed = _by_image(proposer(images), len(loaded)) if proposer else [None] * len(loaded)
    frames, columns = [], []
    for number, (pixels, truth) in enumerate(loaded):
        size = (pixels.shape[0], pixels.shape[1])
        chosen = choose(size, truth, plan, draws[number], proposed[number])
        frames.append(torch.full((len(chosen.kinds),), number))
        columns.append(_targets(chosen, truth))
    boxes, kinds, moves, places = (torch.cat(parts) for parts in zip(*columns, strict=True))
    views = cut(images, torch.cat(frames), boxes, side).round().clamp(0, 255).byte()
    return views, kinds, moves, places, boxes[:, 2] - boxes[:, 0]


def _by_image(
    found: tuple[Tensor, Tensor], count: int
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    frame, boxes = (tensor.cpu() for tensor in found)
    return [boxes[frame == number].double().numpy() for number in range(count)]


def _targets(chosen: Windows, truth: Truth) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Windows (N, 4), kinds (N,), box targets (N, 4) and point targets (N, 10)."""
    moves, places = np.zeros((len(chosen.kinds), 4)), np.zeros((len(chosen.kinds), 10))
    moved = np.isin(chosen.kinds, (Kind.POSITIVE, Kind.PART))
    moves[moved] = box_targets(chosen.boxes[moved], truth.boxes[chosen.faces[moved]])
    marked = chosen.kinds == Kind.LANDMARK
    places[marked] = point_targets(chosen.boxes[marked], truth.points[chosen.faces[marked]])
    return (
        torch.from_numpy(chosen.boxes).float(),
        torch.from_numpy(chosen.kinds),
        torch.from_numpy(moves).float(),
        torch.from_numpy(places).float(),
    )


def proposals_of(net: Mtcnn, stage: str, smallest_face: int) -> Proposer | None:
    """What the networks before this one propose on training images; None before P-Net.

    They are asked for less certainty than in use, so that a network also learns what the one
    before it would hardly have passed on.
    """

    def of_first(images: ImageSet) -> tuple[Tensor, Tensor]:
        return propose(net.pnet, images, smallest_face, 0.5)

    def of_second(images: ImageSet) -> tuple[Tensor, Tensor]:
        return refine(net, images, *of_first(images), 0.3)

    return {"pnet": None, "rnet": of_first, "onet": of_second}[stage]
