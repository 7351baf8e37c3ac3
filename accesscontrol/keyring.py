"""The installation's secret keys: one file outside the database, never readable by others.

A leaked table of templates or photos is worthless without this file, so it belongs into the
backup *beside* the database's, never into the same archive.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
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
        if not self.keys:
            raise KeyringError(
                "The keyring is from an earlier version and has no key for PINs and badges. "
                "Start anew with manage.py up, which adds it."
            )
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
    credentials: KeySet
    """Of PINs and badges; without a key in a file from before they were, until `ensure`."""

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
            credentials=_key_set(raw["credentials"]) if "credentials" in raw else KeySet("", {}),
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

    A file from an earlier version gets the keys that it lacks, and keeps those that it has. Two
    processes at once end with the same file: the first to link it wins.
    """
    if path.exists():
        ring = load(path)
        # A mounted secret cannot be written: everything but PINs and badges works without.
        with contextlib.suppress(OSError):
            return ring if ring.credentials.keys else _completed(path)
        return ring
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = _written_beside(path, _fresh())
    try:
        # A link is atomic and, unlike a rename, never replaces a file: if another process was
        # first, its keys are the installation's.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()
    return load(path)


def _completed(path: Path) -> Keyring:
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        raw = json.loads(path.read_text())
        if "credentials" not in raw:  # else another process was first
            name = _written_beside(path, {**raw, "credentials": _fresh_set()})
            Path(name).replace(path)
    return load(path)


def _written_beside(path: Path, content: dict[str, object]) -> str:
    """Write a file of its owner's only, down to the disk; returns its name."""
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return name


def _fresh_set() -> dict[str, object]:
    key_id = secrets.token_hex(4)
    return {"current": key_id, "keys": {key_id: _encoded(secrets.token_bytes(32))}}


def _fresh() -> dict[str, object]:
    return {
        "django": secrets.token_urlsafe(50),
        "photos": _fresh_set(),
        "templates": _fresh_set(),
        "frames": _encoded(secrets.token_bytes(32)),
        "credentials": _fresh_set(),
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
