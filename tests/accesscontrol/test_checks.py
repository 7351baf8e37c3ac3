"""System checks: each bad value is named, with what to do about it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import checks as framework
from django.core.management import call_command
from django.db import connection
from pytest_django.fixtures import Settings

from accesscontrol import checks, keyring
from tests.factories import ModelVersionFactory, SiteFactory, ThresholdFactory


def ids(found: list[framework.CheckMessage]) -> list[str | None]:
    assert all(
        message.hint or "Run:" in message.msg or "with:" in message.msg or "Restore" in message.msg
        for message in found
    ), "each says what to do"
    return [message.id for message in found]


@pytest.fixture
def ring(tmp_path: Path, settings: Settings) -> Path:
    path = tmp_path / "keyring.json"
    keyring.ensure(path)
    settings.KEYRING_PATH = path
    return path


def test_a_keyring_of_ones_own_is_fine(ring: Path) -> None:
    assert ids(checks.keyring_is_safe(None)) == []


def test_a_missing_keyring_is_an_error(ring: Path) -> None:
    ring.unlink()
    assert ids(checks.keyring_is_safe(None)) == ["gatehouse.E001"]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o666])
def test_a_keyring_that_others_can_read_is_an_error(ring: Path, mode: int) -> None:
    ring.chmod(mode)
    (message,) = checks.keyring_is_safe(None)
    assert message.id == "gatehouse.E001"
    assert f"chmod 600 {ring}" in message.msg


def test_a_damaged_keyring_is_an_error(ring: Path) -> None:
    ring.write_text("{")
    assert ids(checks.keyring_is_safe(None)) == ["gatehouse.E001"]


def test_a_keyring_with_a_short_secret_is_an_error(ring: Path) -> None:
    raw = json.loads(ring.read_text())
    ring.write_text(json.dumps(raw | {"django": "short"}))
    assert [m.id for m in checks.keyring_is_safe(None)] == ["gatehouse.E001"]


def test_a_keyring_that_cannot_be_read_at_all_is_an_error(ring: Path) -> None:
    ring.unlink()
    ring.mkdir()
    assert ids(checks.keyring_is_safe(None)) == ["gatehouse.E001"]


@pytest.mark.parametrize(
    "key",
    [
        "short",
        "a" * 60,
        "django-insecure-0123456789abcdefghijklmnopqrstuvwxyz",
        "please-changeme-please-0123456789abcdefghijklmnop",
    ],
)
def test_a_secret_key_that_can_be_guessed_is_an_error(settings: Settings, key: str) -> None:
    settings.SECRET_KEY = key
    assert ids(checks.secret_key_is_secret(None)) == ["gatehouse.E005"]


def test_the_generated_secret_key_is_fine(settings: Settings, ring: Path) -> None:
    settings.SECRET_KEY = keyring.load(ring).django
    assert ids(checks.secret_key_is_secret(None)) == []


def test_missing_models_are_a_warning_that_names_the_command(
    settings: Settings, tmp_path: Path
) -> None:
    settings.MODELS_DIR = tmp_path
    (message,) = checks.models_are_fetched(None)
    assert message.id == "gatehouse.W006"
    assert "python -m recognition fetch-models" in str(message.hint)
    assert not message.is_serious()

    (tmp_path / "manifest.json").write_text("{}")
    assert checks.models_are_fetched(None) == []


def test_debugging_in_production_is_an_error(settings: Settings) -> None:
    settings.DEBUG = True
    assert ids(checks.debug_is_off(None)) == ["gatehouse.E008"]
    settings.DEBUG = False
    assert ids(checks.debug_is_off(None)) == []


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken but where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_an_unreachable_redis_is_an_error(settings: Settings, closed_port: int) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{closed_port}/0"
    (message,) = checks.redis_answers(None)
    assert message.id == "gatehouse.E004"
    assert "manage.py up" in str(message.hint)


def test_a_running_redis_is_fine(valkey: object) -> None:
    assert checks.redis_answers(None) == []


def test_an_unreachable_database_is_an_error(
    db: None, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "PORT", str(closed_port))
    (message,) = checks.database_is_fit(None, databases=["default"])
    assert message.id == "gatehouse.E002"
    assert "manage.py up" in str(message.hint)
    assert "DATABASE_URL" in str(message.hint)


def test_the_password_of_the_database_is_not_shown(
    db: None, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "PORT", str(closed_port))
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "hunter2hunter2")
    assert "hunter2" not in str(checks.database_is_fit(None, databases=["default"]))


@pytest.mark.parametrize(
    ("version", "found"),
    [
        (None, ["gatehouse.E003"]),
        ("0.7.4", ["gatehouse.E003"]),
        ("0.8.1", ["gatehouse.E003"]),
        ("0.8.2", []),
        ("0.10.0", []),
        ("1.0", []),
    ],
)
def test_an_old_or_missing_pgvector_is_an_error(
    db: None, monkeypatch: pytest.MonkeyPatch, version: str | None, found: list[str]
) -> None:
    monkeypatch.setattr(checks, "pgvector_version", lambda connection: version)
    assert ids(checks.database_is_fit(None, databases=["default"])) == found


def test_a_site_without_threshold_under_the_active_model_is_a_warning(db: None) -> None:
    site = SiteFactory.create(name="Berlin")
    assert "gatehouse.W007" not in ids(checks.database_is_fit(None, databases=["default"]))

    old = ModelVersionFactory.create(is_active=False)
    ThresholdFactory.create(site=site, model_version=old)
    active = ModelVersionFactory.create()
    found = checks.database_is_fit(None, databases=["default"])
    (message,) = [message for message in found if message.id == "gatehouse.W007"]
    assert "Berlin" in message.msg

    ThresholdFactory.create(site=site, model_version=active)
    assert "gatehouse.W007" not in ids(checks.database_is_fit(None, databases=["default"]))


def test_a_model_without_calibration_is_named_with_how_to_calibrate_it(db: None) -> None:
    SiteFactory.create()
    ModelVersionFactory.create(name="ours", calibration={})
    found = checks.database_is_fit(None, databases=["default"])
    (message,) = [message for message in found if message.id == "gatehouse.W007"]
    assert "python -m recognition evaluate calibrate --embedder ours" in str(message.hint)


@pytest.fixture
def imported(settings: Settings, tmp_path: Path) -> None:
    """A manifest that lists a company's own model."""
    entry = {"file": "imported-ours.safetensors", "model": {"sha256": "c" * 64}}
    manifest = {"format": 1, "models": {}, "imported": {"ours": entry}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    settings.MODELS_DIR = tmp_path


def test_an_embedder_that_is_not_there_is_a_warning_that_names_those_that_are(
    settings: Settings, imported: None
) -> None:
    for name in ("mobilefacenet", "fused", "ours"):
        settings.EMBEDDER = name
        assert checks.embedder_is_there(None) == []
    settings.EMBEDDER = "theirs"
    (message,) = checks.embedder_is_there(None)
    assert message.id == "gatehouse.W011"
    assert "mobilefacenet, fused, ours" in str(message.hint)
    assert "import-model" in str(message.hint)


@pytest.mark.parametrize(
    "manifest", ["", "{", "[]", '{"imported": 3}', '{"imported": {"ours": {}}}']
)
def test_a_manifest_that_cannot_be_read_lists_no_imported_models(
    settings: Settings, tmp_path: Path, manifest: str
) -> None:
    settings.MODELS_DIR = tmp_path
    settings.EMBEDDER = "ours"
    (tmp_path / "manifest.json").write_text(manifest)
    assert ids(checks.embedder_is_there(None)) == ["gatehouse.W011"]


def test_a_model_in_use_that_is_not_on_this_machine_is_a_warning(
    db: None, settings: Settings, imported: None
) -> None:
    def found() -> list[framework.CheckMessage]:
        every = checks.database_is_fit(None, databases=["default"])
        return [message for message in every if message.id == "gatehouse.W012"]

    assert found() == []
    active = ModelVersionFactory.create(name="theirs")
    (message,) = found()
    assert str(active) in message.msg
    assert "import-model" in str(message.hint)
    assert "change_model" in str(message.hint)

    type(active).objects.update(name="ours", sha256="c" * 64)
    assert found() == []


def test_workers_follow_the_model_in_use_whatever_the_environment_says(
    db: None, settings: Settings, imported: None
) -> None:
    settings.EMBEDDER = "ours"
    ModelVersionFactory.create(name="mobilefacenet")
    found = checks.database_is_fit(None, databases=["default"])
    assert "gatehouse.W012" not in [message.id for message in found]


def test_nothing_is_asked_over_the_network_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a network connection")

    monkeypatch.setattr("psycopg.connect", refuse)
    monkeypatch.setattr("redis.Redis.from_url", refuse)
    framework.run_checks()


def test_a_broker_that_is_away_does_not_stop_a_migration(
    db: None, settings: Settings, closed_port: int
) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{closed_port}/0"
    call_command("migrate", verbosity=0)


def test_the_checks_run_under_their_command(db: None, valkey: object, ring: Path) -> None:
    os.environ.setdefault("COLUMNS", "100")
    call_command("check", databases=["default"])
