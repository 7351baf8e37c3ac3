"""One run of the benchmark, in a scratch database."""

from __future__ import annotations

import math
import platform
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from accesscontrol import gallery_index
from accesscontrol.gallery_bench import load, peers, searches
from accesscontrol.gallery_bench.crowd import IMPOSTOR_SD, MATCH, TEMPLATES_A_PERSON, Crowd
from accesscontrol.gallery_bench.scratch import (
    ROTATION,
    Filled,
    add_sites,
    new_version,
    scratch_database,
)
from accesscontrol.gallery_index import Gallery
from accesscontrol.models import GalleryIndex, Site

Say = Callable[[str], None]

SEED = 1
GROWN_FROM = 1_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    templates: int
    sites: int
    dimension: int
    probes: int
    load_seconds: float
    growth: bool


def bench(plan: Plan, say: Say) -> dict[str, Any]:
    """Fill galleries, search them beside numpy and faiss, drop everything; returns the figures.

    Raises PeerError if numpy's process does not run; without faiss its figures are null.
    """
    python, faiss_missing = Path(sys.executable), None
    try:
        python = peers.faiss_python()
    except peers.PeerError as error:
        faiss_missing = str(error)
        say(f"faiss cannot be had: {error}")
    with scratch_database() as name, peers.Peers(python) as others:
        say(f"{plan.templates:,} templates over {plan.sites:,} sites into the database {name}")
        filled = Filled(new_version(plan.dimension), Crowd(plan.dimension, SEED), {})
        figures: dict[str, Any] = {}
        if plan.growth:
            figures["growth"] = _growth(filled, plan, say)
        else:
            add_sites(filled, plan.templates, plan.sites)
        figures = {**_searched(filled, plan, others, say), **figures}
        if plan.load_seconds:
            say(f"{load.PROBES_A_SECOND} probes a second for {plan.load_seconds:g} s, with changes")
            asked = searches.queries(filled, plan.probes, seed=SEED + 1)
            figures["load"] = load.under_load(filled, asked, seconds=plan.load_seconds)
        return {**figures, **_circumstances(plan, others, faiss_missing)}


def _searched(filled: Filled, plan: Plan, others: peers.Peers, say: Say) -> dict[str, Any]:
    index = _indexed(filled, say)
    say(f"{plan.probes:,} probes")
    asked = searches.queries(filled, plan.probes, seed=SEED)
    ours = searches.timed(filled, asked)
    batched = searches.timed_in_batches(filled, asked)
    found = searches.judged(filled, asked, ours.best, others)
    return {
        **ours.figures(),
        "recall": round(found.recall, 5),
        "templates": sum(filled.sizes.values()),
        "sites": len(filled.sizes),
        "numpy_ms": round(found.ms["numpy"], 3),
        "faiss_ms": round(found.ms["faiss"], 3) if "faiss" in found.ms else None,
        "recall_strangers": round(found.recall_strangers, 5),
        "batch_ms": None if math.isnan(batched) else round(batched, 3),
        "index": index,
    }


def _indexed(filled: Filled, say: Say) -> dict[str, Any] | None:
    """Do to each site what the nightly task does; the figures of the last index, if any."""
    figures = None
    for site in Site.objects.filter(pk__in=filled.sizes):
        if filled.sizes[site.pk] < gallery_index.INDEX_FROM:
            continue
        say(f"building the index of {site}")
        begun = time.perf_counter()
        measured = gallery_index.tend(Gallery(site, filled.version, ROTATION))
        if measured is not None:
            index = GalleryIndex.objects.get(site=site)
            figures = {
                "ef_search": index.ef_search,
                "in_use": measured.recall >= gallery_index.LOWEST_RECALL,
                "recall": measured.recall,
                "exact_ms": round(measured.exact_ms, 3),
                "index_ms": round(measured.index_ms, 3),
                "built_and_checked_s": round(time.perf_counter() - begun, 1),
            }
    return figures


def _growth(filled: Filled, plan: Plan, say: Say) -> dict[str, Any]:
    """Medians as sites of one size are added, from GROWN_FROM templates up to all, tenfold each."""
    size = plan.templates // plan.sites
    steps: dict[str, dict[str, Any]] = {}
    number = GROWN_FROM
    while number <= plan.templates:
        wanted = max(1, number // size) - len(filled.sizes)
        add_sites(filled, wanted * size, wanted)
        asked = searches.queries(filled, plan.probes, seed=SEED + number)
        figures = searches.timed(filled, asked).figures()
        steps[str(sum(filled.sizes.values()))] = figures
        say(f"{sum(filled.sizes.values()):,} templates: {figures['p50_ms']} ms")
        number *= 10
    first, *_, last = steps.values()
    ratios = {
        f"{name}ratio": round(last[f"{name}p50_ms"] / first[f"{name}p50_ms"], 3)
        for name in ("", "cpu_")
        if first[f"{name}p50_ms"]
    }
    return {"site_templates": size, **ratios, "steps": steps}


def _circumstances(plan: Plan, others: peers.Peers, faiss_missing: str | None) -> dict[str, Any]:
    with closing(connection.cursor()) as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('shared_buffers'),"
            " (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
        )
        postgres, buffers, pgvector = cursor.fetchone()
    return {
        "dimension": plan.dimension,
        "probes": plan.probes,
        "vectors": {
            "match": MATCH,
            "impostor_sd": IMPOSTOR_SD,
            "templates_a_person": TEMPLATES_A_PERSON,
        },
        "versions": {"postgresql": postgres, "pgvector": pgvector, **others.versions},
        "faiss_missing": faiss_missing,
        "shared_buffers": buffers,
        "machine": _machine(),
    }


def _machine() -> str:
    """The processor, for the record."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {platform.system()}, Python {platform.python_version()}"
