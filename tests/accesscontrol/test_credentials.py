"""Credentials besides the face: set, replaced, revoked, and never kept in clear."""

from __future__ import annotations

import pytest
from django.core import serializers
from django.db import connection, transaction

from accesscontrol import credentials
from accesscontrol.credentials import CredentialError
from accesscontrol.models import AuditEntry, Badge, Consent, Employee, Pin, Template
from tests.constraints import refused
from tests.factories import EmployeeFactory, UserFactory
from tests.sign_ins import BADGE, OTHER_PIN, PIN

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha() -> Employee:
    return EmployeeFactory.create(name="Asha Rao", number="0042")


class TestPin:
    def test_needs_neither_consent_nor_face(self, asha: Employee) -> None:
        credentials.set_pin(asha, PIN, by=None)
        assert credentials.held(asha).pin is not None
        assert not Consent.objects.exists()
        assert not Template.objects.exists()

    def test_that_is_weak_changes_nothing(self, asha: Employee) -> None:
        before = credentials.set_pin(asha, PIN, by=None)
        for weak in ("123456", "110042", "12345"):
            with pytest.raises(CredentialError):
                credentials.set_pin(asha, weak, by=None)
        assert credentials.held(asha).pin == before

    def test_ends_the_one_before_and_leaves_nothing_of_it(self, asha: Employee) -> None:
        before = credentials.set_pin(asha, PIN, by=None)
        now = credentials.set_pin(asha, OTHER_PIN, by=None)
        before.refresh_from_db()
        assert (before.hash, before.ended_at is not None) == ("", True)
        assert credentials.held(asha).pin == now
        assert credentials.matching_pin(PIN, [asha]) is None

    def test_made_at_random_is_told_once_and_fits(self, asha: Employee) -> None:
        pin = credentials.set_random_pin(asha, by=None)
        assert len(pin) == 6
        found = credentials.matching_pin(pin, [asha])
        assert found is not None
        assert found.employee == asha

    def test_revoked_fits_nobody(self, asha: Employee) -> None:
        credentials.set_pin(asha, PIN, by=None)
        credentials.revoke_pin(asha, by=None)
        assert credentials.matching_pin(PIN, [asha]) is None
        with pytest.raises(CredentialError, match="has no PIN"):
            credentials.revoke_pin(asha, by=None)

    def test_of_two_people_who_are_asked_at_once_is_nobodys(self, asha: Employee) -> None:
        bela = EmployeeFactory.create(site=asha.site)
        for person in (asha, bela):
            credentials.set_pin(person, PIN, by=None)
        assert credentials.matching_pin(PIN, [asha, bela]) is None

    def test_who_set_and_revoked_it_stands_in_the_audit_log(self, asha: Employee) -> None:
        hr = UserFactory.create(username="hr")
        credentials.set_pin(asha, PIN, by=hr)
        credentials.revoke_pin(asha, by=hr)
        log = AuditEntry.objects.filter(subject=f"employee:{asha.pk}", actor="user:hr")
        assert list(log.values_list("action", flat=True)) == ["revoke_pin", "set_pin"]


class TestBadge:
    def test_is_found_however_the_reader_writes_it(self, asha: Employee) -> None:
        badge = credentials.add_badge(asha, BADGE, by=None)
        for written in ("04a25f1b9c", "04-A2-5F-1B-9C", " 04 a2 5f 1b 9c\n"):
            assert credentials.find_badge(written) == badge
        assert credentials.find_badge("04A25F1B9D") is None

    def test_given_twice_to_the_same_person_is_one(self, asha: Employee) -> None:
        assert credentials.add_badge(asha, BADGE, by=None) == credentials.add_badge(
            asha, BADGE, by=None
        )
        assert AuditEntry.objects.filter(action="add_badge").count() == 1

    def test_of_somebody_else_is_refused_until_it_is_revoked_there(self, asha: Employee) -> None:
        bela = EmployeeFactory.create(site=asha.site)
        badge = credentials.add_badge(asha, BADGE, by=None)
        with pytest.raises(CredentialError, match="somebody else"):
            credentials.add_badge(bela, BADGE, by=None)
        credentials.revoke_badge(badge, by=None)
        credentials.add_badge(bela, BADGE, by=None)
        found = credentials.find_badge(BADGE)
        assert found is not None
        assert found.employee == bela

    def test_that_is_none_is_refused(self, asha: Employee) -> None:
        for none in ("", "12345", "----------", "x" * 65):
            with pytest.raises(CredentialError, match="6 to 64"):
                credentials.add_badge(asha, none, by=None)

    def test_is_revoked_once(self, asha: Employee) -> None:
        badge = credentials.add_badge(asha, BADGE, by=None)
        credentials.revoke_badge(badge, by=None)
        with pytest.raises(CredentialError, match="already"):
            credentials.revoke_badge(badge, by=None)


def test_a_dump_holds_no_pin_and_no_badge(asha: Employee) -> None:
    pin = credentials.set_random_pin(asha, by=None)
    credentials.set_pin(EmployeeFactory.create(), PIN, by=None)
    credentials.add_badge(asha, BADGE, label="blue card", by=None)
    models = (Pin, Badge, Employee, AuditEntry)
    dump = "".join(serializers.serialize("json", model.objects.all()) for model in models)
    assert "blue card" in dump
    for secret in (PIN, pin, BADGE, credentials.plain_badge(BADGE)):
        assert secret not in dump


class TestInvariants:
    def test_one_live_pin_a_person(self, asha: Employee) -> None:
        credentials.set_pin(asha, PIN, by=None)
        with refused("one_live_pin"):
            Pin.objects.create(employee=asha, key_id="k", hash="another")

    def test_a_live_pin_has_a_hash(self, asha: Employee) -> None:
        with refused("pin_live_with_a_hash"):
            Pin.objects.create(employee=asha, key_id="k", hash="")

    def test_a_live_badge_is_one_persons(self, asha: Employee) -> None:
        badge = credentials.add_badge(asha, BADGE, by=None)
        with refused("live_badge_of_one_person"):
            Badge.objects.create(employee=EmployeeFactory.create(), digest=badge.digest)

    @pytest.mark.parametrize("table", ["pin", "badge"])
    def test_what_ended_stays_ended_and_no_row_goes(self, asha: Employee, table: str) -> None:
        credentials.set_pin(asha, PIN, by=None)
        credentials.revoke_pin(asha, by=None)
        credentials.revoke_badge(credentials.add_badge(asha, BADGE, by=None), by=None)
        other = EmployeeFactory.create().pk
        ended = {"pin": "ended_at", "badge": "revoked_at"}[table]
        for change in (
            f"UPDATE accesscontrol_{table} SET {ended} = NULL",
            f"UPDATE accesscontrol_{table} SET employee_id = {other}",
            f"DELETE FROM accesscontrol_{table}",
        ):
            with refused("never changed"), connection.cursor() as cursor:
                cursor.execute(change)

    def test_a_live_pin_is_replaced_never_edited(self, asha: Employee) -> None:
        pin = credentials.set_pin(asha, PIN, by=None)
        with refused("never changed"), transaction.atomic():
            Pin.objects.filter(pk=pin.pk).update(hash="another")
