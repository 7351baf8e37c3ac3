"""Times searches of the galleries, and judges them by numpy's exact ones."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from accesscontrol.gallery import Probe, nearest
from accesscontrol.gallery_bench.peers import Peers
from accesscontrol.gallery_bench.scratch import ROTATION, Filled

Say = Callable[[str], None]

WARM_UP = 50
BATCH = 16


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A probe and whose it is: an employee's number, or None for a stranger."""

    probe: Probe
    person: int | None


def queries(filled: Filled, number: int, *, seed: int) -> list[Query]:
    """Probes at sites drawn at random, in random order: half of people there, half strangers."""
    dice = np.random.default_rng([seed, number])
    sites = dice.choice(list(filled.sizes), number)
    made: list[Query] = []
    for site in sorted(set(sites.tolist())):
        wanted = int((sites == site).sum())
        people = filled.faces(site).people
        rows = dice.integers(0, len(people), wanted)
        mated = dice.random(wanted) < 0.5
        shown = np.where(mated[:, None], people[rows], filled.crowd.strangers(wanted, dice))
        views = filled.crowd.views(shown.astype(np.float32), dice)
        views = views.astype(np.float16).astype(np.float32)
        made += [
            Query(Probe(site, view), filled.person(site, int(row)) if known else None)
            for view, row, known in zip(views, rows, mated, strict=True)
        ]
    return [made[place] for place in dice.permutation(len(made))]


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Milliseconds of each search, from Python and back, and the best person of each, 0 if none.

    cpu_ms: what this thread and the database's process spent on a processor meanwhile; None where
    the system or a database elsewhere does not tell.
    """

    ms: NDArray[np.float64]
    cpu_ms: NDArray[np.float64] | None
    best: list[int]

    def figures(self) -> dict[str, Any]:
        """Medians and 95th percentiles."""
        cpu = {f"cpu_{name}": ms for name, ms in summary(self.cpu_ms).items()}
        return {**summary(self.ms), **cpu}


def timed(filled: Filled, asked: Sequence[Query]) -> Timed:
    """Search one probe after the other."""
    for query in asked[:WARM_UP]:
        nearest([query.probe], filled.version, ROTATION)
    spent = _processor_time()
    times, cpu, best = [], [], []
    for query in asked:
        begun, before = time.perf_counter(), spent() if spent else 0.0
        (candidates,) = nearest([query.probe], filled.version, ROTATION)
        times.append(1000 * (time.perf_counter() - begun))
        cpu.append(1000 * ((spent() if spent else 0.0) - before))
        best.append(candidates[0].employee_id if candidates else 0)
    return Timed(np.array(times), np.array(cpu) if spent else None, best)


def _processor_time() -> Callable[[], float] | None:
    """Seconds that this thread and the session's process of a database here were on a processor."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), inet_server_addr() = inet_client_addr()")
        pid, is_here = cursor.fetchone()
    account = Path(f"/proc/{pid}/schedstat")
    if not is_here or not account.is_file():
        return None
    return lambda: time.thread_time() + int(account.read_text().split()[0]) / 1e9


def timed_in_batches(filled: Filled, asked: Sequence[Query]) -> float:
    """Median milliseconds of a probe when BATCH of them go in one statement."""
    times = []
    for start in range(0, len(asked) - BATCH + 1, BATCH):
        probes = [query.probe for query in asked[start : start + BATCH]]
        begun = time.perf_counter()
        nearest(probes, filled.version, ROTATION)
        times.append(1000 * (time.perf_counter() - begun) / BATCH)
    return float(np.median(times)) if times else float("nan")


@dataclass(frozen=True, slots=True)
class Judged:
    """Shares of the searches that name the person whom numpy's exact search names, and times.

    recall: of people who are there. recall_strangers: of the others, where the nearest of many
    equally unlike people is asked for. ms: medians by system, each on the same probes.
    """

    recall: float
    recall_strangers: float
    ms: dict[str, float]


def judged(filled: Filled, asked: Sequence[Query], best: Sequence[int], peers: Peers) -> Judged:
    """Let the peers search the same, site by site, the systems in turn for each probe."""
    by_site: dict[int, list[int]] = defaultdict(list)
    for place, query in enumerate(asked):
        by_site[query.probe.site_id].append(place)
    right: dict[bool, list[bool]] = {True: [], False: []}
    times: dict[str, list[float]] = defaultdict(list)
    for site, places in by_site.items():
        faces = filled.faces(site)
        peers.load(faces.templates)
        for system in peers.versions:
            peers.search(system, asked[places[0]].probe.vector)
        for place in places:
            query = asked[place]
            for system in peers.versions:
                row, ms = peers.search(system, query.probe.vector)
                times[system].append(ms)
                if system == "numpy":
                    person = filled.person(site, int(faces.of[row]))
                    right[query.person is not None].append(person == best[place])
    return Judged(
        _share(right[True]),
        _share(right[False]),
        {system: float(np.median(taken)) for system, taken in times.items()},
    )


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right) if right else float("nan")


def summary(times: NDArray[np.float64] | None) -> dict[str, Any]:
    """Median and 95th percentile."""
    if times is None:
        return {"p50_ms": None, "p95_ms": None}
    return {
        "p50_ms": round(float(np.median(times)), 3),
        "p95_ms": round(float(np.percentile(times, 95)), 3),
    }
