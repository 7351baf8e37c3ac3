"""The index of a large gallery: one site's alone, and only while it loses nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError, connection

from accesscontrol import gallery_index
from accesscontrol.gallery import Probe, nearest
from accesscontrol.gallery_index import Gallery, Recall
from accesscontrol.models import AuditEntry, Employee, GalleryIndex, ModelVersion, Site
from tests.enrolled import Vector, rotated, template, turned, unit
from tests.factories import EmployeeFactory, ModelVersionFactory, SiteFactory

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 40


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create()
    return version


def fill(site: Site, version: ModelVersion, people: int = PEOPLE, first: int = 1) -> None:
    """People with two templates each; the face of number i is unit(first + i)."""
    for seed in range(first, first + people):
        someone = EmployeeFactory.create(site=site, consented=True)
        for cosine in (1.0, 0.8):
            template(someone, turned(unit(seed), cosine, 1_000 + seed), version=version)


def gallery_of(site: Site, version: ModelVersion) -> Gallery:
    person = Employee.objects.filter(site=site).first()
    assert person is not None
    rotation = person.templates.values_list("rotation_id", flat=True)[0]
    return Gallery(site, version, rotation)


@pytest.fixture
def gallery(version: ModelVersion) -> Gallery:
    site = SiteFactory.create()
    fill(site, version)
    return gallery_of(site, version)


@pytest.fixture
def in_use(gallery: Gallery) -> Iterator[Gallery]:
    """A gallery that is searched by its index."""
    index = gallery_index.build(gallery)
    assert gallery_index.judge(index, gallery_index.measure(gallery, probes=50, seed=1))
    with connection.cursor() as cursor:
        # So few rows are read faster without it; what is tested is that it is used rightly.
        cursor.execute(
            "SET enable_seqscan = off; SET enable_sort = off; SET plan_cache_mode = auto"
        )
    yield gallery
    with connection.cursor() as cursor:
        cursor.execute("RESET ALL")


def found(gallery: Gallery, face: Vector, site: Site | None = None) -> list[int]:
    place = (site or gallery.site).pk
    (candidates,) = nearest([Probe(place, rotated(face))], gallery.version, gallery.rotation_id)
    return [candidate.employee_id for candidate in candidates]


def vector_index_scans() -> int:
    """How often any vector index was read in the whole database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT coalesce(sum(pg_stat_get_numscans(indexrelid)), 0) FROM pg_index"
            " WHERE pg_get_indexdef(indexrelid) LIKE '%%hnsw%%'"
        )
        (scans,) = cursor.fetchone()
    return int(scans)


class TestUse:
    def test_it_finds_whom_the_exact_search_finds(self, in_use: Gallery) -> None:
        before = vector_index_scans()
        people = list(Employee.objects.filter(site=in_use.site).order_by("pk"))
        for seed, someone in enumerate(people, 1):
            assert found(in_use, turned(unit(seed), 0.7))[0] == someone.pk
        assert vector_index_scans() > before

    def test_many_probes_of_several_sites_are_still_one_statement(
        self, in_use: Gallery, django_assert_num_queries: Any
    ) -> None:
        other = SiteFactory.create()
        fill(other, in_use.version, people=3, first=500)
        probes = [
            Probe(site.pk, rotated(unit(seed)))
            for site, seed in [(in_use.site, 1), (other, 500), (in_use.site, 2), (other, 501)] * 4
        ]
        with django_assert_num_queries(1):
            answers = nearest(probes, in_use.version, in_use.rotation_id)
        assert [len(candidates) for candidates in answers] == [5, 3, 5, 3] * 4
        assert [round(candidates[0].score, 2) for candidates in answers] == [1.0] * 16

    def test_who_leaves_is_gone_with_the_commit(self, in_use: Gallery) -> None:
        someone = Employee.objects.get(pk=found(in_use, unit(5))[0])
        Employee.objects.filter(pk=someone.pk).update(is_active=False)
        assert someone.pk not in found(in_use, unit(5))

    def test_who_is_enrolled_later_is_found(self, in_use: Gallery) -> None:
        fill(in_use.site, in_use.version, people=1, first=700)
        newest = Employee.objects.filter(site=in_use.site).latest("pk")
        assert found(in_use, unit(700))[0] == newest.pk

    def test_one_person_with_a_hundred_templates_does_not_hide_the_others(
        self, in_use: Gallery
    ) -> None:
        many = EmployeeFactory.create(site=in_use.site, consented=True)
        face = unit(800)
        for seed in range(110):
            template(many, turned(face, 0.9, 2_000 + seed), version=in_use.version)
        other = EmployeeFactory.create(site=in_use.site, consented=True)
        template(other, turned(face, 0.6, 5_000), version=in_use.version)
        assert found(in_use, face)[:2] == [many.pk, other.pk]
        assert len(found(in_use, face)) == 5


