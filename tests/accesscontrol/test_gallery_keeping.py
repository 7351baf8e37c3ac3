"""Who is in which gallery: the database sees to it, whoever makes the change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import connection, transaction

from accesscontrol import enrolment, sites
from accesscontrol.gallery import Probe, nearest
from accesscontrol.models import Employee, ModelVersion, Site, Template
from tests.concurrency import at_once, errors
from tests.enrolled import rotated, template, turned, unit
from tests.factories import EmployeeFactory, ModelVersionFactory, SiteFactory

pytestmark = pytest.mark.django_db(transaction=True)

FACE = unit(1)


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create()
    return version


@pytest.fixture
def employee(version: ModelVersion) -> Employee:
    """With three templates."""
    employee: Employee = EmployeeFactory.create()
    for seed, cosine in enumerate((1.0, 0.8, 0.7), 2):
        template(employee, turned(FACE, cosine, seed), version=version)
    return employee


@pytest.fixture
def elsewhere() -> Site:
    site: Site = SiteFactory.create()
    return site


@pytest.fixture
def somebody_else() -> Iterator[psycopg.Connection]:
    """A connection of their own, without Django: a person at a prompt."""
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        dbname=settings["NAME"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        autocommit=True,
    ) as prompt:
        yield prompt


def found(site_id: int, version: ModelVersion) -> list[int]:
    rotation = Template.objects.values_list("rotation_id", flat=True).first() or "none"
    (candidates,) = nearest([Probe(site_id, rotated(FACE))], version, rotation)
    return [candidate.employee_id for candidate in candidates]


def entries(prompt: psycopg.Connection) -> list[tuple[int, int]]:
    """(site, employee) of every row of every gallery, as another connection sees them."""
    rows = prompt.execute(
        "SELECT site_id, employee_id FROM accesscontrol_gallery ORDER BY site_id, template_id"
    ).fetchall()
    return [(int(site), int(person)) for site, person in rows]


def galleries(prompt: psycopg.Connection) -> set[int]:
    """The sites that have one."""
    rows = prompt.execute(
        "SELECT substr(inhrelid::regclass::text, length('accesscontrol_gallery_') + 1)"
        " FROM pg_inherits WHERE inhparent = 'accesscontrol_gallery'::regclass"
    ).fetchall()
    return {int(number) for (number,) in rows}


Change = Callable[[Employee], object]


def deactivate(employee: Employee) -> None:
    employee.is_active = False
    sites.save_employee(employee, None)


def withdraw(employee: Employee) -> None:
    enrolment.withdraw_consent(employee, by=None)


def delete_photos(employee: Employee) -> None:
    for photo in employee.photos.all():
        enrolment.delete_photo(photo, by=None)


VERBS: dict[str, Change] = {
    "deactivated": deactivate,
    "consent withdrawn": withdraw,
    "every photo deleted": delete_photos,
}
STATEMENTS = {
    "deactivated": "UPDATE accesscontrol_employee SET is_active = false WHERE id = %s",
    "templates deleted": "DELETE FROM accesscontrol_template WHERE employee_id = %s",
    "photos deleted": "DELETE FROM accesscontrol_enrolmentphoto WHERE employee_id = %s",
}


class TestGoneWithTheCommit:
    @pytest.mark.parametrize("change", VERBS.values(), ids=VERBS)
    def test_by_a_verb_and_for_everybody_at_its_commit(
        self,
        employee: Employee,
        version: ModelVersion,
        somebody_else: psycopg.Connection,
        change: Change,
    ) -> None:
        before = entries(somebody_else)
        assert before == [(employee.site_id, employee.pk)] * 3
        with transaction.atomic():
            change(employee)
            assert found(employee.site_id, version) == []
            assert entries(somebody_else) == before
        assert entries(somebody_else) == []

    @pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
    def test_by_a_statement_at_a_prompt(
        self,
        employee: Employee,
        version: ModelVersion,
        somebody_else: psycopg.Connection,
        statement: str,
    ) -> None:
        assert found(employee.site_id, version) == [employee.pk]
        somebody_else.execute(statement, [employee.pk])
        assert found(employee.site_id, version) == []

    def test_what_is_rolled_back_has_not_happened(
        self, employee: Employee, version: ModelVersion, somebody_else: psycopg.Connection
    ) -> None:
        with transaction.atomic():
            withdraw(employee)
            transaction.set_rollback(True)
        assert found(employee.site_id, version) == [employee.pk]
        assert len(entries(somebody_else)) == 3

    def test_a_table_emptied_at_once_leaves_nobody(
        self, employee: Employee, somebody_else: psycopg.Connection
    ) -> None:
        somebody_else.execute("TRUNCATE accesscontrol_template")
        assert entries(somebody_else) == []

    def test_consent_cannot_end_before_the_templates_are_gone(
        self, employee: Employee, somebody_else: psycopg.Connection
    ) -> None:
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            somebody_else.execute(
                "UPDATE accesscontrol_consent SET withdrawn_at = now() WHERE employee_id = %s",
                [employee.pk],
            )


class TestMoving:
    def test_between_sites_changes_both_galleries_at_once(
        self,
        employee: Employee,
        elsewhere: Site,
        version: ModelVersion,
        somebody_else: psycopg.Connection,
    ) -> None:
        home = employee.site_id
        with transaction.atomic():
            employee.site = elsewhere
            sites.save_employee(employee, None)
            assert entries(somebody_else) == [(home, employee.pk)] * 3
        assert entries(somebody_else) == [(elsewhere.pk, employee.pk)] * 3
        assert found(home, version) == []
        assert found(elsewhere.pk, version) == [employee.pk]

    def test_coming_back_to_work_brings_every_template_back(
        self, employee: Employee, version: ModelVersion, somebody_else: psycopg.Connection
    ) -> None:
        Employee.objects.update(is_active=False)
        assert entries(somebody_else) == []
        Employee.objects.update(is_active=True)
        assert entries(somebody_else) == [(employee.site_id, employee.pk)] * 3

    def test_somebody_inactive_moves_without_appearing(
        self, employee: Employee, elsewhere: Site, somebody_else: psycopg.Connection
    ) -> None:
        Employee.objects.update(is_active=False)
        Employee.objects.update(site=elsewhere)
        assert entries(somebody_else) == []


class TestSeveralSites:
    def test_a_further_site_finds_the_person_and_the_home_site_goes_on_to(
        self, employee: Employee, elsewhere: Site, version: ModelVersion
    ) -> None:
        sites.admit(employee, elsewhere, None)
        assert found(elsewhere.pk, version) == found(employee.site_id, version) == [employee.pk]

    def test_admitting_twice_is_admitting_once(
        self, employee: Employee, elsewhere: Site, somebody_else: psycopg.Connection
    ) -> None:
        first = sites.admit(employee, elsewhere, None)
        assert sites.admit(employee, elsewhere, None) == first
        assert len(entries(somebody_else)) == 6

    def test_admission_to_the_home_site_adds_nothing(
        self, employee: Employee, somebody_else: psycopg.Connection
    ) -> None:
        sites.admit(employee, employee.site, None)
        assert len(entries(somebody_else)) == 3
        assert sites.end_admission(employee, employee.site, None)
        assert len(entries(somebody_else)) == 3

    def test_ending_it_takes_them_out_there_alone(
        self, employee: Employee, elsewhere: Site, version: ModelVersion
    ) -> None:
        sites.admit(employee, elsewhere, None)
        assert sites.end_admission(employee, elsewhere, None)
        assert found(elsewhere.pk, version) == []
        assert found(employee.site_id, version) == [employee.pk]
        assert not sites.end_admission(employee, elsewhere, None)

    def test_a_new_template_is_in_all_of_them(
        self, employee: Employee, elsewhere: Site, somebody_else: psycopg.Connection
    ) -> None:
        sites.admit(employee, elsewhere, None)
        template(employee, turned(FACE, 0.9, 9))
        assert len(entries(somebody_else)) == 8

    @pytest.mark.parametrize("change", VERBS.values(), ids=VERBS)
    def test_who_goes_is_gone_from_all_of_them(
        self,
        employee: Employee,
        elsewhere: Site,
        somebody_else: psycopg.Connection,
        change: Change,
    ) -> None:
        sites.admit(employee, elsewhere, None)
        change(employee)
        assert entries(somebody_else) == []

    def test_moving_to_a_site_already_admitted_to_keeps_one_entry_each(
        self, employee: Employee, elsewhere: Site, somebody_else: psycopg.Connection
    ) -> None:
        sites.admit(employee, elsewhere, None)
        Employee.objects.update(site=elsewhere)
        assert entries(somebody_else) == [(elsewhere.pk, employee.pk)] * 3


class TestSites:
    def test_a_deleted_site_takes_its_gallery_along(
        self, elsewhere: Site, somebody_else: psycopg.Connection
    ) -> None:
        assert elsewhere.pk in galleries(somebody_else)
        elsewhere.delete()
        assert elsewhere.pk not in galleries(somebody_else)

    def test_a_new_site_does_not_keep_searches_or_enrolments_waiting(
        self, employee: Employee, version: ModelVersion, somebody_else: psycopg.Connection
    ) -> None:
        with transaction.atomic():
            SiteFactory.create()
            somebody_else.execute("SET lock_timeout = '100ms'")
            assert len(entries(somebody_else)) == 3
            somebody_else.execute(
                "UPDATE accesscontrol_employee SET is_active = false WHERE id = %s", [employee.pk]
            )
        assert found(employee.site_id, version) == []

    def test_sites_added_at_once_all_have_a_gallery(
        self, somebody_else: psycopg.Connection
    ) -> None:
        added = at_once([SiteFactory.create] * 4)
        assert not errors(added)
        assert {site.pk for site in added} <= galleries(somebody_else)


class TestAtOnce:
    """Two changes of one person, each unaware of the other."""

    def test_enrolling_and_deactivating_never_leaves_an_inactive_person(
        self, employee: Employee, somebody_else: psycopg.Connection
    ) -> None:
        for race in range(15):
            Employee.objects.update(is_active=True)

            def enrol(seed: int = 100 + race) -> Template:
                return template(employee, turned(FACE, 0.9, seed))

            def leave() -> int:
                return Employee.objects.filter(pk=employee.pk).update(is_active=False)

            assert not errors(at_once([enrol, leave]))
            assert entries(somebody_else) == []

    def test_a_template_deleted_while_its_person_moves_is_in_neither_gallery(
        self, employee: Employee, elsewhere: Site, somebody_else: psycopg.Connection
    ) -> None:
        here, there = employee.site_id, elsewhere.pk
        for race in range(15):
            photo = template(employee, turned(FACE, 0.9, 200 + race)).photo

            def delete(photo: object = photo) -> None:
                enrolment.delete_photo(photo, by=None)  # type: ignore[arg-type]

            def move(to: int = (there, here)[race % 2]) -> int:
                return Employee.objects.filter(pk=employee.pk).update(site=to)

            assert not errors(at_once([delete, move]))
            assert entries(somebody_else) == [((there, here)[race % 2], employee.pk)] * 3

    def test_withdrawing_while_a_photo_is_being_accepted_leaves_nobody(
        self, employee: Employee, elsewhere: Site, somebody_else: psycopg.Connection
    ) -> None:
        results = at_once(
            [
                lambda: enrolment.withdraw_consent(employee, by=None),
                lambda: sites.admit(employee, elsewhere, None),
                lambda: Employee.objects.filter(pk=employee.pk).update(site=elsewhere),
            ]
        )
        assert not errors(results)
        assert entries(somebody_else) == []
