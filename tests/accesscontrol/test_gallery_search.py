"""Gallery search: exact, and never among those who cannot be meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accesscontrol.gallery import CANDIDATES, Probe, nearest
from accesscontrol.models import Employee, ModelVersion, Site, Template
from tests.enrolled import Vector, rotated, template, turned, unit
from tests.factories import EmployeeFactory, ModelVersionFactory, SiteFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create()
    return version


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    return site


def rotation_id() -> str:
    return Template.objects.values_list("rotation_id", flat=True)[0]


def found(site: Site, face: Vector, version: ModelVersion) -> list[tuple[int, Any]]:
    (candidates,) = nearest([Probe(site.pk, rotated(face))], version, rotation_id())
    return [(candidate.employee_id, candidate.score) for candidate in candidates]


class TestExact:
    def test_it_finds_what_numpy_finds_over_several_sites_and_templates(
        self, version: ModelVersion
    ) -> None:
        dice = np.random.default_rng(11)
        sites = SiteFactory.create_batch(3)
        faces: dict[Site, dict[int, list[Vector]]] = {}
        for place in sites:
            faces[place] = {}
            for _ in range(9):
                base = unit(int(dice.integers(10**6)))
                employee = EmployeeFactory.create(site=place, consented=True)
                views = [
                    turned(base, 0.8, int(dice.integers(10**6))) for _ in range(dice.integers(1, 4))
                ]
                faces[place][employee.pk] = views
                for view in views:
                    template(employee, view, version=version)
        probes = [(place, unit(int(dice.integers(10**6)))) for place in sites for _ in range(5)]
        probes += [
            (place, turned(views[0], 0.7))
            for place in sites
            for views in list(faces[place].values())[:3]
        ]
        answers = nearest(
            [Probe(place.pk, rotated(face)) for place, face in probes], version, rotation_id()
        )
        for (place, face), candidates in zip(probes, answers, strict=True):
            expected = sorted(
                (
                    (max(float(view @ face) for view in views), someone)
                    for someone, views in faces[place].items()
                ),
                reverse=True,
            )[:CANDIDATES]
            assert len(candidates) == CANDIDATES
            assert [c.score for c in candidates] == pytest.approx(
                [score for score, _ in expected], abs=2e-3
            )
            assert candidates[0].employee_id in {
                someone for score, someone in expected if expected[0][0] - score < 4e-3
            }

    def test_best_comes_first_and_each_person_once(self, site: Site, version: ModelVersion) -> None:
        face = unit(1)
        near, far = EmployeeFactory.create_batch(2, site=site)
        for cosine in (0.9, 0.5, 0.2):
            template(near, turned(face, cosine), version=version)
        template(far, turned(face, 0.6), version=version)
        assert found(site, face, version) == [
            (near.pk, pytest.approx(0.9, abs=2e-3)),
            (far.pk, pytest.approx(0.6, abs=2e-3)),
        ]

    def test_the_same_face_scores_one(self, site: Site, version: ModelVersion) -> None:
        someone = EmployeeFactory.create(site=site)
        template(someone, unit(1), version=version)
        assert found(site, unit(1), version) == [(someone.pk, pytest.approx(1, abs=2e-3))]

    def test_many_probes_are_one_query(self, site: Site, version: ModelVersion) -> None:
        template(EmployeeFactory.create(site=site), unit(1), version=version)
        probes = [Probe(site.pk, rotated(unit(seed))) for seed in range(32)]
        rotation = rotation_id()
        with CaptureQueriesContext(connection) as queries:
            answers = nearest(probes, version, rotation)
        assert len(queries) == 1
        assert len(answers) == 32

    def test_answers_keep_the_order_of_the_probes(self, site: Site, version: ModelVersion) -> None:
        people = [EmployeeFactory.create(site=site) for _ in range(12)]
        for seed, someone in enumerate(people):
            template(someone, unit(seed), version=version)
        probes = [Probe(site.pk, rotated(unit(seed))) for seed in range(12)]
        answers = nearest(probes, version, rotation_id())
        assert [candidates[0].employee_id for candidates in answers] == [p.pk for p in people]

    def test_no_probe_needs_no_query(self, version: ModelVersion) -> None:
        with CaptureQueriesContext(connection) as queries:
            assert nearest([], version, "any") == []
        assert len(queries) == 0


class TestNeverMeant:
    @pytest.fixture
    def employee(self, site: Site, version: ModelVersion) -> Employee:
        employee: Employee = EmployeeFactory.create(site=site)
        template(employee, unit(1), version=version)
        return employee

    def test_employees_of_other_sites(self, employee: Employee, version: ModelVersion) -> None:
        assert found(SiteFactory.create(), unit(1), version) == []

    def test_a_site_without_employees_beside_one_with(
        self, employee: Employee, version: ModelVersion
    ) -> None:
        empty = SiteFactory.create()
        probes = [Probe(place, rotated(unit(1))) for place in (empty.pk, employee.site_id)]
        none, some = nearest(probes, version, rotation_id())
        assert (none, len(some)) == ([], 1)

    def test_a_site_that_does_not_exist(self, employee: Employee, version: ModelVersion) -> None:
        assert nearest([Probe(0, rotated(unit(1)))], version, rotation_id()) == [[]]

    def test_inactive_employees(self, employee: Employee, version: ModelVersion) -> None:
        employee.is_active = False
        employee.save()
        assert found(employee.site, unit(1), version) == []

    def test_templates_of_another_model(self, employee: Employee, version: ModelVersion) -> None:
        other = ModelVersionFactory.create(is_active=False)
        assert found(employee.site, unit(1), other) == []

    def test_templates_under_another_rotation(
        self, employee: Employee, version: ModelVersion
    ) -> None:
        probe = Probe(employee.site_id, rotated(unit(1)))
        assert nearest([probe], version, "0badc0de") == [[]]

    def test_people_who_withdrew(self, employee: Employee, version: ModelVersion) -> None:
        rotation = rotation_id()
        employee.photos.all().delete()
        probe = Probe(employee.site_id, rotated(unit(1)))
        assert nearest([probe], version, rotation) == [[]]


class TestProbe:
    @pytest.mark.parametrize(
        "vector",
        [
            np.zeros(192, np.float32),
            np.full(192, np.nan, np.float32),
            np.full(192, np.inf, np.float32),
            0.5 * unit(1),
            2 * unit(1),
            unit(1, 191),
            unit(1, 512),
            unit(1)[None],
            np.zeros(0, np.float32),
        ],
        ids=["zero", "NaN", "infinite", "half", "double", "short", "long", "a row", "empty"],
    )
    def test_what_is_no_unit_vector_is_refused_without_a_query(
        self, site: Site, version: ModelVersion, vector: Vector
    ) -> None:
        with CaptureQueriesContext(connection) as queries, pytest.raises(ValueError, match="unit"):
            nearest([Probe(site.pk, unit(1)), Probe(site.pk, vector)], version, "any")
        assert len(queries) == 0
