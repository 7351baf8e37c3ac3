"""`evaluate clusters`: what its figures mean, against pairs counted one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from accesscontrol.score_tail import Calibration
from recognition.clustering import NOBODY, Labels
from recognition.evaluate.clusters import Visits, compare, grouped, quality, timed
from tests.galleries import CALIBRATION, unit

SHIPPED = Calibration.read(CALIBRATION)


def visits(people: int, times: int, alike: float = 0.0) -> Visits:
    """Of people whose faces have a cosine of about `alike`, visits of one about 0.9."""
    random = np.random.default_rng(0)
    shared = unit(random.normal(size=192))
    own = [
        unit(np.sqrt(alike) * shared + np.sqrt(1 - alike) * unit(random.normal(size=192)))
        for _ in range(people)
    ]
    faces = [
        unit(face + 0.33 * unit(random.normal(size=192))) for face in own for _ in range(times)
    ]
    return Visits(np.array(faces, np.float32), np.repeat(np.arange(people), times))


def counted(labels: Labels, people: Labels) -> tuple[list[float], list[float]]:
    """Pairwise and BCubed precision and recall, one by one."""
    numbers = range(len(people))
    put = {
        (a, b)
        for a, b in combinations(numbers, 2)
        if labels[a] == labels[b] and labels[a] != NOBODY
    }
    true = {(a, b) for a, b in combinations(numbers, 2) if people[a] == people[b]}
    pairwise = [len(put & true) / len(put), len(put & true) / len(true)]

    def with_(chosen: set[tuple[int, int]], one: int) -> set[int]:
        return {one} | {a + b - one for a, b in chosen if one in (a, b)}

    shares = [(with_(put, n), with_(true, n)) for n in numbers]
    bcubed = [
        float(np.mean([len(a & b) / len(a) for a, b in shares])),
        float(np.mean([len(a & b) / len(b) for a, b in shares])),
    ]
    return pairwise, bcubed


@pytest.mark.parametrize("seed", range(5))
def test_precision_and_recall_are_as_counted_one_by_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(NOBODY, 5, 40)
    people = random.integers(0, 6, 40)
    found, (pairwise, bcubed) = quality(labels, people), counted(labels, people)
    for name, expected in (("pairwise", pairwise), ("bcubed", bcubed)):
        got = [found[name]["precision"], found[name]["recall"]]
        assert got == pytest.approx(expected, abs=1e-5)


def test_what_is_right_is_one_and_alone_has_no_recall_of_pairs() -> None:
    people = np.repeat(np.arange(4), 3)
    assert quality(people, people)["bcubed"] == {"precision": 1.0, "recall": 1.0, "f": 1.0}
    alone = quality(np.full(12, NOBODY), people)
    assert alone["pairwise"]["recall"] == 0
    assert alone["bcubed"]["recall"] == pytest.approx(1 / 3, abs=1e-5)
    assert alone["visitors"] == 0


def test_visitors_made_of_two_people_are_counted() -> None:
    found = quality(np.array([0, 0, 0, 1, 1, NOBODY]), np.array([0, 0, 1, 2, 2, 3]))
    assert (found["visitors"], found["visitors_of_several_people"]) == (2, 1)


def test_a_visit_is_the_mean_of_successive_frames_of_one_person() -> None:
    frames = list(np.eye(5, dtype=np.float32))
    made = grouped(frames, [7, 7, 7, 9, 9], 2)
    assert made.people.tolist() == [7, 7, 9]
    half = np.sqrt(0.5)
    assert made.vectors[0] == pytest.approx([half, half, 0, 0, 0])
    assert made.vectors[1] == pytest.approx([0, 0, 1, 0, 0])


def test_people_who_come_again_are_found_beside_the_baselines() -> None:
    figures = compare(visits(15, 6), SHIPPED)
    assert (figures["visits"], figures["people"], figures["came_again"]) == (90, 15, 15)
    assert figures["density"]["bcubed"]["f"] == 1
    assert figures["density"]["visitors"] == 15
    assert figures["each_alone"]["bcubed"]["recall"] == pytest.approx(1 / 6, abs=1e-4)
    links = [row["link"] for row in figures["density_by_rate"].values()]
    assert links == sorted(links), "the rarer wrong links, the higher the link"


def test_the_sites_own_people_raise_the_link_where_they_look_alike() -> None:
    crowd, staff = visits(12, 4, alike=0.75), visits(25, 1, alike=0.75)
    by_calibration, by_staff = compare(crowd, SHIPPED), compare(crowd, SHIPPED, staff)
    assert by_staff["link"] > by_calibration["link"] + 0.05
    assert by_staff["density"]["bcubed"]["f"] > by_calibration["density"]["bcubed"]["f"]


def test_made_up_visits_are_timed() -> None:
    figures = timed(200, 64, SHIPPED)
    assert figures.pop("visits") == 200
    assert all(seconds >= 0 for seconds in figures.values())
