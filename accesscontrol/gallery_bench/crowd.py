"""Made-up people whose embeddings score as real ones do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

MATCH = 0.60
"""Mean cosine of two pictures of one person."""
IMPOSTOR_SD = 0.07
"""Standard deviation of the cosine of two people."""
TEMPLATES_A_PERSON = 3


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """One site's people and templates.

    people: unit vectors (P, D). templates: unit vectors (N, D), rounded to half precision as the
    gallery holds them. of: (N,), the row in `people` that each template is of.
    """

    people: Vectors
    templates: Vectors
    of: NDArray[np.int64]


class Crowd:
    """People of one dimension; the same seed and site give the same faces."""

    def __init__(self, dimension: int, seed: int) -> None:
        self._axes = _axes(dimension)
        self._seed = seed

    @property
    def dimension(self) -> int:
        return len(self._axes)

    def site(self, number: int, templates: int) -> Faces:
        """The faces of a site with so many templates, TEMPLATES_A_PERSON of each person."""
        dice = np.random.default_rng([self._seed, number])
        of = np.arange(templates) // TEMPLATES_A_PERSON
        people = self.strangers(int(of[-1]) + 1, dice)
        views = self.views(people[of], dice).astype(np.float16).astype(np.float32)
        return Faces(people, views, of)

    def strangers(self, number: int, dice: np.random.Generator) -> Vectors:
        """Unit vectors (number, D) of people not seen before."""
        return _unit(dice.standard_normal((number, self.dimension), np.float32) * self._axes)

    def views(self, people: Vectors, dice: np.random.Generator) -> Vectors:
        """One more picture of each: two of one person have a mean cosine of MATCH."""
        noise = self.strangers(len(people), dice)
        return _unit(np.float32(np.sqrt(MATCH)) * people + np.float32(np.sqrt(1 - MATCH)) * noise)


def _axes(dimension: int) -> Vectors:
    """Standard deviation along each axis.

    The cosine of two directions of variances v has the variance sum(v²) / sum(v)²; a falling
    exponential, steep enough for IMPOSTOR_SD, fits that in any dimension.
    """
    place = np.arange(dimension) / dimension
    low, high = 0.0, 50.0
    for _ in range(60):
        steepness = (low + high) / 2
        variances = np.exp(-steepness * place)
        spread = (variances**2).sum() / variances.sum() ** 2
        low, high = (steepness, high) if spread < IMPOSTOR_SD**2 else (low, steepness)
    axes: Vectors = np.sqrt(np.exp(-low * place)).astype(np.float32)
    return axes


def _unit(vectors: Vectors) -> Vectors:
    lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
