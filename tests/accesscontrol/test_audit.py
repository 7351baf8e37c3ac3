"""The audit log: every change of an entry, whoever makes it, breaks the chain."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accesscontrol import audit
from accesscontrol.models import AuditEntry
from tests.concurrency import at_once, errors
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def entries(count: int) -> list[AuditEntry]:
    return [
        audit.record("command", "test", f"site:{number}", {"n": number}) for number in range(count)
    ]


@contextmanager
def above_the_law() -> Iterator[None]:
    """As the tables' owner can: without triggers. What is done inside does not last."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accesscontrol_auditentry DISABLE TRIGGER append_only")
        yield
        transaction.set_rollback(True)


def test_an_empty_log_is_whole() -> None:
    assert audit.first_broken_entry() is None


def test_every_entry_is_sealed_to_the_one_before() -> None:
    first, second = entries(2)
    assert first.previous_hash == audit.GENESIS
    assert second.previous_hash == first.hash
    assert audit.first_broken_entry() is None


def test_an_actor_is_a_login_or_the_command_line() -> None:
    assert audit.actor_of(UserFactory.create(username="rosa")) == "user:rosa"
    assert audit.actor_of(None) == "command"


def test_an_entry_goes_with_the_transaction_it_was_made_in() -> None:
    class UndoneError(Exception):
        pass

    with pytest.raises(UndoneError), transaction.atomic():  # noqa: PT012
        entries(2)
        raise UndoneError
    assert not AuditEntry.objects.exists()
    entries(1)
    assert audit.first_broken_entry() is None


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "user:somebody"},
        {"action": "nothing"},
        {"subject": "site:99"},
        {"detail": {}},
        {"detail": {"n": 4, "more": 1}},
        {"hash": "0" * 64},
        {"previous_hash": "0" * 63 + "1"},
    ],
    ids=str,
)
def test_an_edited_entry_is_found(change: dict[str, object]) -> None:
    victim = entries(8)[4]
    with above_the_law():
        AuditEntry.objects.filter(pk=victim.pk).update(**change)
        assert audit.first_broken_entry() == victim.pk


def test_an_entry_with_another_time_is_found() -> None:
    victim = entries(3)[1]
    with above_the_law(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accesscontrol_auditentry SET at = at + interval '1 microsecond' WHERE id = %s",
            [victim.pk],
        )
        assert audit.first_broken_entry() == victim.pk


def test_an_edited_entry_whose_hash_was_made_to_fit_is_found_at_the_next() -> None:
    log = entries(5)
    with above_the_law():
        forged = log[2]
        forged.actor = "user:nobody"
        forged.hash = audit._hash(forged)
        forged.save()
        assert audit.first_broken_entry() == log[3].pk


@pytest.mark.parametrize("first", [0, 1, 6])
def test_deleted_entries_are_found(first: int) -> None:
    log = entries(8)
    with above_the_law():
        AuditEntry.objects.filter(pk=log[first].pk)._raw_delete("default")
        assert audit.first_broken_entry() == log[first + 1].pk


def test_a_part_cut_out_of_the_middle_is_found() -> None:
    log = entries(10)
    with above_the_law():
        AuditEntry.objects.filter(pk__in=[entry.pk for entry in log[3:7]])._raw_delete("default")
        assert audit.first_broken_entry() == log[7].pk


def test_entries_that_changed_places_are_found() -> None:
    log = entries(6)
    one, other = log[2].pk, log[3].pk
    with above_the_law(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE accesscontrol_auditentry SET id = -id WHERE id = %s", [one])  # fmt: skip
        cursor.execute("UPDATE accesscontrol_auditentry SET id = %s WHERE id = %s", [one, other])
        cursor.execute("UPDATE accesscontrol_auditentry SET id = %s WHERE id = %s", [other, -one])
        assert audit.first_broken_entry() == one


def test_an_entry_put_in_between_is_found() -> None:
    log = entries(4)
    with above_the_law():
        AuditEntry.objects.filter(pk=log[2].pk).update(id=log[3].pk + 100)
        assert audit.first_broken_entry() == log[3].pk


def test_of_a_hundred_random_forgeries_all_are_found() -> None:
    log = entries(20)
    dice = random.Random(3)
    for _ in range(100):
        victim = dice.choice(log[:-1])
        with above_the_law():
            rows = AuditEntry.objects.filter(pk=victim.pk)
            if dice.random() < 0.3:
                rows._raw_delete("default")
            else:
                field = dice.choice(["actor", "action", "subject"])
                rows.update(**{field: f"forged {dice.random()}"})
            assert audit.first_broken_entry() is not None
    assert audit.first_broken_entry() is None


plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
) | st.floats(-1e6, 1e6).filter(lambda value: str(value) != "-0.0")  # fmt: skip
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(keys, plain | st.lists(plain, max_size=3) | st.dictionaries(keys, plain)))
def test_whatever_the_detail_the_chain_holds(detail: dict[str, object]) -> None:
    audit.record("command", "test", "site:1", detail)
    assert audit.first_broken_entry() is None


@pytest.mark.django_db(transaction=True)
def test_entries_at_once_make_one_chain() -> None:
    def append(number: int) -> None:
        for step in range(5):
            audit.record("command", "test", f"site:{number}", {"step": step})

    assert not errors(at_once([functools.partial(append, number) for number in range(12)]))
    assert AuditEntry.objects.count() == 60
    assert audit.first_broken_entry() is None
