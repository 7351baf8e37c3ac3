"""What an embedder is shown at each step: faces of some people as a kiosk could have seen them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from recognition.evaluate.datasets import DatasetError
from recognition.training.batches import IdentityBatches
from recognition.training.faces import Faces
from recognition.training.kiosk_look import (
    CHANGES,
    Change,
    as_it_is_or_mirrored,
    as_seen_by_a_kiosk,
)

Look = Literal["kiosk", "mirror", "plain"]

_LOOKS: dict[Look, Change | None] = {
    "kiosk": as_seen_by_a_kiosk,
    "mirror": as_it_is_or_mirrored,
    "plain": None,
}


@dataclass(frozen=True, slots=True)
class Showing:
    """How faces are shown.

    people, images: P people with K images each are one batch of one process.
    look: as kiosks see them; as they are, or mirrored; or always as they are.
    """

    people: int = 16
    images: int = 4
    look: Look = "kiosk"
    seed: int = 0


class FaceBatches:
    """(P * K, 3, 112, 112) uint8 faces and (P * K,) int64 labels, as a pure function of the step.

    Each process of several takes batches of its own out of one order: nobody is left out or comes
    oftener for their number.

    Raises:
        DatasetError: there are fewer than P people.
    """

    def __init__(self, faces: Faces, showing: Showing) -> None:
        self._faces, self._showing = faces, showing
        try:
            self._order = IdentityBatches(
                faces.whose, people=showing.people, images=showing.images, seed=showing.seed
            )
        except ValueError as error:
            raise DatasetError(f"The faces to learn from: {error}.") from error

    @property
    def fingerprint(self) -> str:
        """Of the faces and of how they are shown."""
        chances = {name: chance for name, (_, chance) in CHANGES.items()}
        words = [self._faces.fingerprint, asdict(self._showing), chances]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()

    def at(self, step: int, rank: int = 0, ranks: int = 1) -> tuple[Tensor, ...]:
        """Batch number `step` of process `rank`: faces and labels."""
        number = step * ranks + rank
        rows = self._order.rows(number)
        faces = self._faces.pixels[rows]
        change = _LOOKS[self._showing.look]
        if change is not None:
            random = np.random.default_rng((self._showing.seed, 2, number))
            shown = [
                change(np.ascontiguousarray(face), random)
                for face in faces.permute(0, 2, 3, 1).numpy()
            ]
            faces = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).contiguous()
        return faces, self._faces.whose[rows]
