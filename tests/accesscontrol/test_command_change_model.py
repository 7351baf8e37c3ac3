"""manage.py change_model: every step of a change from the command line."""

# mypy: allow-untyped-calls
from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accesscontrol import model_versions
from accesscontrol.models import Employee
from tests.model_changes import embed_all, enrolled, two_models

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("change_model", *arguments, stdout=out)
    return out.getvalue()


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", "--json"))
    return found


def test_a_change_from_start_to_finish() -> None:
    old, new = two_models()
    enrolled(3)
    assert status() == {"open": False}
    assert "No change is open" in run("status")

    run("start", "new")
    found = status()
    assert (found["old"], found["new"], found["in_use"]) == (str(old), str(new), str(old))
    assert found["photos"][str(new)]["waiting"] == 3
    assert not found["ready"]
    assert "Missing: 3 of 3 photos" in run("status")
    with pytest.raises(CommandError, match="3 of 3 photos"):
        run("switch")

    embed_all(new)
    assert status()["ready"]
    assert "Ready: change_model switch" in run("status")
    run("switch")
    assert model_versions.active() == new
    run("roll_back")
    assert model_versions.active() == old
    run("switch")
    run("finish")
    assert status() == {"open": False}


def test_who_has_to_be_enrolled_anew_is_a_table() -> None:
    _, new = two_models()
    lost, _ = enrolled(2)
    Employee.objects.filter(pk=lost.pk).update(name="=cmd()")
    run("start", "new")
    embed_all(new, failing=lost.photos.values_list("pk", flat=True))
    (row,) = csv.DictReader(io.StringIO(run("left_out").lstrip("\ufeff")))
    assert (row["employee_number"], row["employee_name"]) == (lost.number, "'=cmd()")
    assert (row["recognised_now"], "blurred" in row["reason"]) == ("yes", True)
    assert status()["left_out"][0]["name"] == "=cmd()"
    with pytest.raises(CommandError, match="--leave-behind"):
        run("switch")
    run("try_again")
    assert embed_all(new) == 1
    run("switch")


def test_what_cannot_be_done_is_said_in_one_line() -> None:
    two_models()
    for step in ("switch", "roll_back", "finish", "cancel", "solve", "try_again", "left_out"):
        with pytest.raises(CommandError, match="No model change is open"):
            run(step)
    with pytest.raises(CommandError, match="No model is registered as nothing"):
        run("start", "nothing")


def test_a_cancelled_change_can_be_started_again() -> None:
    _, new = two_models()
    enrolled(1)
    run("start", "new")
    run("cancel")
    run("start", f"new {new.version}")
    run("solve")
