"""Faces to learn from: a folder of people, found and aligned as the product does, and kept.

A subfolder for each person. What is cut out is kept as bytes in one file, with a digest of the
image files and of all that decides about the cutting, so that it is done once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from recognition.align import FACE_SIZE, TEMPLATE, align
from recognition.detect import DetectorSettings, detect
from recognition.evaluate.datasets import DatasetError, images_by_person
from recognition.evaluate.embeddings import BATCH, Progress, subject
from recognition.images import PHOTO_LIMITS, DecodedImage, ImageError, decode
from recognition.packages import file_sha256, write_atomically
from recognition.pipeline import Pipeline
from recognition.sampling import ImageSet
from recognition.types import Face, FrameResult
from recognition.weights import published

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
SHARES: Mapping[Part, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}

LEAST_PEOPLE = 4
_FORMAT = "1"
_METADATA = "gatehouse-faces"


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Aligned faces of people.

    pixels: (N, 3, 112, 112) uint8 RGB.
    whose: (N,) int64, places in `people`.
    people: names, in order.
    missed, unreadable: files, "PERSON/NAME", without a face, and that are no images.
    fingerprint: of the image files and of how they were cut.
    """

    pixels: Tensor
    whose: Tensor
    people: tuple[str, ...]
    missed: tuple[str, ...]
    unreadable: tuple[str, ...]
    fingerprint: str

    def of(self, wanted: Collection[str], *, least: int = 1) -> Faces:
        """Those of the people wanted who have at least so many images.

        People are numbered anew, from 0; the fingerprint says who they are.
        """
        counts = torch.bincount(self.whose, minlength=len(self.people)).tolist()
        places = [
            place
            for place, name in enumerate(self.people)
            if counts[place] >= least and name in wanted
        ]
        number = torch.full((len(self.people),), -1)
        number[places] = torch.arange(len(places))
        kept = number[self.whose] >= 0
        names = tuple(self.people[place] for place in places)
        digest = hashlib.sha256(json.dumps([self.fingerprint, names]).encode()).hexdigest()
        pixels, whose = self.pixels[kept], number[self.whose[kept]]
        return Faces(pixels, whose, names, self.missed, self.unreadable, digest)


def part_of(person: str, seed: int, shares: Mapping[Part, float] = SHARES) -> Part:
    """To which part a person belongs, whoever else there is, with all of their images.

    By a digest of seed and name: people who come or go later move nobody else.

    Args:
        shares: of the people, by part; their sum is 1.
    """
    digest = hashlib.sha256(f"{seed}/{person}".encode()).digest()
    chance = int.from_bytes(digest[:8]) / 2**64
    for part in PARTS[:-1]:
        chance -= shares[part]
        if chance < 0:
            return part
    return PARTS[-1]


def split(
    faces: Faces,
    seed: int,
    *,
    least: int = 2,
    shares: Mapping[Part, float] = SHARES,
    without: Collection[str] = (),
) -> dict[Part, Faces]:
    """The faces by part; nobody is in two.

    Args:
        least: images that a person must have.
        without: people to leave out, such as who is there under a second name.

    Raises:
        DatasetError: a part has fewer than four people, of whom no two folds can be made.
    """
    parts: dict[Part, Faces] = {}
    for part in PARTS:
        own = {name for name in faces.people if part_of(name, seed, shares) == part}
        parts[part] = faces.of(own - set(without), least=least)
        if len(parts[part].people) < LEAST_PEOPLE:
            raise DatasetError(
                f"Of {len(faces.people)} people {len(parts[part].people)} with {least} images or "
                f"more are left for the part {part!r}: more people are needed."
            )
    return parts


def cut_faces(
    pipeline: Pipeline,
    folders: Sequence[Path],
    cache: Path,
    *,
    smallest_face: int = 40,
    progress: Progress,
) -> Faces:
    """The subject of each image, aligned; from the cache where that is of these very files.

    Args:
        folders: each with a subfolder for each person.
        cache: a file. It holds pictures of people: only its owner may read it.
        progress: told how many images are done.

    Raises:
        DatasetError: no images, a name that two folders have, or no face in any image.
    """
    files = _files(folders)
    fingerprint = _fingerprint(files, pipeline, smallest_face)
    kept = _kept(cache, fingerprint)
    if kept is not None:
        progress(len(files), len(files))
        return kept
    crops: dict[str, Tensor] = {}
    unreadable: list[str] = []
    names = list(files)
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        decoded = {name: _decoded(files[name]) for name in batch}
        images = {name: image for name, image in decoded.items() if image is not None}
        unreadable += [name for name in batch if name not in images]
        crops |= _subjects(pipeline, images, smallest_face)
        progress(start + len(batch), len(names))
    missed = [name for name in names if name not in crops and name not in set(unreadable)]
    faces = _gathered(crops, missed, unreadable, fingerprint)
    _keep(cache, faces)
    return faces


