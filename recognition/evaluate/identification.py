"""Identification (1:N): whether a probe finds its person in a gallery, and a stranger finds nobody.

Terms are those of ISO/IEC 19795-1. Every image of the gallery is a template, and a person scores
as their best one, as in a site's search. A search returns its best person if that one is at or
above the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.embeddings import Embedded, Progress, embed_files
from recognition.evaluate.metrics import (
    Bools,
    DetCurve,
    Floats,
    Ints,
    accept_rate,
    bootstrap_interval,
    det_curve,
    threshold_at_fmr,
)
from recognition.evaluate.page import Shown
from recognition.evaluate.report import Report
from recognition.pipeline import Pipeline

WORST = 12  # pairs shown of each kind

FPIRS = ("1e-2", "1e-3")

# What a search scores that has nothing to compare: no face in the probe, or in the gallery.
NOTHING = -1.0

People = Mapping[str, Sequence[Path]]


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """One search for each image; scores are cosines, NOTHING where there was nothing to compare.

    people: (N,) whose image each is.
    images: (N,) the files.
    failed: (N,) whether no face was found in the image.
    own, own_template: (N,) the best score among the person's own templates and that one's row in
        the gallery, -1 where they have none.
    other, other_template: the same among all other people's.
    """

    people: Sequence[str]
    images: Sequence[Path]
    failed: Bools
    own: Floats
    own_template: Ints
    other: Floats
    other_template: Ints

    def __len__(self) -> int:
        """How many searches there are."""
        return len(self.people)


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """What was searched in what.

    mated: probes of people of the gallery.
    strangers: searches whose `other` is a stranger's best score. Without any strangers they are
        the mated probes themselves, each searched among all people but its own.
    templates: the gallery's files with a face, in the order of the rows.
    unenrolled: people of the gallery in none of whose images a face was found.
    """

    mated: Searches
    strangers: Searches
    left_out: bool
    templates: Sequence[Path]
    gallery: int
    unenrolled: tuple[str, ...]


def identify(
    pipeline: Pipeline,
    gallery: People,
    probes: People,
    strangers: People,
    *,
    smallest_face: int,
    progress: Progress,
) -> Identification:
    """Embed every image once and search all probes and strangers.

    Args:
        pipeline: embeds.
        gallery: images by person.
        probes: images by person; those of people who are not in the gallery are strangers.
        strangers: images by person, none of whom is in the gallery.
        smallest_face: as for `Pipeline.analyse`.
        progress: is told of embedded images.

    Raises:
        DatasetError: a stranger is in the gallery, no probe's person is, or one file is in two
            of the three.
    """
    known = sorted(gallery.keys() & strangers.keys())
    if known:
        raise DatasetError(f"{known[0]} is in the gallery and among the strangers")
    mated = _labelled({name: paths for name, paths in probes.items() if name in gallery})
    if not mated:
        raise DatasetError("none of the probes' people is in the gallery; are folders named alike?")
    unknown = [(name, path) for name, path in _labelled(probes) if name not in gallery]
    unknown += _labelled(strangers)
    enrolled = _labelled(gallery)
    twice = {path.resolve() for _, path in enrolled} & {p.resolve() for _, p in mated + unknown}
    if twice:
        raise DatasetError(f"{min(twice)} is in the gallery and to be searched in it")
    embedded = embed_files(
        pipeline,
        list(dict.fromkeys(path for _, path in [*enrolled, *mated, *unknown])),
        smallest_face=smallest_face,
        progress=progress,
    )
    templates = [(name, path) for name, path in enrolled if path in embedded.embeddings]
    found = _search(embedded, templates, mated)
    return Identification(
        mated=found,
        strangers=_search(embedded, templates, unknown) if unknown else found,
        left_out=not unknown,
        templates=[path for _, path in templates],
        gallery=len(enrolled),
        unenrolled=tuple(sorted(gallery.keys() - {name for name, _ in templates})),
    )


def _labelled(people: People) -> list[tuple[str, Path]]:
    return [(name, path) for name, paths in people.items() for path in paths]


def _search(
    embedded: Embedded, templates: Sequence[tuple[str, Path]], probes: Sequence[tuple[str, Path]]
) -> Searches:
    vectors = np.array([embedded.embeddings[path] for _, path in templates])
    owners = np.array([name for name, _ in templates], dtype=np.str_)
    rows = [
        best_scores(embedded.embeddings.get(path), vectors, owners == name) for name, path in probes
    ]
    own, own_template, other, other_template = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return Searches(
        people=[name for name, _ in probes],
        images=[path for _, path in probes],
        failed=np.array([path not in embedded.embeddings for _, path in probes]),
        own=own.astype(np.float64),
        own_template=own_template,
        other=other.astype(np.float64),
        other_template=other_template,
    )


def best_scores(
    probe: NDArray[np.float32] | None, templates: NDArray[np.float32], mine: Bools
) -> tuple[float, int, float, int]:
    """The best score among one's own templates and its row, then among all others'.

    Args:
        probe: (D,) of length 1; None where there was no face.
        templates: (T, D) of length 1, T may be 0.
        mine: (T,) whether each is of the probe's person.
    """
    if probe is None or len(templates) == 0:
        return NOTHING, -1, NOTHING, -1
    scores = templates @ probe
    best: list[float | int] = []
    for group in (mine, ~mine):
        rows = np.flatnonzero(group)
        row = int(rows[np.argmax(scores[rows])]) if len(rows) else -1
        best += [float(scores[row]) if row >= 0 else NOTHING, row]
    return float(best[0]), int(best[1]), float(best[2]), int(best[3])


def hit_scores(searches: Searches) -> Floats:
    """(N,) the score at which each probe's own person is returned; NOTHING where another leads.

    A tie counts against the probe. The share of these below a threshold is the FNIR there, with
    failures to acquire counted as misses.
    """
    return np.where(searches.own > searches.other, searches.own, NOTHING)


def curve_of(result: Identification) -> DetCurve:
    """FNIR (as `fnmr`) over FPIR (as `fmr`) at every threshold."""
    return det_curve(hit_scores(result.mated), result.strangers.other)


def summarise(result: Identification) -> dict[str, object]:
    """The figures, ready for JSON.

    fnir, thresholds and observed_fpir are keyed by the FPIR asked for; threshold is the one of
    the first. A threshold for an FPIR below one in the number of strangers returns none of them.
    fta is the share of mated probes without a face: they count as misses in fnir and rank1.
    Intervals are 95 % bootstraps over people, the gallery held fixed.
    """
    hits, strangers = hit_scores(result.mated), result.strangers.other
    thresholds = {fpir: threshold_at_fmr(strangers, float(fpir)) for fpir in FPIRS}
    return {
        "fnir": {fpir: 1 - accept_rate(hits, value) for fpir, value in thresholds.items()},
        "rank1": accept_rate(hits, np.nextafter(NOTHING, 1)),
        "fta": float(result.mated.failed.mean()),
        "missed": int(result.mated.failed.sum()),
        "threshold": thresholds[FPIRS[0]],
        "thresholds": thresholds,
        "observed_fpir": {f: accept_rate(strangers, value) for f, value in thresholds.items()},
        "images": len(result.mated),
        "people": len(set(result.mated.people)),
        "strangers": {
            "images": len(result.strangers),
            "people": len(set(result.strangers.people)),
            "missed": int(result.strangers.failed.sum()),
            "are_probes_without_their_own_templates": result.left_out,
        },
        "gallery": {
            "images": result.gallery,
            "templates": len(result.templates),
            "people_without_a_template": list(result.unenrolled),
        },
        "interval95": _intervals(result),
    }


def _intervals(result: Identification) -> dict[str, object]:
    hits, strangers = hit_scores(result.mated), result.strangers.other
    count = len(hits)

    def drawn_fnir(weights: Floats, *, fpir: float) -> float:
        if not weights[:count].any() or not weights[count:].any():
            return float("nan")
        threshold = threshold_at_fmr(strangers, fpir, weights[count:])
        return 1 - accept_rate(hits, threshold, weights[:count])

    def drawn_rank1(weights: Floats) -> float:
        if not weights[:count].any():
            return float("nan")
        return float(np.average(hits > NOTHING, weights=weights[:count]))

    people = [(name, name) for name in (*result.mated.people, *result.strangers.people)]
    return {
        "fnir": {
            fpir: bootstrap_interval(partial(drawn_fnir, fpir=float(fpir)), people)
            for fpir in FPIRS
        },
        "rank1": bootstrap_interval(drawn_rank1, people),
    }


def report_of(result: Identification, figures: dict[str, object]) -> Report:
    """The report: curve, distributions, and the searches that came out worst."""
    searches = len(result.mated) + len(result.strangers)
    return Report(
        title=f"Identification, {searches} searches among {len(result.templates)} templates",
        figures=figures,
        curve=curve_of(result),
        axes=("false positive identification rate", "false negative identification rate"),
        scores={
            "probe against its own person": result.mated.own,
            "stranger against the nearest person": result.strangers.other,
        },
        pairs=[
            ("Probes that are hardest to find", _hardest_to_find(result)),
            ("Strangers nearest to somebody", _nearest_strangers(result)),
        ],
    )


def _hardest_to_find(result: Identification) -> list[Shown]:
    """Probes with the template that led: another person's, or else their own."""
    mated = result.mated
    shown = []
    for row in np.argsort(hit_scores(mated), kind="stable")[:WORST].tolist():
        if mated.failed[row] or not result.templates:
            shown.append(Shown(NOTHING, mated.images[row], None, "no face was found"))
            continue
        led = mated.other[row] >= mated.own[row]
        best = int((mated.other_template if led else mated.own_template)[row])
        score = float((mated.other if led else mated.own)[row])
        note = f"another person leads; own {mated.own[row]:.3f}" if led else ""
        shown.append(Shown(score, mated.images[row], result.templates[best], note))
    return shown


def _nearest_strangers(result: Identification) -> list[Shown]:
    strangers = result.strangers
    return [
        Shown(
            float(strangers.other[row]),
            strangers.images[row],
            result.templates[int(strangers.other_template[row])],
        )
        for row in np.argsort(-strangers.other, kind="stable")[:WORST].tolist()
        if strangers.other_template[row] >= 0
    ]
