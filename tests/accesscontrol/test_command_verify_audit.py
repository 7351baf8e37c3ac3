"""manage.py verify_audit: every kind of tampering is found, even with the trigger switched off."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accesscontrol import audit
from accesscontrol.models import AuditEntry

pytestmark = pytest.mark.django_db
TABLE = AuditEntry._meta.db_table


@pytest.fixture
def entries() -> list[AuditEntry]:
    return [audit.record("command", "test", f"site:{n}", {"n": n}) for n in range(5)]


def tamper(sql: str, *parameters: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER append_only")
        cursor.execute(sql, parameters)
        cursor.execute(f"ALTER TABLE {TABLE} ENABLE TRIGGER append_only")


def test_an_untouched_log_is_whole(entries: list[AuditEntry]) -> None:
    out = io.StringIO()
    call_command("verify_audit", stdout=out)
    assert "whole: 5 entries" in out.getvalue()


def test_an_empty_log_is_whole() -> None:
    call_command("verify_audit", stdout=io.StringIO())


@pytest.mark.parametrize("column", ["actor", "action", "subject"])
def test_an_edited_entry_is_named(entries: list[AuditEntry], column: str) -> None:
    tamper(f"UPDATE {TABLE} SET {column} = 'other' WHERE id = %s", entries[2].pk)
    with pytest.raises(CommandError, match=f"broken at entry {entries[2].pk}:"):
        call_command("verify_audit")


def test_the_entry_after_a_removed_one_is_named(entries: list[AuditEntry]) -> None:
    tamper(f"DELETE FROM {TABLE} WHERE id = %s", entries[1].pk)
    with pytest.raises(CommandError, match=f"broken at entry {entries[2].pk}:"):
        call_command("verify_audit")
