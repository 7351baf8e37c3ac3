"""Identification counts each search as a person would: found, lost, or wrongly given a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.evaluate import identification
from recognition.evaluate.datasets import DatasetError
from recognition.evaluate.embeddings import Embedded
from recognition.evaluate.identification import (
    NOTHING,
    Identification,
    best_scores,
    curve_of,
    hit_scores,
    identify,
    report_of,
    summarise,
)

People = dict[str, list[Path]]
Vectors = dict[Path, np.ndarray]


def units(count: int, dimension: int = 6, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def folders(kind: str, layout: Mapping[str, int]) -> People:
    return {name: [Path(kind, name, f"{n}.jpg") for n in range(c)] for name, c in layout.items()}


def vectors_of(*people: People, missed: Sequence[Path] = (), seed: int = 0) -> Vectors:
    paths = [path for group in people for paths in group.values() for path in paths]
    found = dict(zip(paths, units(len(paths), seed=seed), strict=True))
    return {path: vector for path, vector in found.items() if path not in missed}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`identify` with embeddings that are given instead of computed."""

    def identified(
        vectors: Vectors, gallery: People, probes: People, strangers: People
    ) -> Identification:
        def embedded(pipeline: object, paths: Sequence[Path], **_: object) -> Embedded:
            assert len(set(paths)) == len(paths), "each file is embedded once"
            known = {path: vectors[path] for path in paths if path in vectors}
            return Embedded(known, tuple(path for path in paths if path not in vectors))

        monkeypatch.setattr(identification, "embed_files", embedded)
        pipeline: Any = None
        return identify(
            pipeline, gallery, probes, strangers, smallest_face=40, progress=lambda *_: None
        )

    return identified


def naive(
    vectors: Vectors, gallery: People, probes: People, strangers: People, fpir: float
) -> tuple[float, float]:
    """FNIR and rank-1 by comparing everything with everything, at every threshold there is."""

    def best(path: Path, names: Sequence[str]) -> float:
        scores = [
            float(vectors[template] @ vectors[path])
            for name in names
            for template in gallery[name]
            if template in vectors and path in vectors
        ]
        return max(scores, default=NOTHING)

    everybody = list(gallery)
    false = [best(path, everybody) for paths in strangers.values() for path in paths]
    mated = []
    for name, paths in probes.items():
        for path in paths:
            own = best(path, [name])
            mated.append((own, own > best(path, [n for n in everybody if n != name])))
    candidates = sorted({*false, *(own for own, _ in mated), np.inf})
    sound = [t for t in candidates if sum(s >= t for s in false) <= fpir * len(false)]
    fewest = min(sum(not (first and own >= t) for own, first in mated) for t in sound)
    return fewest / len(mated), sum(first for _, first in mated) / len(mated)


