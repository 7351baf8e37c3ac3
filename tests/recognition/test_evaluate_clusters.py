"""`evaluate clusters`: what its figures mean; test_cluster_metrics has the measures themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from accesscontrol.score_tail import Calibration
from recognition.clustering import NOBODY
from recognition.evaluate.clusters import Visits, compare, grouped, intervals, quality, timed
from recognition.evaluate.clusters_report import write_clusters_report
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


def test_what_is_right_is_one_and_alone_has_no_recall_of_pairs() -> None:
    people = np.repeat(np.arange(4), 3)
    assert quality(people, people)["bcubed"] == {"precision": 1.0, "recall": 1.0, "f": 1.0}
    alone = quality(np.full(12, NOBODY), people)
    assert alone["pairwise"]["recall"] == 0
    assert alone["bcubed"]["recall"] == pytest.approx(1 / 3, abs=1e-5)
    assert alone["visitors"] == 0
    assert alone["nmi"] == pytest.approx(2 * np.log(4) / (np.log(4) + np.log(12)), abs=1e-5)


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


def test_intervals_are_over_people_and_hold_what_was_measured() -> None:
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(60), 5)
    labels = np.where(random.random(300) < 0.2, NOBODY, people)
    labels[people == 7] = 8
    for one in (labels, people // 3, np.full(300, NOBODY)):
        found, ends = quality(one, people), intervals(one, people)["interval95"]
        figures = {
            f"{kind}_{rate}": v
            for kind in ("pairwise", "bcubed")
            for rate, v in found[kind].items()
        }
        for name, value in (figures | {"nmi": found["nmi"]}).items():
            low, high = ends[name]
            assert 0 <= low <= value <= high <= 1


def test_fewer_people_leave_more_doubt() -> None:
    random = np.random.default_rng(0)
    widths = []
    for people in (10, 160):
        owners = np.repeat(np.arange(people), 5)
        labels = np.where(random.random(len(owners)) < 0.3, NOBODY, owners)
        low, high = intervals(labels, owners)["interval95"]["bcubed_recall"]
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_one_person_alone_has_no_doubt_to_speak_of() -> None:
    ends = intervals(np.zeros(3, np.int64), np.zeros(3, np.int64))["interval95"]
    assert ends["bcubed_f"] == [1, 1]


def test_both_algorithms_stand_beside_each_other_in_the_report(tmp_path: Path) -> None:
    figures = compare(visits(8, 4), SHIPPED)
    assert set(figures["k_means_by_share"]) == {"0.5", "0.75", "1.25", "1.5", "2"}
    assert figures["k_means_by_share"]["0.5"]["bcubed"]["precision"] < 1
    for kind in ("density", "k_means_true_number", "each_alone"):
        assert {"bcubed_f", "pairwise_f", "nmi"} <= set(figures[kind]["interval95"])
    write_clusters_report(tmp_path / "new", figures)
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == figures
    assert "32 visits of 8 people" in (tmp_path / "new" / "report.html").read_text()
    first = (tmp_path / "new" / "clusters.svg").read_bytes()
    write_clusters_report(tmp_path / "new", figures)
    assert (tmp_path / "new" / "clusters.svg").read_bytes() == first
