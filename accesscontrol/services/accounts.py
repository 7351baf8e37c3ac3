"""The system accounts that the services run as when Gatehouse is started by root."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass

from accesscontrol.services.errors import ServicesError


@dataclass(frozen=True, slots=True)
class Account:
    """A system user without login, password or home folder."""

    name: str
    uid: int
    gid: int


def service_account(name: str) -> Account | None:
    """Return the account to run a service as: None means the user who runs this process.

    PostgreSQL refuses to run as root, and nothing that listens should. So root gets a dedicated
    account, made at the first start. Raises ServicesError if it cannot be made.
    """
    if os.geteuid() != 0:
        return None
    if not sys.platform.startswith("linux"):
        raise ServicesError("Run Gatehouse as a normal user: as root it works on Linux only.")
    try:
        return _existing(name)
    except KeyError:
        pass
    problem = _create(name)
    try:
        return _existing(name)
    except KeyError:
        raise ServicesError(
            f"Root may not run PostgreSQL, and the system user {name} could not be made "
            f"({problem}). Run Gatehouse as a normal user, make the user {name} yourself, or set "
            "DATABASE_URL and REDIS_URL to servers of your own."
        ) from None


def _existing(name: str) -> Account:
    entry = pwd.getpwnam(name)
    if entry.pw_uid == 0:
        raise ServicesError(f"The system user {name} has root's number 0. Remove it.")
    return Account(name, entry.pw_uid, entry.pw_gid)


def _create(name: str) -> str:
    """Try to make the user; return what went wrong. Another process may have been faster."""
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no useradd"
    return done.stderr.strip() or f"useradd ended with {done.returncode}"
