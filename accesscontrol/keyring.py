"""The installation's secret keys: one file outside the database, never readable by others.

A leaked table of templates or photos is worthless without this file, so it belongs into the
backup *beside* the database's, never into the same archive.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


class KeyringError(Exception):
    """The key file is missing, damaged or readable by others; the message says what to do."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """32-byte keys by id; new data is written under `current`, old data stays readable."""

    current: str
    keys: dict[str, bytes]

    def __repr__(self) -> str:  # a traceback must not print keys
        return f"KeySet({self.current!r}, …)"

    def key(self, key_id: str) -> bytes:
        try:
            return self.keys[key_id]
        except KeyError:
            raise KeyringError(
                f"The key {key_id!r} is not in the keyring. Restore the keyring file that belongs "
                "to this database."
            ) from None


@dataclass(frozen=True, slots=True)
class Keyring:
    """All secrets of an installation."""

    django: str
    photos: KeySet
    templates: KeySet
    frames: bytes

    def __repr__(self) -> str:  # a traceback must not print keys
        return "Keyring(…)"


def default_path(home: Path) -> Path:
    return home / "keys" / "keyring.json"


def load(path: Path) -> Keyring:
    """Return the keys of the file, read again only when it has changed.

    Raises KeyringError when it is missing, malformed, too short or readable by other users.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise KeyringError(f"There is no keyring at {path}. Create it with: manage.py up") from None
    if status.st_mode & 0o077:
        raise KeyringError(f"Others can read the keyring. Run: chmod 600 {path}")
    return _read(path, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, _changed_ns: int) -> Keyring:
    try:
        raw = json.loads(path.read_text())
        ring = Keyring(
            django=str(raw["django"]),
            photos=_key_set(raw["photos"]),
            templates=_key_set(raw["templates"]),
            frames=_key(raw["frames"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeyringError(
            f"The keyring at {path} is damaged ({type(error).__name__}). Restore it from backup; "
            "without it photos and templates cannot be read."
        ) from None
    if len(ring.django) < 40:
        raise KeyringError(f"The `django` secret in {path} is shorter than 40 characters.")
    return ring


def ensure(path: Path) -> Keyring:
    """Return the keyring at `path`, created with fresh random keys if there is none.

    Two processes at once end with the same file: the first to link it wins.
    """
    if path.exists():
        return load(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(_fresh(), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        # A link is atomic and, unlike a rename, never replaces a file: if another process was
        # first, its keys are the installation's.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
    return load(path)


def _fresh() -> dict[str, object]:
    def key_set() -> dict[str, object]:
        key_id = secrets.token_hex(4)
        return {"current": key_id, "keys": {key_id: _encoded(secrets.token_bytes(32))}}

    return {
        "django": secrets.token_urlsafe(50),
        "photos": key_set(),
        "templates": key_set(),
        "frames": _encoded(secrets.token_bytes(32)),
    }


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _key(value: object) -> bytes:
    key = base64.b64decode(str(value), validate=True)
    if len(key) != 32:
        raise ValueError("a key has 32 bytes")
    return key


def _key_set(raw: dict[str, object]) -> KeySet:
    keys = raw["keys"]
    if not isinstance(keys, dict) or raw["current"] not in keys:
        raise ValueError("the current key is missing")
    return KeySet(str(raw["current"]), {str(name): _key(value) for name, value in keys.items()})
