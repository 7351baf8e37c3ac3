"""`bench_replay`: measures on made-up decisions and leaves nothing behind."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command

from accesscontrol.models import Decision, Employee, ModelVersion, Site, Threshold

pytestmark = pytest.mark.django_db


def test_it_prints_one_object_and_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("bench_replay", "--decisions", "300", "--people", "10", "--json")
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["decisions"] == 300
    assert figures["replay_s"] >= 0
    assert 0 < figures["changed_lower"] < 300
    assert 0 < figures["changed_higher"] < 300
    for model in (Decision, Employee, ModelVersion, Site, Threshold):
        assert not model._default_manager.exists()
