"""People with made-up vectors: each near a direction of their own, blurred along a nuisance.

The nuisance is a handful of directions along which one person's photos differ at the site, as a
camera's own light would make them: an adapter that damps them is better there, and nowhere worse.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from recognition.training.subjects import Subjects

DIMENSION = 64
NUISANCE = 8


def made_people(
    name: str, people: int, photos: int, *, nuisance: float, noise: float = 0.5, seed: int = 0
) -> Subjects:
    """So many people with so many photos each; names of people begin with `name`.

    Args:
        nuisance: length of the part of a photo that is the site's, against 1 of the person's.
        noise: the same of what is anybody's.
    """
    random = torch.Generator().manual_seed(seed)

    def unit(count: int, dimension: int = DIMENSION) -> Tensor:
        return functional.normalize(torch.randn(count, dimension, generator=random), dim=1)

    who = unit(people).repeat_interleave(photos, 0)
    blur = torch.zeros(len(who), DIMENSION)
    blur[:, :NUISANCE] = nuisance * unit(len(who), NUISANCE)
    vectors = functional.normalize(who + blur + noise * unit(len(who)), dim=1)
    names = [f"{name}{number:04d}" for number in range(people)]
    return Subjects(
        tuple(person for person in names for _ in range(photos)),
        tuple(f"{number}.jpg" for _ in names for number in range(photos)),
        torch.zeros((len(who), 3, 112, 112), dtype=torch.uint8),
        vectors,
    )


def widened(subjects: Subjects, dimension: int) -> Subjects:
    """The same with vectors of more numbers, all of them zero."""
    vectors = functional.pad(subjects.vectors, (0, dimension - DIMENSION))
    return Subjects(subjects.people, subjects.names, subjects.faces, vectors)


def damped(vectors: Tensor, share: float = 0.3) -> Tensor:
    """What a good fine-tune makes of them: the nuisance's directions made shorter."""
    changed = vectors.clone()
    changed[:, :NUISANCE] *= share
    return functional.normalize(changed, dim=1)