class TestTheTrap:
    """A vector index of other people, filtered afterwards, returns too few or none."""

    def test_no_search_of_another_site_reads_it(self, in_use: Gallery) -> None:
        other = SiteFactory.create()
        fill(other, in_use.version, people=12, first=300)
        before = vector_index_scans()
        for seed in range(300, 312):
            assert len(found(in_use, unit(seed), other)) == 5
        assert vector_index_scans() == before

    def test_no_search_under_another_model_or_rotation_reads_it(self, in_use: Gallery) -> None:
        newer = ModelVersionFactory.create(is_active=False)
        someone = Employee.objects.filter(site=in_use.site).first()
        assert someone is not None
        template(someone, unit(900), version=newer)
        before = vector_index_scans()
        probe = Probe(in_use.site.pk, rotated(unit(900)))
        (under_newer,) = nearest([probe], newer, in_use.rotation_id)
        assert [candidate.employee_id for candidate in under_newer] == [someone.pk]
        assert nearest([probe], in_use.version, "0badc0de") == [[]]
        assert vector_index_scans() == before

    def test_the_exact_form_cannot_read_it(self, in_use: Gallery) -> None:
        before = vector_index_scans()
        GalleryIndex.objects.update(in_use=False)
        for seed in range(1, 10):
            found(in_use, unit(seed))
        assert vector_index_scans() == before

    def test_an_index_of_the_column_itself_cannot_be_made(self, gallery: Gallery) -> None:
        with pytest.raises(Exception, match="does not have dimensions"), connection.cursor() as c:
            c.execute("CREATE INDEX ON accesscontrol_gallery USING hnsw (embedding halfvec_ip_ops)")


class TestRecall:
    def test_of_an_index_that_finds_everybody_is_one(self, gallery: Gallery) -> None:
        gallery_index.build(gallery)
        measured = gallery_index.measure(gallery, probes=60, seed=2)
        assert (measured.recall, measured.probes) == (1.0, 60)

    def test_too_little_ends_the_use_at_once(self, in_use: Gallery) -> None:
        index = in_use.index()
        assert index is not None
        assert not gallery_index.judge(index, Recall(0.9989, 1_000, 40.0, 5.0))
        index.refresh_from_db()
        assert (index.in_use, index.recall) == (False, 0.9989)
        before = vector_index_scans()
        assert found(in_use, unit(1))
        assert vector_index_scans() == before

    def test_both_turns_are_in_the_audit_log(self, in_use: Gallery) -> None:
        index = in_use.index()
        assert index is not None
        gallery_index.judge(index, Recall(0.5, 1_000, 40.0, 5.0))
        gallery_index.judge(index, Recall(0.5, 1_000, 40.0, 5.0))
        actions = AuditEntry.objects.filter(subject=f"site:{in_use.site.pk}")
        assert list(actions.order_by("pk").values_list("action", flat=True)) == [
            "use_gallery_index",
            "search_gallery_exactly",
        ]

    def test_without_any_recall_no_index_is_ever_in_use(self, gallery: Gallery) -> None:
        index = gallery_index.build(gallery)
        assert not index.in_use
        for recall in (None, 0.998):
            with pytest.raises(IntegrityError, match="gallery_index_in_use_finds"):
                GalleryIndex.objects.update(in_use=True, recall=recall)

    def test_no_number_is_no_recall(self, gallery: Gallery) -> None:
        index = gallery_index.build(gallery)
        assert not gallery_index.judge(index, Recall(float("nan"), 0, 0.0, 0.0))

    def test_of_a_gallery_emptied_meanwhile_is_nothing(self, gallery: Gallery) -> None:
        gallery_index.build(gallery)
        Employee.objects.update(is_active=False)
        assert gallery_index.measure(gallery, probes=10).recall == 0.0


