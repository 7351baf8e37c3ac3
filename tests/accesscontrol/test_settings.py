"""What the settings promise, whatever the environment says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from accesscontrol import keyring
from accesscontrol.cache import JSONSerializer
from accesscontrol.environment import PROJECT

READ = """
import json
from accesscontrol import settings as s
names = NAMES
print(json.dumps({name: getattr(s, name) for name in names}, default=str))
"""


def started(home: Path, *names: str, **variables: str) -> dict[str, Any]:
    """Settings of a fresh process with this environment."""
    done = run(home, READ.replace("NAMES", repr(list(names))), **variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(home: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GATEHOUSE_") and name not in {"DATABASE_URL", "REDIS_URL"}
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env={**kept, "GATEHOUSE_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


class TestStart:
    def test_a_bad_value_stops_it_with_the_variables_name(self, tmp_path: Path) -> None:
        done = run(tmp_path, "import accesscontrol.settings", GATEHOUSE_DEVICE="tpu")
        assert done.returncode != 0
        assert "GATEHOUSE_DEVICE" in done.stderr.splitlines()[-1]

    def test_an_open_keyring_stops_it(self, tmp_path: Path) -> None:
        path = keyring.default_path(tmp_path)
        keyring.ensure(path)
        path.chmod(0o644)
        done = run(tmp_path, "import accesscontrol.settings")
        assert done.returncode != 0
        assert "chmod 600" in done.stderr

    def test_there_is_no_default_secret(self, tmp_path: Path) -> None:
        assert started(tmp_path, "SECRET_KEY") == {"SECRET_KEY": ""}
        keyring.ensure(keyring.default_path(tmp_path))
        assert len(started(tmp_path, "SECRET_KEY")["SECRET_KEY"]) >= 50

    def test_it_finds_the_embedded_services_unless_told_of_others(self, tmp_path: Path) -> None:
        services = {"database_url": "postgresql://u@h/n", "redis_url": "redis://:p@h:1/0"}
        (tmp_path / "services.json").write_text(json.dumps(services))
        found = started(tmp_path, "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
        assert (found["DATABASE_URL"], found["REDIS_URL"]) == tuple(services.values())
        told = started(tmp_path, "REDIS_URL", "CELERY_BROKER_URL", REDIS_URL="redis://x:2/0")
        assert set(told.values()) == {"redis://x:2/0"}

    def test_behind_tls_everything_is_strict(self, tmp_path: Path) -> None:
        names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT")
        assert set(started(tmp_path, *names, GATEHOUSE_TLS="1").values()) == {True}
        hsts = started(tmp_path, "SECURE_HSTS_SECONDS", GATEHOUSE_TLS="1")
        assert hsts["SECURE_HSTS_SECONDS"] >= 31_536_000

    def test_without_a_proxy_its_header_is_not_believed(self, tmp_path: Path) -> None:
        assert started(tmp_path, "SECURE_PROXY_SSL_HEADER") == {"SECURE_PROXY_SSL_HEADER": None}


class TestPromises:
    def test_messages_are_json_and_nothing_else(self) -> None:
        assert settings.CELERY_TASK_SERIALIZER == "json"
        assert settings.CELERY_ACCEPT_CONTENT == ["json"]
        assert settings.CELERY_RESULT_BACKEND is None

    def test_the_cache_is_json(self) -> None:
        cache: Any = settings.CACHES["default"]
        assert cache["OPTIONS"]["serializer"] == "accesscontrol.cache.JSONSerializer"

    def test_a_planted_pickle_is_refused_not_run(self) -> None:
        # pickle for: print("executed")
        planted = b"\x80\x04\x8c\x08builtins\x8c\x05print\x93\x8c\x08executed\x85R."
        with pytest.raises(ValueError):  # noqa: PT011  whatever JSON says of it
            JSONSerializer().loads(planted)

    @pytest.mark.parametrize("value", [5, -1, "text", None, [1, "a"], {"a": 1.5}, True])
    def test_the_cache_gives_back_what_was_put_in(self, value: object) -> None:
        serializer = JSONSerializer()
        stored = serializer.dumps(value)
        raw = stored if isinstance(stored, bytes) else str(stored).encode()
        assert serializer.loads(raw) == value

    def test_debugging_is_off(self, tmp_path: Path) -> None:
        assert started(tmp_path, "DEBUG") == {"DEBUG": False}

    def test_frames_and_photos_are_capped(self) -> None:
        assert settings.FRAME_MAX_BYTES == 512 * 1024
        assert settings.FRAME_MAX_PIXELS == 4_000_000
        assert settings.PHOTO_BACKLOG_MAX > 0
