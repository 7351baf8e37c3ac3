"""People's photos as a fine-tune needs them: aligned faces and their vectors, in memory only."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recognition.align import align
from recognition.embedders import embed_faces
from recognition.evaluate.embeddings import BATCH, subject
from recognition.images import PHOTO_LIMITS, decode
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.training.turned_heads import drawn_yaw, turn_head
from recognition.types import Face, Pixels

Points = NDArray[np.float32]
Read = Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a person: its name among theirs, and how to get its bytes."""

    person: str
    name: str
    read: Read


class ConsentedSource(Protocol):
    """An installation's photos of people who have agreed to be recognised."""

    def photos(self) -> Iterator[Photo]:
        """Each of them; its bytes are decrypted when they are read."""
        ...

    def withdrawn(self, people: Collection[str]) -> set[str]:
        """Who of these people has withdrawn since."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Subjects:
    """The subject of each photo, row by row.

    people, names: (N,) whose it is, and the photo's name among that person's.
    faces: (N, 3, 112, 112) uint8 RGB, aligned.
    vectors: (N, D) float32 of length 1, of the embedder that is to be fine-tuned.
    missed: photos without a face.
    turned: (N, T, D), the vectors of each photo with its head turned (`turned_heads`); None where
        that was not asked for.
    """

    people: tuple[str, ...]
    names: tuple[str, ...]
    faces: Tensor
    vectors: Tensor
    missed: int = 0
    turned: Tensor | None = None

    def of(self, wanted: Collection[str]) -> Subjects:
        """Those of some people."""
        rows = [row for row, person in enumerate(self.people) if person in wanted]
        return Subjects(
            tuple(self.people[row] for row in rows),
            tuple(self.names[row] for row in rows),
            self.faces[rows],
            self.vectors[rows],
            turned=None if self.turned is None else self.turned[rows],
        )

    @property
    def everybody(self) -> list[str]:
        """Each person once, in order."""
        return sorted(set(self.people))

    @property
    def labels(self) -> Tensor:
        """(N,) int64: each row's place in `everybody`."""
        place = {person: number for number, person in enumerate(self.everybody)}
        return torch.tensor([place[person] for person in self.people], dtype=torch.int64)

    @property
    def fingerprint(self) -> str:
        """Of faces and vectors, and of who belongs to whom, whatever they are called."""
        digest = hashlib.sha256(self.labels.numpy().tobytes())
        digest.update(self.faces.contiguous().numpy().tobytes())
        digest.update(self.vectors.contiguous().numpy().tobytes())
        if self.turned is not None:
            digest.update(self.turned.contiguous().numpy().tobytes())
        return digest.hexdigest()


def photos_in(people: Mapping[str, Sequence[Path]]) -> Iterator[Photo]:
    """Photos of a folder, as `evaluate.datasets.images_by_person` finds them."""
    for person, paths in people.items():
        for path in paths:
            yield Photo(person, path.name, path.read_bytes)


@torch.inference_mode()
def find_subjects(
    pipeline: Pipeline,
    photos: Iterable[Photo],
    *,
    smallest_face: int = 40,
    turns: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Subjects:
    """Find, align and embed the subject of each photo, on the path of enrolment.

    Nothing is written anywhere; a photo's bytes are let go when its face is cut out.

    Args:
        turns: in how many other ways each head is turned and embedded, always the same ones.
        progress: told how many photos are done.

    Raises:
        ValueError: no photo has a face.
    """
    kept: list[tuple[Photo, Tensor, Tensor, Tensor]] = []
    seen, waiting = 0, iter(photos)
    while batch := list(islice(waiting, BATCH)):
        contents = [photo.read() for photo in batch]
        results = pipeline.analyse(contents, smallest_face=smallest_face, limits=PHOTO_LIMITS)
        for photo, content, result in zip(batch, contents, results, strict=True):
            face = subject(result)
            if face is not None and face.embedding is not None:
                vector = torch.from_numpy(np.array(face.embedding))
                pixels, points = _decoded(content, face)
                aligned = _aligned(pixels, points, pipeline.device)
                turned = _turned(pixels, points, vector, turns, pipeline)
                kept.append((photo, aligned, vector, turned))
        seen += len(batch)
        progress(seen)
    if not kept:
        raise ValueError("no photo has a face")
    kept.sort(key=lambda row: (row[0].person, row[0].name))
    return Subjects(
        tuple(photo.person for photo, *_ in kept),
        tuple(photo.name for photo, *_ in kept),
        torch.stack([aligned for _, aligned, _, _ in kept]),
        torch.stack([vector for _, _, vector, _ in kept]),
        seen - len(kept),
        torch.stack([turned for *_, turned in kept]) if turns else None,
    )


def split_people(people: Collection[str], shares: Sequence[float], seed: int) -> list[set[str]]:
    """Everybody in exactly one part, drawn by the seed; the last part has who is left.

    Args:
        shares: of all but the last part, together less than 1.
    """
    order = sorted(people)
    random.Random(seed).shuffle(order)  # noqa: S311 (the same split each time, no secret)
    parts, begun = [], 0
    for share in shares:
        size = round(share * len(order))
        parts.append(set(order[begun : begun + size]))
        begun += size
    return [*parts, set(order[begun:])]


def _decoded(content: bytes, face: Face) -> tuple[Pixels, Points]:
    """The photo as the engine has seen it, and the face's points in it."""
    decoded = decode(content, PHOTO_LIMITS)
    scale = np.array(decoded.scale, dtype=np.float32)
    return decoded.pixels, ((face.points + 0.5) / scale - 0.5).astype(np.float32)


def _aligned(pixels: Pixels, points: Points, device: torch.device) -> Tensor:
    """(3, 112, 112) uint8, rounded."""
    first = torch.zeros(1, dtype=torch.int64, device=device)
    (view,) = align(ImageSet([pixels], device), first, torch.from_numpy(points[None]).to(device))
    found: Tensor = view.round().clamp(0, 255).byte().cpu()
    return found


def _turned(
    pixels: Pixels, points: Points, vector: Tensor, turns: int, pipeline: Pipeline
) -> Tensor:
    """(turns, D): vectors of the photo with its head turned; as it is where that cannot be."""
    if not turns:
        return vector.new_zeros((0, len(vector)))
    draw = np.random.default_rng(list(hashlib.sha256(pixels.tobytes()).digest()))
    five = points.astype(np.float64)
    try:
        heads = [turn_head(pixels, five, drawn_yaw(five, draw), draw) for _ in range(turns)]
    except ValueError:  # points that are no head's
        return vector.expand(turns, -1)
    device = pipeline.device
    found = embed_faces(
        pipeline.embedding,
        ImageSet([head.pixels for head in heads], device),
        torch.arange(turns, device=device),
        torch.from_numpy(np.stack([head.points for head in heads])).float().to(device),
    )
    return found.vectors.cpu()
