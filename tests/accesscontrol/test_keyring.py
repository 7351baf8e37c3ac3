"""The file of secret keys: made once, read by nobody else, never half there."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from accesscontrol import keyring
from accesscontrol.environment import PROJECT
from accesscontrol.keyring import KeyringError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return keyring.default_path(tmp_path)


def rewrite(path: Path, raw: object) -> None:
    """As an editor would: other content, other time."""
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw))
    before = path.stat().st_mtime_ns
    os.utime(path, ns=(before + 10**9, before + 10**9))


class TestMaking:
    def test_fresh_keys_are_long_random_and_different(self, path: Path) -> None:
        ring = keyring.ensure(path)
        sets = (ring.photos, ring.templates, ring.credentials)
        keys = [ring.frames, *(key for one in sets for key in one.keys.values())]
        assert len(set(keys)) == 4
        assert all(len(key) == 32 for key in keys)
        assert len(ring.django) >= 50

    def test_two_installations_share_nothing(self, tmp_path: Path) -> None:
        one, other = (keyring.ensure(tmp_path / name / "keyring.json") for name in "ab")
        assert one.frames != other.frames
        assert one.django != other.django

    def test_only_its_owner_can_read_it(self, path: Path) -> None:
        before = os.umask(0)
        try:
            keyring.ensure(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_a_second_time_finds_the_first_ones_keys(self, path: Path) -> None:
        assert keyring.ensure(path) == keyring.ensure(path)

    def test_a_file_from_before_pins_gets_their_key_and_keeps_all_others(self, path: Path) -> None:
        whole = keyring.ensure(path)
        raw = json.loads(path.read_text())
        del raw["credentials"]
        rewrite(path, raw)
        with pytest.raises(KeyringError, match="no key for PINs"):
            keyring.load(path).credentials.key("any")
        completed = keyring.ensure(path)
        assert completed.credentials.keys
        assert completed.photos == whole.photos
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert keyring.ensure(path) == completed

    def test_nothing_is_left_lying_around(self, path: Path) -> None:
        keyring.ensure(path)
        assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]

    def test_processes_at_once_end_with_the_same_keys(self, path: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from accesscontrol import keyring\n"
            "sys.stdin.read()\n"
            f"print(keyring.ensure(Path({str(path)!r})).django)"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", script],
                cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(6)
        ]  # fmt: skip
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        secrets = set()
        for process in processes:
            assert process.stdout is not None
            secrets.add(process.stdout.read())
            assert process.wait(60) == 0
        assert secrets == {keyring.load(path).django + "\n"}
        assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


class TestReading:
    def test_a_missing_one_says_how_to_make_it(self, path: Path) -> None:
        with pytest.raises(KeyringError, match=r"manage\.py up"):
            keyring.load(path)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o610])
    def test_one_that_others_can_read_is_refused(self, path: Path, mode: int) -> None:
        keyring.ensure(path)
        path.chmod(mode)
        with pytest.raises(KeyringError, match="chmod 600"):
            keyring.load(path)
        with pytest.raises(KeyringError, match="chmod 600"):
            keyring.ensure(path)

    @pytest.mark.parametrize(
        "raw", ["", "{", "null", "[]", "5", '"text"', "{}", "\x00" * 100, "[" * 5000]
    )
    def test_a_damaged_one_is_refused(self, path: Path, raw: str) -> None:
        keyring.ensure(path)
        rewrite(path, raw)
        with pytest.raises(KeyringError, match=r"damaged.*Restore it from backup"):
            keyring.load(path)

    FAULTS: tuple[tuple[tuple[str, ...], object], ...] = (
        (("frames",), "AAAA"),
        (("frames",), "no base64!"),
        (("frames",), None),
        (("photos",), None),
        (("photos",), []),
        (("photos", "current"), "0badc0de"),
        (("photos", "current"), []),
        (("photos", "keys"), []),
        (("templates", "keys"), {}),
        (("templates", "keys"), {"x": "AAAA"}),
    )

    @pytest.mark.parametrize(("where", "value"), FAULTS)
    def test_a_bad_key_is_refused(self, path: Path, where: tuple[str, ...], value: object) -> None:
        keyring.ensure(path)
        raw: Any = json.loads(path.read_text())
        inner = raw
        for name in where[:-1]:
            inner = inner[name]
        inner[where[-1]] = value
        rewrite(path, raw)
        with pytest.raises(KeyringError, match="damaged"):
            keyring.load(path)

    def test_a_short_django_secret_is_refused(self, path: Path) -> None:
        keyring.ensure(path)
        rewrite(path, {**json.loads(path.read_text()), "django": "changeme"})
        with pytest.raises(KeyringError, match="40 characters"):
            keyring.load(path)

    def test_a_changed_file_is_read_again(self, path: Path) -> None:
        keyring.ensure(path)
        raw = json.loads(path.read_text())
        raw["photos"]["keys"]["second"] = raw["frames"]
        raw["photos"]["current"] = "second"
        rewrite(path, raw)
        ring = keyring.load(path)
        assert ring.photos.current == "second"
        assert len(ring.photos.keys) == 2

    def test_an_unknown_key_is_named_with_what_to_do(self, path: Path) -> None:
        with pytest.raises(KeyringError, match=r"'0badc0de'.*Restore the keyring"):
            keyring.ensure(path).photos.key("0badc0de")


class TestSecrecy:
    def test_no_text_of_it_shows_a_key(self, path: Path) -> None:
        ring = keyring.ensure(path)
        raw = json.loads(path.read_text())
        secrets = [ring.django, raw["frames"], *raw["photos"]["keys"].values()]
        secrets += [repr(ring.frames), *(repr(key) for key in ring.photos.keys.values())]
        for thing in (ring, ring.photos, ring.templates, [ring.photos], {"keys": ring.templates}):
            for text in (repr(thing), str(thing), f"{thing}"):
                assert not any(secret in text for secret in secrets)

    def test_a_damaged_files_content_is_in_no_traceback(self, path: Path) -> None:
        ring = keyring.ensure(path)
        raw = json.loads(path.read_text())
        rewrite(path, {**raw, "photos": None})
        try:
            keyring.load(path)
        except KeyringError as error:
            text = "".join(traceback.format_exception(error))
            logging.getLogger(__name__).info("refused", exc_info=error)
        assert ring.django not in text
        assert raw["frames"] not in text