@given(
    seed=st.integers(0, 1000),
    gallery=st.lists(st.integers(1, 3), min_size=2, max_size=4),
    lost=st.integers(0, 6),
    fpir=st.sampled_from([0.0, 0.01, 0.2, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_the_rates_are_those_of_a_naive_count(
    seed: int, gallery: list[int], lost: int, fpir: float
) -> None:
    names = {f"p{number}": count for number, count in enumerate(gallery)}
    enrolled, probes = folders("g", names), folders("p", dict.fromkeys(names, 3))
    strangers = folders("s", {"x": 4, "y": 3})
    every = [path for group in (enrolled, probes, strangers) for v in group.values() for path in v]
    missed = [every[n] for n in np.random.default_rng(seed).permutation(len(every))[:lost]]
    vectors = vectors_of(enrolled, probes, strangers, missed=missed, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identification, "FPIRS", (str(fpir),))
        patch.setattr(identification, "bootstrap_interval", lambda *_, **__: None)
        patch.setattr(
            identification,
            "embed_files",
            lambda pipeline, paths, **_: Embedded(vectors, ()),
        )
        pipeline: Any = None
        result = identify(
            pipeline, enrolled, probes, strangers, smallest_face=40, progress=lambda *_: None
        )
        figures: dict[str, Any] = summarise(result)
    fnir, rank1 = naive(vectors, enrolled, probes, strangers, fpir)
    assert figures["fnir"][str(fpir)] == pytest.approx(fnir)
    assert figures["rank1"] == pytest.approx(rank1)


def test_the_best_scores_are_the_greatest_of_each_side() -> None:
    templates, probe = units(7), units(1, seed=9)[0]
    mine = np.array([True, False, False, True, False, True, False])
    own, own_row, other, other_row = best_scores(probe, templates, mine)
    scores = (templates @ probe).tolist()
    assert own == pytest.approx(max(scores[row] for row in (0, 3, 5)))
    assert other == pytest.approx(max(scores[row] for row in (1, 2, 4, 6)))
    assert scores[own_row] == pytest.approx(own)
    assert scores[other_row] == pytest.approx(other)


def test_a_probe_without_a_face_is_a_miss_and_a_failure_to_acquire(run: Any) -> None:
    gallery, probes = folders("g", {"a": 1, "b": 1}), folders("p", {"a": 2, "b": 2})
    strangers = folders("s", {"x": 4})
    vectors = vectors_of(gallery, strangers)
    for name in ("a", "b"):  # who is seen is seen exactly as enrolled
        vectors[probes[name][0]] = vectors[gallery[name][0]]
    figures = summarise(run(vectors, gallery, probes, strangers))
    assert figures["fta"] == 0.5
    assert figures["rank1"] == 0.5
    assert figures["missed"] == 2
    assert figures["fnir"] == {"1e-2": 0.5, "1e-3": 0.5}
    assert figures["images"] == 4


def test_a_tie_with_another_person_is_no_hit(run: Any) -> None:
    gallery, probes = folders("g", {"a": 1, "b": 1}), folders("p", {"a": 1})
    vector = units(1)[0]
    every = [gallery["a"][0], gallery["b"][0], probes["a"][0]]
    result = run(dict.fromkeys(every, vector), gallery, probes, {})
    assert hit_scores(result.mated).tolist() == [NOTHING]


def test_a_person_enrolled_without_a_face_is_never_found_and_is_named(run: Any) -> None:
    gallery, probes = folders("g", {"a": 1, "b": 1}), folders("p", {"b": 2})
    strangers = folders("s", {"x": 1})
    vectors = vectors_of(gallery, probes, strangers, missed=gallery["b"])
    figures = summarise(run(vectors, gallery, probes, strangers))
    assert figures["rank1"] == 0
    assert figures["gallery"] == {
        "images": 2,
        "templates": 1,
        "people_without_a_template": ["b"],
    }


def test_probes_of_people_outside_the_gallery_are_strangers(run: Any) -> None:
    gallery, probes = folders("g", {"a": 1}), folders("p", {"a": 1, "guest": 3})
    result = run(vectors_of(gallery, probes), gallery, probes, folders("s", {}))
    assert len(result.mated) == 1
    assert len(result.strangers) == 3
    assert not result.left_out


def test_without_strangers_each_probe_is_one_to_all_but_its_own(run: Any) -> None:
    gallery, probes = folders("g", {"a": 1, "b": 2}), folders("p", {"a": 2, "b": 1})
    vectors = vectors_of(gallery, probes)
    result = run(vectors, gallery, probes, {})
    assert result.left_out
    expected = max(float(vectors[t] @ vectors[probes["a"][0]]) for t in gallery["b"])
    assert result.strangers.other[0] == pytest.approx(expected)


def test_the_curve_ends_with_everybody_lost_and_no_stranger_named(run: Any) -> None:
    gallery, probes = folders("g", {"a": 2, "b": 2}), folders("p", {"a": 3, "b": 3})
    strangers = folders("s", {"x": 5})
    result = run(vectors_of(gallery, probes, strangers), gallery, probes, strangers)
    curve = curve_of(result)
    assert (np.diff(curve.fmr) <= 0).all()
    assert (np.diff(curve.fnmr) >= 0).all()
    report = report_of(result, summarise(result))
    lost, near = (shown for _, shown in report.pairs)
    assert len(lost) == 6
    assert [pair.score for pair in near] == sorted((p.score for p in near), reverse=True)


def test_a_stranger_who_is_enrolled_is_refused(run: Any) -> None:
    gallery = folders("g", {"a": 1})
    with pytest.raises(DatasetError, match="a is in the gallery and among the strangers"):
        run({}, gallery, folders("p", {"a": 1}), folders("s", {"a": 1}))


def test_probes_of_nobody_in_the_gallery_are_refused(run: Any) -> None:
    with pytest.raises(DatasetError, match="folders named alike"):
        run({}, folders("g", {"a": 1}), folders("p", {"b": 1}), {})


def test_a_template_is_not_searched_in_its_own_gallery(run: Any) -> None:
    gallery = folders("g", {"a": 2})
    with pytest.raises(DatasetError, match="in the gallery and to be searched"):
        run({}, gallery, {"a": [gallery["a"][1]]}, {})
