"""manage.py check_gallery: tells what is not as it should be, and ends the use of a bad index."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accesscontrol import gallery_index
from accesscontrol.gallery_index import Gallery, Recall
from accesscontrol.models import Employee, ModelVersion, Site, Template
from recognition.tasks import check_galleries
from tests.enrolled import template, unit
from tests.factories import EmployeeFactory, ModelVersionFactory, SiteFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create()
    return version


@pytest.fixture
def site(version: ModelVersion) -> Site:
    """With 30 people of one template each."""
    site: Site = SiteFactory.create(name="Plant")
    for seed in range(30):
        template(EmployeeFactory.create(site=site), unit(seed), version=version)
    return site


@pytest.fixture
def _small_ones_get_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_index, "INDEX_FROM", 20)
    monkeypatch.setattr(gallery_index, "KEPT_FROM", 10)


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("check_gallery", "--probes", "30", *arguments, stdout=output)
    return output.getvalue()


def figures(*arguments: str) -> Any:
    return json.loads(run("--json", *arguments))["galleries"]


def gallery_of(site: Site, version: ModelVersion) -> Gallery:
    return Gallery(site, version, Template.objects.values_list("rotation_id", flat=True)[0])


def test_a_sound_gallery_is_told_in_a_line(site: Site) -> None:
    assert run() == "Plant: 30 people, 30 templates; searched exactly\n"


def test_and_as_json(site: Site) -> None:
    (plant,) = figures()
    assert plant == {
        "site": "Plant",
        "people": 30,
        "templates": 30,
        "missing": 0,
        "surplus": 0,
        "index": "none",
        "recall": None,
        "probes": None,
        "exact_ms": None,
        "index_ms": None,
    }


def test_an_installation_without_people_is_sound(version: ModelVersion) -> None:
    SiteFactory.create(name="Empty")
    assert run() == "Empty: 0 people, 0 templates; searched exactly\n"


def test_an_installation_without_a_model_has_nothing_to_check() -> None:
    SiteFactory.create()
    assert run() == ""


def test_one_site_can_be_asked_for(site: Site) -> None:
    SiteFactory.create(name="Other")
    assert [found["site"] for found in figures("--site", "plant")] == ["Plant"]


@pytest.mark.parametrize(
    ("statement", "missing", "surplus"),
    [
        ("DELETE FROM accesscontrol_gallery WHERE employee_id = %s", 1, 0),
        (
            "UPDATE accesscontrol_gallery SET rotation_id = 'other' WHERE employee_id = %s",
            0,
            1,
        ),
        (
            (
                "INSERT INTO accesscontrol_gallery SELECT site_id, employee_id, -1,"
                " model_version_id, rotation_id, embedding FROM accesscontrol_gallery"
                " WHERE employee_id = %s"
            ),
            0,
            1,
        ),
    ],
    ids=["an entry lost", "an entry changed", "an entry nobody is entitled to"],
)
def test_what_was_written_past_the_triggers_is_found(
    site: Site, statement: str, missing: int, surplus: int
) -> None:
    person = Employee.objects.first()
    assert person is not None
    with connection.cursor() as cursor:
        cursor.execute(statement, [person.pk])
    with pytest.raises(CommandError, match=r"Plant.*past the database's triggers"):
        run()
    state = gallery_index.differences(site)
    assert state == (missing, surplus)


@pytest.mark.usefixtures("_small_ones_get_an_index")
class TestIndex:
    def test_without_tend_none_is_built(self, site: Site) -> None:
        assert figures()[0]["index"] == "none"

    def test_with_tend_it_is_built_checked_and_told(self, site: Site) -> None:
        (plant,) = figures("--tend")
        assert (plant["index"], plant["recall"], plant["probes"]) == ("in use", 1.0, 30)
        assert plant["exact_ms"] > 0
        assert plant["index_ms"] > 0
        assert "searched by its index: recall 1.0000 of 30 probes" in run()

    def test_one_that_loses_people_goes_out_of_use_at_once(
        self, site: Site, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run("--tend")
        monkeypatch.setattr(gallery_index, "measure", lambda *_, **__: Recall(0.97, 30, 40.0, 5.0))
        with pytest.raises(CommandError, match="an index that was given up"):
            run()
        index = gallery_of(site, version).index()
        assert index is not None
        assert (index.in_use, index.recall) == (False, 0.97)

    def test_the_nightly_task_does_the_same(self, site: Site, version: ModelVersion) -> None:
        check_galleries()
        index = gallery_of(site, version).index()
        assert index is not None
        assert index.in_use

    def test_under_another_model_the_old_one_is_removed(
        self, site: Site, version: ModelVersion
    ) -> None:
        run("--tend")
        ModelVersion.objects.update(is_active=False)
        ModelVersionFactory.create()
        run("--tend")
        assert gallery_of(site, version).index() is None

    def test_while_somebody_else_tends_it_says_so(self, site: Site) -> None:
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [gallery_index.ONE_AT_A_TIME])
            with pytest.raises(CommandError, match="Try again later"):
                run()
            check_galleries()
        finally:
            other.close()


def test_no_probe_is_no_check(site: Site) -> None:
    with pytest.raises(CommandError, match="from 1 on"):
        call_command("check_gallery", "--probes", "0")
