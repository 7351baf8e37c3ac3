"""Exact nearest neighbours among unit vectors, in memory (NumPy only, pure).

The product of two unit vectors is their cosine, so the nearest neighbours are the largest products.
A person scores as their best template, as in a site's search in the database
(`accesscontrol.gallery`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

CANDIDATES = 5
"""People that a search returns."""
_BLOCK = 4_000_000  # scores at a time: 16 MB


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person near a probe.

    score: the best cosine of their templates with the probe. template: its row in the gallery.
    """

    name: str
    score: float
    template: int


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Who can be found.

    names: (P,) people. templates: (T, D) float32 of length 1, a person's together, people in the
    order of their names here. first: (P,) the row of each person's first template.
    """

    names: Sequence[str]
    templates: Vectors
    first: Rows

    @classmethod
    def of(cls, people: Mapping[str, Sequence[Vectors]]) -> Gallery:
        """From each person's templates (D,); people without any are left out."""
        shown = {name: some for name, some in people.items() if len(some)}
        counts = [len(some) for some in shown.values()]
        rows = [template for some in shown.values() for template in some]
        templates = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
        return cls(list(shown), templates, np.cumsum([0, *counts[:-1]])[: len(counts)])

    def scores(self, probes: Vectors) -> Vectors:
        """Of probes (N, D) the best cosine with each person's templates, (N, P)."""
        return best_by_person(probes @ self.templates.T, self.first)

    def nearest(self, probes: Vectors, most: int = CANDIDATES) -> list[list[Candidate]]:
        """The people nearest to each probe, best first, at most `most`; ties in their order.

        Raises:
            ValueError: a probe is no unit vector of the templates' dimension.
        """
        if not self.names:
            return [[] for _ in probes]
        if probes.ndim != 2 or probes.shape[1] != self.templates.shape[1]:
            raise ValueError("a probe must have as many numbers as the templates")
        if not (np.abs(np.linalg.norm(probes, axis=1) - 1) < 1e-2).all():
            raise ValueError("a probe must be a unit vector")
        found = []
        for _, scores in blocks(probes, self.templates):
            found += [self._ranked(row, most) for row in scores]
        return found

    def _ranked(self, scores: Vectors, most: int) -> list[Candidate]:
        best = best_by_person(scores[None], self.first)[0]
        candidates = []
        for person in np.argsort(-best, kind="stable")[:most].tolist():
            begin = int(self.first[person])
            end = int(self.first[person + 1]) if person + 1 < len(self.first) else len(scores)
            template = begin + int(scores[begin:end].argmax())
            candidates.append(Candidate(self.names[person], float(best[person]), template))
        return candidates


def best_by_person(scores: Vectors, first: Rows) -> Vectors:
    """Scores with templates (N, T) to the best with each person (N, P); see `Gallery.first`."""
    best: Vectors = np.maximum.reduceat(scores, first, axis=1)
    return best


def nearest_rows(probes: Vectors, templates: Vectors) -> tuple[Rows, Vectors]:
    """The template nearest to each probe (N, D): its row and its cosine, (N,) each.

    At least one template is needed.
    """
    places, best = np.zeros(len(probes), np.int64), np.zeros(len(probes), np.float32)
    for start, scores in blocks(probes, templates):
        found = scores.argmax(axis=1)
        places[start : start + len(found)] = found
        best[start : start + len(found)] = scores[np.arange(len(found)), found]
    return places, best


def blocks(rows: Vectors, columns: Vectors) -> Iterator[tuple[int, Vectors]]:
    """Products of rows with all columns, some rows at a time: the first row, (R, C) scores."""
    step = max(1, _BLOCK // max(1, len(columns)))
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step] @ columns.T
