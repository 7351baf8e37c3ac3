"""manage.py bench_gallery: what it measures is right, and nothing of it stays."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accesscontrol.gallery_bench import peers, scratch, searches
from accesscontrol.gallery_bench.crowd import IMPOSTOR_SD, MATCH, Crowd
from accesscontrol.gallery_bench.peers import PeerError, Peers
from accesscontrol.gallery_bench.scratch import Filled, add_sites, new_version, scratch_database
from accesscontrol.models import Employee, Site
from tests.factories import SiteFactory

KEYS = {"p50_ms", "p95_ms", "recall", "templates", "sites", "numpy_ms", "faiss_ms"}


@pytest.fixture
def _without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without a network."""

    def nowhere() -> Path:
        raise PeerError("no network")

    monkeypatch.setattr(peers, "faiss_python", nowhere)


def databases() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        return {name for (name,) in cursor.fetchall()}


def figures(*arguments: str) -> dict[str, Any]:
    output = StringIO()
    call_command(
        "bench_gallery", "--dimension", "64", "--json", *arguments, stdout=output, stderr=StringIO()
    )
    found: dict[str, Any] = json.loads(output.getvalue().splitlines()[-1])
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_without_faiss")
class TestRun:
    def test_it_tells_the_figures_and_finds_everybody(self) -> None:
        found = figures("--templates", "300", "--sites", "3", "--probes", "40")
        assert found.keys() >= KEYS
        assert (found["templates"], found["sites"], found["recall"]) == (300, 3, 1.0)
        assert found["recall_strangers"] == 1.0
        assert 0 < found["p50_ms"] <= found["p95_ms"]
        assert found["numpy_ms"] > 0

    def test_without_faiss_it_says_so_instead_of_a_figure(self) -> None:
        found = figures("--templates", "30", "--sites", "1", "--probes", "10")
        assert found["faiss_ms"] is None
        assert found["faiss_missing"] == "no network"

    def test_growth_is_told_from_a_thousand_on(self) -> None:
        found = figures("--templates", "10000", "--sites", "10", "--probes", "10", "--growth")
        assert list(found["growth"]["steps"]) == ["1000", "10000"]
        assert found["growth"]["site_templates"] == 1000
        assert found["growth"]["ratio"] > 0

    def test_under_load_who_enrols_is_found_and_who_leaves_is_not(self) -> None:
        found = figures("--templates", "600", "--sites", "2", "--probes", "20", "--load", "1")
        under = found["load"]
        assert under["enrolled"] >= 2
        assert under["left"] == under["enrolled"]
        assert under["not_found_after_enrolment"] == 0
        assert under["still_found_after_leaving"] == 0

    def test_people_read_the_same_figures(self) -> None:
        output = StringIO()
        options = ["--templates", "30", "--sites", "1", "--probes", "5", "--dimension", "64"]
        call_command("bench_gallery", *options, stdout=output, stderr=StringIO())
        assert {line.split()[0] for line in output.getvalue().splitlines()} >= KEYS

    @pytest.mark.parametrize(
        "wrong",
        [
            ["--sites", "0"],
            ["--templates", "3", "--sites", "4"],
            ["--probes", "0"],
            ["--dimension", "0"],
            ["--load", "-1"],
        ],
        ids=" ".join,
    )
    def test_what_cannot_be_measured_is_refused(self, wrong: list[str]) -> None:
        with pytest.raises(CommandError):
            call_command("bench_gallery", *wrong)


@pytest.mark.django_db(transaction=True)
class TestScratch:
    def test_the_installations_own_rows_are_neither_seen_nor_touched(self) -> None:
        own = SiteFactory.create()
        with scratch_database() as name:
            assert name in databases()
            assert not Site.objects.exists()
            add_sites(Filled(new_version(16), Crowd(16, 1), {}), 30, 2)
            assert Employee.objects.count() == 10
        assert list(Site.objects.all()) == [own]
        assert not Employee.objects.exists()

    def test_it_is_dropped_when_the_run_fails(self) -> None:
        before = databases()

        def fail() -> None:
            with scratch_database():
                raise RuntimeError("full disk")

        with pytest.raises(RuntimeError, match="full disk"):
            fail()
        assert databases() == before

    def test_it_is_dropped_when_it_cannot_be_migrated(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("no disk")

        monkeypatch.setattr(scratch, "call_command", fail)
        before = databases()
        with pytest.raises(RuntimeError, match="no disk"), scratch_database():
            pass
        assert databases() == before

    def test_a_gallery_is_filled_with_what_the_crowd_says(self) -> None:
        with scratch_database():
            filled = Filled(new_version(16), Crowd(16, 1), {})
            add_sites(filled, 10, 1)
            (site,) = filled.sizes
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT employee_id, embedding::real[] FROM accesscontrol_gallery"
                    " ORDER BY template_id"
                )
                rows = cursor.fetchall()
            faces = filled.faces(site)
            assert [person for person, _ in rows] == [
                filled.person(site, int(row)) for row in faces.of
            ]
            assert np.array([vector for _, vector in rows]) == pytest.approx(faces.templates)
            (query,) = searches.queries(filled, 1, seed=3)
            assert query.probe.site_id == site


class TestCrowd:
    @pytest.mark.parametrize("dimension", [192, 320, 512])
    def test_scores_are_spread_as_measured_on_faces(self, dimension: int) -> None:
        faces = Crowd(dimension, 5).site(1, 3_000)
        scores = faces.templates @ faces.templates.T
        same = faces.of[:, None] == faces.of[None]
        apart = scores[~same]
        together = scores[same & ~np.eye(len(scores), dtype=bool)]
        assert apart.std() == pytest.approx(IMPOSTOR_SD, rel=0.05)
        assert apart.mean() == pytest.approx(0, abs=0.01)
        assert together.mean() == pytest.approx(MATCH, abs=0.01)

    def test_the_same_seed_and_site_are_the_same_people(self) -> None:
        first, again, other = (Crowd(64, 5).site(site, 30) for site in (1, 1, 2))
        assert np.array_equal(first.templates, again.templates)
        assert not np.array_equal(first.templates, other.templates)


class TestPeers:
    def test_numpy_answers_on_one_thread_in_a_process_of_its_own(self) -> None:
        faces = Crowd(64, 1).site(1, 90)
        with Peers(Path(sys.executable)) as others:
            assert "numpy" in others.versions
            others.load(faces.templates)
            for row in (0, 41, 89):
                found, ms = others.search("numpy", faces.templates[row])
                assert found == row
                assert ms > 0

    def test_one_that_ends_is_a_clear_error(self) -> None:
        with Peers(Path(sys.executable)) as others, pytest.raises(PeerError, match="ended"):
            others.search("no such system", np.zeros(4, np.float32))
