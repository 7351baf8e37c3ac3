"""Exact search: each person by their best template, as compared one by one."""

from __future__ import annotations

import numpy as np
import pytest

from recognition import search
from recognition.search import Gallery, Vectors, nearest_rows


def units(count: int, dimension: int = 8, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def gallery(counts: dict[str, int]) -> Gallery:
    rows = iter(units(sum(counts.values()), seed=1))
    return Gallery.of({name: [next(rows) for _ in range(count)] for name, count in counts.items()})


COUNTS = {"Anna": 3, "Bert": 1, "Carl": 2, "Dora": 5}


@pytest.mark.parametrize("block", [1, 25, 4_000_000])
def test_the_nearest_people_are_those_of_a_naive_search(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_BLOCK", block)
    enrolled, probes = gallery(COUNTS), units(20)
    owners = [name for name, count in COUNTS.items() for _ in range(count)]
    for probe, found in zip(probes, enrolled.nearest(probes, 3), strict=True):
        scores = [float(template @ probe) for template in enrolled.templates]
        best = {
            name: max(s for s, owner in zip(scores, owners, strict=True) if owner == name)
            for name in COUNTS
        }
        expected = sorted(best, key=lambda name: -best[name])[:3]
        assert [candidate.name for candidate in found] == expected
        for candidate in found:
            assert candidate.score == pytest.approx(best[candidate.name], abs=1e-6)
            assert owners[candidate.template] == candidate.name
            assert scores[candidate.template] == pytest.approx(candidate.score, abs=1e-6)


def test_a_person_is_one_candidate_however_many_templates_are_near() -> None:
    enrolled = Gallery.of({"Anna": [units(1)[0]] * 4, "Bert": list(units(2, seed=3))})
    (found,) = enrolled.nearest(units(1))
    assert [candidate.name for candidate in found] == ["Anna", "Bert"]
    assert found[0].score == pytest.approx(1)


def test_who_has_no_template_cannot_be_found() -> None:
    enrolled = Gallery.of({"Anna": [], "Bert": list(units(1)), "Carl": []})
    assert enrolled.names == ["Bert"]
    assert [c.name for c in enrolled.nearest(units(1))[0]] == ["Bert"]


def test_an_empty_gallery_finds_nobody() -> None:
    assert Gallery.of({}).nearest(units(3)) == [[], [], []]


@pytest.mark.parametrize(
    "probes",
    [units(2, dimension=9), units(2) * 2, np.zeros((1, 8), np.float32), units(1) * np.nan],
)
def test_what_is_no_unit_vector_of_the_model_is_refused(probes: Vectors) -> None:
    with pytest.raises(ValueError, match="a probe must"):
        gallery(COUNTS).nearest(probes)


def test_the_nearest_row_is_the_one_of_a_naive_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_BLOCK", 20)
    probes, templates = units(13), units(9, seed=2)
    rows, scores = nearest_rows(probes, templates)
    for probe, row, score in zip(probes, rows, scores, strict=True):
        naive = [float(template @ probe) for template in templates]
        assert row == naive.index(max(naive))
        assert score == pytest.approx(max(naive), abs=1e-6)