def _files(folders: Sequence[Path]) -> dict[str, Path]:
    """Image files by "PERSON/NAME", in order."""
    people: dict[str, dict[str, Path]] = {}
    for folder in folders:
        found = images_by_person(folder)
        both = sorted(found.keys() & people.keys())
        if both:
            raise DatasetError(
                f"{folder} and a folder before it both have {both[0]!r}: it cannot be known "
                "whether they are one person. Rename one of them."
            )
        for person, paths in found.items():
            people[person] = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path for _, own in sorted(people.items()) for name, path in own.items()}


def _fingerprint(files: Mapping[str, Path], pipeline: Pipeline, smallest_face: int) -> str:
    cutting = {
        "format": _FORMAT,
        "detector": published("retinaface").info.sha256,
        "run by": [pipeline.runtime, pipeline.precision, pipeline.device.type],
        "smallest face": smallest_face,
        "template": [TEMPLATE, FACE_SIZE],
        "limits": [PHOTO_LIMITS.max_bytes, PHOTO_LIMITS.max_pixels, PHOTO_LIMITS.max_side],
        "files": {name: file_sha256(path) for name, path in files.items()},
    }
    return hashlib.sha256(json.dumps(cutting, sort_keys=True).encode()).hexdigest()


def _decoded(path: Path) -> DecodedImage | None:
    try:
        return decode(path.read_bytes(), PHOTO_LIMITS)
    except ImageError:
        return None


@torch.inference_mode()
def _subjects(
    pipeline: Pipeline, images: Mapping[str, DecodedImage], smallest_face: int
) -> dict[str, Tensor]:
    """(3, 112, 112) uint8 of each image in which there is a face."""
    if not images:
        return {}
    image_set = ImageSet([image.pixels for image in images.values()], pipeline.device)
    found = detect(pipeline.detector, image_set, DetectorSettings(smallest_face=smallest_face))
    boxes, points = found.boxes.cpu().numpy(), found.points.cpu().numpy()
    frame, scores = found.frame.tolist(), found.scores.tolist()
    chosen: dict[str, int] = {}
    for number, (name, image) in enumerate(images.items()):
        rows = [row for row, of in enumerate(frame) if of == number]
        faces = tuple(Face(boxes[row], points[row], scores[row]) for row in rows)
        height, width = image.pixels.shape[:2]
        face = subject(FrameResult(width, height, faces))
        if face is not None:
            chosen[name] = rows[faces.index(face)]
    rows = list(chosen.values())
    views = align(image_set, found.frame[rows], found.points[rows])
    pixels = views.round().clamp(0, 255).byte().cpu()
    return dict(zip(chosen, pixels, strict=True))


def _gathered(
    crops: Mapping[str, Tensor],
    missed: Sequence[str],
    unreadable: Sequence[str],
    fingerprint: str,
) -> Faces:
    if not crops:
        raise DatasetError("No face was found in any of the images.")
    owners = [name.partition("/")[0] for name in crops]
    people = tuple(sorted(set(owners)))
    number = {person: place for place, person in enumerate(people)}
    return Faces(
        torch.stack(list(crops.values())),
        torch.tensor([number[owner] for owner in owners]),
        people,
        tuple(missed),
        tuple(unreadable),
        fingerprint,
    )


def _keep(cache: Path, faces: Faces) -> None:
    words = {
        "fingerprint": faces.fingerprint,
        "people": faces.people,
        "missed": faces.missed,
        "unreadable": faces.unreadable,
    }
    tensors = {"pixels": faces.pixels.contiguous(), "whose": faces.whose}
    write_atomically(cache, safetensors.torch.save(tensors, {_METADATA: json.dumps(words)}))
    cache.chmod(0o600)


def _kept(cache: Path, fingerprint: str) -> Faces | None:
    """What the cache holds; None if it is missing, damaged or of other files."""
    try:
        with safe_open(cache, "pt") as file:
            words = json.loads(file.metadata()[_METADATA])
            if words["fingerprint"] != fingerprint:
                return None
            pixels, whose = file.get_tensor("pixels"), file.get_tensor("whose")
        people, missed = tuple(words["people"]), tuple(words["missed"])
        return Faces(pixels, whose, people, missed, tuple(words["unreadable"]), fingerprint)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
