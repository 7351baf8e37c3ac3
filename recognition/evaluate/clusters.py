"""How well visits are grouped by person: clusters against labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accesscontrol.score_tail import Calibration, Tail, fit
from recognition.clustering import FEWEST, NOBODY, Labels, by_density, by_number, link_score
from recognition.evaluate.cluster_metrics import Agreement, Counted, b_cubed, nmi, pairwise
from recognition.evaluate.metrics import Floats, jackknife_interval
from recognition.pair_scores import pair_scores
from recognition.search import Vectors

RATES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""False match rates whose scores are tried as links, to see how much hangs on the choice."""
SHARES = (0.5, 0.75, 1.25, 1.5, 2.0)
"""Of the true number of people, told to K-means in its place: how much hangs on knowing it."""
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
    by_density_found = by_density(vectors, link)
    by_number_found = by_number(vectors, count)
    return {
        "visits": len(people),
        "people": count,
        "came_again": _came_again(people),
        "link": round(link, 4),
        "density": quality(by_density_found, people) | intervals(by_density_found, people),
        "density_three": quality(by_density(vectors, link, FEWEST + 1), people),
        "density_by_rate": {
            f"{rate:g}": {
                "link": round(score_at(rate), 4),
                **quality(by_density(vectors, score_at(rate)), people),
            }
            for rate in RATES
        },
        "k_means_true_number": quality(by_number_found, people)
        | intervals(by_number_found, people),
        "k_means_by_share": {
            f"{share:g}": quality(by_number(vectors, round(share * count)), people)
            for share in SHARES
        },
        "each_alone": quality(alone, people) | intervals(alone, people),
    }


def _tail(calibration: Calibration, staff: Visits | None) -> Tail:
    if staff is None:
        return fit(None, calibration)
    return fit(pair_scores(staff.vectors, staff.people).impostors, calibration)


def quality(labels: Labels, people: NDArray[np.int64]) -> dict[str, Any]:
    """Clusters (N,) against people (N,), see `cluster_metrics`; who is in none is alone.

    visitors: clusters of two visits or more, and how many of them have visits of several people.
    """
    table = Counted.of(labels, people)
    in_cluster = np.bincount(table.cluster, table.visits)
    dominant = np.zeros(len(in_cluster))
    np.maximum.at(dominant, table.cluster, table.visits)
    again = in_cluster >= 2
    return {
        "pairwise": _rates(pairwise(table)),
        "bcubed": _rates(b_cubed(table)),
        "nmi": round(nmi(table), 5),
        "visitors": int(again.sum()),
        "visitors_of_several_people": int((again & (dominant < in_cluster)).sum()),
    }


def intervals(labels: Labels, people: NDArray[np.int64]) -> dict[str, Any]:
    """95 % intervals of the same figures over people: jackknives, the clusters held fixed."""
    table = Counted.of(labels, people)
    figures: Mapping[str, Callable[[Counted], float]] = {
        "pairwise_precision": lambda some: pairwise(some).precision,
        "pairwise_recall": lambda some: pairwise(some).recall,
        "pairwise_f": lambda some: pairwise(some).f,
        "bcubed_precision": lambda some: b_cubed(some).precision,
        "bcubed_recall": lambda some: b_cubed(some).recall,
        "bcubed_f": lambda some: b_cubed(some).f,
        "nmi": nmi,
    }
    found: dict[str, list[float]] = {}
    for name, figure in figures.items():

        def counted(times: Floats, figure: Callable[[Counted], float] = figure) -> float:
            return figure(table.with_times(times))

        low, high = jackknife_interval(counted, len(table.times))
        found[name] = [round(max(low, 0.0), 5), round(min(high, 1.0), 5)]
    return {"interval95": found}


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


def _rates(found: Agreement) -> dict[str, float]:
    return {
        "precision": round(found.precision, 5),
        "recall": round(found.recall, 5),
        "f": round(found.f, 5),
    }


def _came_again(people: NDArray[np.int64]) -> int:
    return int((np.unique(people, return_counts=True)[1] >= 2).sum())
