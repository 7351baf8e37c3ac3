"""The installation's settings: every bad value names its variable. No database."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from accesscontrol.environment import (
    PROJECT,
    Environment,
    database_settings,
    embedded_services,
    read_environment,
)

Set = Callable[..., Environment]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Read the environment with just these variables."""
    for name in Environment.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def reader(**variables: str) -> Environment:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return read_environment()

    return reader


class TestDefaults:
    def test_nothing_needs_to_be_set(self, read: Set) -> None:
        found = read()
        assert found.gatehouse_home == PROJECT / "var"
        assert found.keyring_path == PROJECT / "var" / "keys" / "keyring.json"
        assert (found.database_url, found.redis_url) == (None, None)
        assert found.gatehouse_debug is False
        assert found.gatehouse_allowed_hosts == ["localhost", "127.0.0.1", "[::1]"]

    def test_an_empty_variable_is_one_that_is_not_set(self, read: Set) -> None:
        found = read(DATABASE_URL="", GATEHOUSE_HOME="", GATEHOUSE_TORCH_THREADS="")
        assert found == read()


class TestGoodValues:
    @pytest.mark.parametrize(
        ("variable", "value", "expected"),
        [
            ("GATEHOUSE_HOME", "/srv/gate house", Path("/srv/gate house")),
            ("GATEHOUSE_HOME", "state", Path.cwd() / "state"),
            ("GATEHOUSE_KEYRING", "/k.json", Path("/k.json")),
            ("DATABASE_URL", "postgres://u:p@h/n", "postgres://u:p@h/n"),
            ("REDIS_URL", "rediss://:p@h:1/0", "rediss://:p@h:1/0"),
            ("GATEHOUSE_DEBUG", "true", True),
            ("GATEHOUSE_TLS", "1", True),
            ("GATEHOUSE_ALLOWED_HOSTS", "a.example, b.example ,", ["a.example", "b.example"]),
            ("GATEHOUSE_TRUSTED_ORIGINS", "https://a.example", ["https://a.example"]),
            ("GATEHOUSE_DEVICE", "cuda", "cuda"),
            ("GATEHOUSE_EMBEDDER", "fused", "fused"),
            ("GATEHOUSE_EMBEDDER", "our-arcface.r50", "our-arcface.r50"),
            ("GATEHOUSE_TORCH_THREADS", "64", 64),
            ("GATEHOUSE_LOG_LEVEL", "DEBUG", "DEBUG"),
        ],
    )
    def test_each_is_read_as_its_type(
        self, read: Set, variable: str, value: str, expected: object
    ) -> None:
        assert getattr(read(**{variable: value}), variable.lower()) == expected

    def test_the_keyring_lies_in_the_home_folder_unless_told_otherwise(self, read: Set) -> None:
        assert read(GATEHOUSE_HOME="/h").keyring_path == Path("/h/keys/keyring.json")
        assert read(GATEHOUSE_KEYRING="/k.json").keyring_path == Path("/k.json")


class TestBadValues:
    BAD = (
        ("DATABASE_URL", "mysql://h/n"),
        ("DATABASE_URL", "just text"),
        ("DATABASE_URL", "postgresql://h:port/n"),
        ("DATABASE_URL", "postgresql://h:99999/n"),
        ("DATABASE_URL", "postgresql://[::1/n"),
        ("REDIS_URL", "http://h"),
        ("REDIS_URL", "redis://h:port/0"),
        ("GATEHOUSE_HOME", "~nobody-of-this-name/x"),
        ("GATEHOUSE_KEYRING", "~nobody-of-this-name/x"),
        ("GATEHOUSE_DEBUG", "maybe"),
        ("GATEHOUSE_TLS", "2"),
        ("GATEHOUSE_TRUSTED_ORIGINS", "a.example"),
        ("GATEHOUSE_TRUSTED_ORIGINS", "https://a.example,b.example"),
        ("GATEHOUSE_DEVICE", "tpu"),
        ("GATEHOUSE_EMBEDDER", "../models/x"),
        ("GATEHOUSE_EMBEDDER", "FaceNet"),
        ("GATEHOUSE_TORCH_THREADS", "0"),
        ("GATEHOUSE_TORCH_THREADS", "65"),
        ("GATEHOUSE_TORCH_THREADS", "many"),
        ("GATEHOUSE_LOG_LEVEL", "LOUD"),
    )

    @pytest.mark.parametrize(("variable", "value"), BAD)
    def test_each_names_its_variable(self, read: Set, variable: str, value: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=f"cannot start.*\n  {variable}"):
            read(**{variable: value})

    def test_all_of_them_are_named_at_once(self, read: Set) -> None:
        with pytest.raises(ImproperlyConfigured) as caught:
            read(GATEHOUSE_DEVICE="tpu", GATEHOUSE_LOG_LEVEL="LOUD")
        assert "GATEHOUSE_DEVICE" in str(caught.value)
        assert "GATEHOUSE_LOG_LEVEL" in str(caught.value)

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("DATABASE_URL", "mysql://rosa:hunter2@h/n"),
            ("REDIS_URL", "http://:hunter2@h/0"),
            ("DATABASE_URL", "postgresql://rosa:hunter2@h:port/n"),
        ],
    )
    def test_no_password_is_in_a_message(self, read: Set, variable: str, value: str) -> None:
        with pytest.raises(ImproperlyConfigured) as caught:
            read(**{variable: value})
        assert "hunter2" not in str(caught.value)


class TestDatabase:
    def test_a_url_becomes_djangos_settings(self) -> None:
        found = database_settings("postgresql://rosa:p%40ss%2Fword@db.example:5433/gate%20house")
        assert {name: found[name] for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD")} == {
            "HOST": "db.example", "PORT": "5433", "NAME": "gate house", "USER": "rosa",
            "PASSWORD": "p@ss/word",
        }  # fmt: skip

    def test_the_usual_port_is_the_default(self) -> None:
        assert database_settings("postgresql://h/n")["PORT"] == "5432"

    @pytest.mark.parametrize("url", ["postgresql://", "postgresql://h", "postgresql:///n"])
    def test_without_host_or_name_it_says_so(self, url: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="DATABASE_URL needs a host"):
            database_settings(url)

    def test_what_the_url_asks_of_the_connection_is_kept(self) -> None:
        """Above all the demand for TLS: dropped, the connection would be open."""
        options: Any = database_settings(
            "postgresql://h/n?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&connect_timeout=2"
        )["OPTIONS"]
        assert options["sslmode"] == "verify-full"
        assert options["sslrootcert"] == "/etc/ca.pem"
        assert options["connect_timeout"] == "2"

    def test_without_a_url_nothing_is_reached(self) -> None:
        found = database_settings(None)
        assert (found["HOST"], found["PORT"]) == ("127.0.0.1", "1")


class TestEmbeddedServices:
    def test_they_are_read_from_the_home_folder(self, tmp_path: Path) -> None:
        (tmp_path / "services.json").write_text('{"database_url": "a", "redis_url": "b"}')
        assert embedded_services(tmp_path) == {"database_url": "a", "redis_url": "b"}

    def test_without_the_file_there_are_none(self, tmp_path: Path) -> None:
        assert embedded_services(tmp_path) == {}

    @pytest.mark.parametrize("text", ["", "{", "[]", "5", "null"])
    def test_a_damaged_file_is_named_with_what_to_do(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "services.json"
        path.write_text(text)
        with pytest.raises(ImproperlyConfigured, match=re.escape(str(path)) + ".*Delete it"):
            embedded_services(tmp_path)
