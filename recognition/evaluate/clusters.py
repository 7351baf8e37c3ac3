"""How well visits are grouped by person: clusters against labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accesscontrol.score_tail import Calibration, Tail, fit
from recognition.clustering import (
    FEWEST,
    NOBODY,
    Labels,
    Vectors,
    by_density,
    by_number,
    link_score,
)
from recognition.pair_scores import pair_scores

RATES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""False match rates whose scores are tried as links, to see how much hangs on the choice."""
_WITHIN = 0.75
"""Cosine of two visits of one made-up person."""


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """Probes (N, D) of length 1 and whose each is (N,)."""

    vectors: Vectors
    people: NDArray[np.int64]


def grouped(frames: Sequence[Vectors], people: Sequence[int], each: int) -> Visits:
    """Visits of `each` successive frames of a person: their mean, as a presentation's probe is.

    Args:
        frames: embeddings (D,) of length 1, a person's together and in order.
        people: whose each is.
        each: frames of a visit, at least 1; what is left over at a person's end is one as well.
    """
    probes, owners = [], []
    names = np.asarray(people)
    for person in np.unique(names).tolist():
        own = [frames[row] for row in np.flatnonzero(names == person).tolist()]
        for start in range(0, len(own), each):
            total = np.sum(own[start : start + each], axis=0)
            probes.append(total / np.linalg.norm(total))
            owners.append(person)
    return Visits(np.array(probes, np.float32), np.array(owners, np.int64))


def compare(
    visits: Visits, calibration: Calibration, staff: Visits | None = None
) -> dict[str, Any]:
    """Density as shipped, with other links, and K-means told the true number, beside baselines.

    `staff` are the people enrolled at the site, whose scores the link is fitted to, as a worker
    does it; None: the calibration alone.
    """
    tail = _tail(calibration, staff)

    def score_at(rate: float) -> float:
        return tail.score_at(rate, bound=False)

    vectors, people = visits.vectors, visits.people
    count = len(np.unique(people))
    link = link_score(score_at, len(vectors))
    alone = np.full(len(people), NOBODY, np.int64)
    return {
        "visits": len(people),
        "people": count,
        "came_again": _came_again(people),
        "link": round(link, 4),
        "density": quality(by_density(vectors, link), people),
        "density_three": quality(by_density(vectors, link, FEWEST + 1), people),
        "density_by_rate": {
            f"{rate:g}": {
                "link": round(score_at(rate), 4),
                **quality(by_density(vectors, score_at(rate)), people),
            }
            for rate in RATES
        },
        "k_means_true_number": quality(by_number(vectors, count), people),
        "each_alone": quality(alone, people),
    }


def _tail(calibration: Calibration, staff: Visits | None) -> Tail:
    if staff is None:
        return fit(None, calibration)
    return fit(pair_scores(staff.vectors, staff.people).impostors, calibration)


def quality(labels: Labels, people: NDArray[np.int64]) -> dict[str, Any]:
    """Clusters (N,) against people (N,); who is in none is alone.

    Pairwise: of the pairs that are put together, how many are of one person (precision), and the
    other way round (recall). BCubed (Bagga and Baldwin, 1998): the same for each visit's own
    cluster and person, averaged, so that people who come often do not outweigh the others.
    """
    labels = _alone(labels)
    _, cluster = np.unique(labels, return_inverse=True)
    _, person = np.unique(people, return_inverse=True)
    width = int(person.max(initial=0)) + 1
    codes, cell, together = np.unique(
        cluster * width + person, return_inverse=True, return_counts=True
    )
    in_cluster, of_person = np.bincount(cluster), np.bincount(person)
    common = together[cell]
    right, put, true = (_pairs(counts) for counts in (together, in_cluster, of_person))
    dominant = np.zeros(len(in_cluster), np.int64)
    np.maximum.at(dominant, codes // width, together)
    again = in_cluster >= 2
    return {
        "pairwise": _rates(right / put if put else 1.0, right / true if true else 1.0),
        "bcubed": _rates(
            float((common / in_cluster[cluster]).mean()),
            float((common / of_person[person]).mean()),
        ),
        "visitors": int(again.sum()),
        "visitors_of_several_people": int((again & (dominant < in_cluster)).sum()),
    }


def timed(count: int, dimension: int, calibration: Calibration) -> dict[str, float]:
    """Processor seconds for made-up visits: a third of people come once, others up to 12 times."""
    random = np.random.default_rng(0)
    people: list[int] = []
    while len(people) < count:
        times = 1 if random.random() < 0.33 else int(random.integers(2, 13))
        people += [people[-1] + 1 if people else 0] * times
    owners = np.array(people[:count], np.int64)
    faces = _unit(random.standard_normal((int(owners.max()) + 1, dimension)))
    noise = _unit(random.standard_normal((count, dimension)))
    spread = np.sqrt(1 / _WITHIN - 1)
    vectors = _unit(faces[owners] + spread * noise).astype(np.float32)
    link = link_score(lambda rate: fit(None, calibration).score_at(rate, bound=False), count)
    alike = np.repeat(vectors[:1], count, axis=0)
    return {
        "visits": count,
        "density_cpu_s": _seconds(lambda: by_density(vectors, link)),
        "density_all_alike_cpu_s": _seconds(lambda: by_density(alike, link)),
        "k_means_50_cpu_s": _seconds(lambda: by_number(vectors, 50)),
        "k_means_500_cpu_s": _seconds(lambda: by_number(vectors, 500)),
    }


def _seconds(work: Any) -> float:
    begun = time.process_time()
    work()
    return round(time.process_time() - begun, 2)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def _alone(labels: Labels) -> Labels:
    """Each that is in no cluster gets one of its own."""
    numbered = labels.copy()
    nobody = np.flatnonzero(labels == NOBODY)
    numbered[nobody] = labels.max(initial=0) + 1 + np.arange(len(nobody))
    return numbered


def _pairs(counts: NDArray[np.int64]) -> float:
    return float((counts * (counts - 1) / 2).sum())


def _rates(precision: float, recall: float) -> dict[str, float]:
    both = precision + recall
    f = 2 * precision * recall / both if both else 0.0
    return {"precision": round(precision, 5), "recall": round(recall, 5), "f": round(f, 5)}


def _came_again(people: NDArray[np.int64]) -> int:
    return int((np.unique(people, return_counts=True)[1] >= 2).sum())