class TestTending:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gallery_index, "INDEX_FROM", 60)
        monkeypatch.setattr(gallery_index, "KEPT_FROM", 40)

    def test_a_gallery_grown_large_gets_an_index_that_is_used(self, gallery: Gallery) -> None:
        measured = gallery_index.tend(gallery, probes=50)
        index = gallery.index()
        assert measured is not None
        assert index is not None
        assert index.in_use
        assert index.templates == 2 * PEOPLE

    def test_a_small_one_gets_none(self, version: ModelVersion) -> None:
        site = SiteFactory.create()
        fill(site, version, people=5)
        small = gallery_of(site, version)
        assert gallery_index.tend(small) is None
        assert small.index() is None

    def test_one_grown_small_loses_it_only_well_below(self, gallery: Gallery) -> None:
        gallery_index.tend(gallery, probes=20)
        leaving = list(Employee.objects.values_list("pk", flat=True))
        Employee.objects.filter(pk__in=leaving[:15]).update(is_active=False)
        assert gallery_index.tend(gallery, probes=20) is not None
        Employee.objects.filter(pk__in=leaving[:30]).update(is_active=False)
        assert gallery_index.tend(gallery, probes=20) is None
        assert gallery.index() is None
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [f'"{gallery.index_name}"'])
            assert cursor.fetchone() == (None,)

    def test_the_fewest_entries_in_view_that_are_enough_are_taken(
        self, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recalls = iter([0.9, 0.9995])
        monkeypatch.setattr(
            gallery_index, "measure", lambda *_, **__: Recall(next(recalls), 1_000, 40.0, 5.0)
        )
        measured = gallery_index.tend(gallery)
        index = gallery.index()
        assert measured is not None
        assert index is not None
        assert (measured.recall, index.ef_search, index.in_use) == (0.9995, 280, True)

    def test_one_that_never_reaches_it_stays_out_of_use(
        self, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            gallery_index, "measure", lambda *_, **__: Recall(0.99, 1_000, 40.0, 5.0)
        )
        gallery_index.tend(gallery)
        index = gallery.index()
        assert index is not None
        assert not index.in_use
        assert found(gallery, unit(1))

    def test_of_a_model_no_longer_searched_it_is_listed_to_go(
        self, gallery: Gallery, version: ModelVersion
    ) -> None:
        gallery_index.tend(gallery, probes=20)
        newer = ModelVersionFactory.create(is_active=False)
        assert gallery_index.outdated(version, gallery.rotation_id) == []
        assert gallery_index.outdated(newer, gallery.rotation_id) == [gallery]
        assert gallery_index.outdated(version, "0badc0de") == [gallery]

    def test_a_deleted_site_takes_its_index_along(self, version: ModelVersion) -> None:
        site = SiteFactory.create()
        fill(site, version)
        gallery = gallery_of(site, version)
        gallery_index.tend(gallery, probes=20)
        for person in Employee.objects.filter(site=site):
            person.photos.all().delete()
            person.consents.all().delete()
            person.delete()
        site.delete()
        assert not GalleryIndex.objects.exists()

    def test_only_one_at_a_time_tends(self) -> None:
        with gallery_index.tending() as alone:
            assert alone
            other = connection.copy()
            try:
                with other.cursor() as cursor:
                    cursor.execute("SELECT pg_try_advisory_lock(%s)", [gallery_index.ONE_AT_A_TIME])
                    assert cursor.fetchone() == (False,)
            finally:
                other.close()


def test_the_probes_of_a_check_lie_where_a_poor_picture_would() -> None:
    faces = np.stack([unit(seed) for seed in range(20)])
    turned_away = gallery_index._turned(faces, np.random.default_rng(1))
    assert np.linalg.norm(turned_away, axis=1) == pytest.approx(1, abs=1e-5)
    assert (faces * turned_away).sum(1) == pytest.approx(gallery_index.MATCH, abs=1e-5)
