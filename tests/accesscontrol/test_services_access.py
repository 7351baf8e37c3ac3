"""Who can reach the embedded services: this machine only, with the password, and not as root."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis

from tests.services import Up, running_up, service_urls, until


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("access") / "home", "--services-only") as up:
        yield up


def servers(up: Up) -> list[psutil.Process]:
    return [up.part("bin/postgres"), up.part("valkey-server")]


def test_postgres_answers_with_the_password_of_services_json(up: Up) -> None:
    with psycopg.connect(service_urls(up.home).database_url) as connection:
        row = connection.execute("SELECT current_user, current_database()").fetchone()

    assert row == ("gatehouse", "gatehouse")


@pytest.mark.parametrize(
    "credentials", ["gatehouse:wrong", "gatehouse", "postgres", "postgres:postgres"]
)
def test_postgres_refuses_everybody_else(up: Up, credentials: str) -> None:
    port = urlsplit(service_urls(up.home).database_url).port

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://{credentials}@127.0.0.1:{port}/gatehouse", passfile="")


def test_postgres_role_is_no_superuser_and_reads_no_file_of_the_machine(up: Up) -> None:
    with psycopg.connect(service_urls(up.home).database_url, autocommit=True) as connection:
        assert connection.info.parameter_status("is_superuser") == "off"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_read_file('/etc/passwd')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("COPY (SELECT 1) TO PROGRAM 'true'")


def test_a_database_that_the_role_creates_has_vectors(up: Up) -> None:
    url = service_urls(up.home).database_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE made_by_a_test")

    with psycopg.connect(url, dbname="made_by_a_test") as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        row = connection.execute("SELECT '[1,2]'::halfvec <#> '[3,4]'::halfvec").fetchone()

    assert row == (-11.0,)


def test_postgres_orders_and_folds_text_in_every_script_and_checks_its_pages(up: Up) -> None:
    with psycopg.connect(service_urls(up.home).database_url) as connection:
        row = connection.execute(
            "SELECT upper('ñandú жук'), current_setting('server_encoding'),"
            " current_setting('data_checksums'), current_setting('timezone')"
        ).fetchone()

    assert row == ("ÑANDÚ ЖУК", "UTF8", "on", "UTC")


def test_an_error_leaves_neither_statement_nor_row_in_the_log(up: Up) -> None:
    with psycopg.connect(service_urls(up.home).database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE person (name text UNIQUE)")
        connection.execute("INSERT INTO person VALUES ('Asha Secret')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO person VALUES ('Asha Secret')")

    log = up.home / "log" / "postgres.log"  # written by the supervisor, a moment later
    message = "duplicate key value violates unique constraint"
    until(lambda: message in log.read_text(), "the error is in the log")
    assert "Asha Secret" not in log.read_text()


def test_valkey_answers_with_the_password_of_services_json(up: Up) -> None:
    assert redis.Redis.from_url(service_urls(up.home).redis_url).ping()


@pytest.mark.parametrize("credentials", ["", ":wrong@", "default:default@"])
def test_valkey_refuses_everybody_else(up: Up, credentials: str) -> None:
    port = urlsplit(service_urls(up.home).redis_url).port

    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(f"redis://{credentials}127.0.0.1:{port}/0").ping()


def test_valkey_has_no_way_to_write_to_disk_by_itself(up: Up) -> None:
    client = redis.Redis.from_url(service_urls(up.home).redis_url, decode_responses=True)

    assert client.config_get("save") == {"save": ""}
    assert client.config_get("appendonly") == {"appendonly": "no"}
    assert client.config_get("maxmemory") == {"maxmemory": str(256 * 1024 * 1024)}
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}
    for name, value in (("dir", "/tmp"), ("dbfilename", "x.so")):
        with pytest.raises(redis.ResponseError):
            client.config_set(name, value)


def test_both_listen_on_the_loopback_address_only(up: Up) -> None:
    for server in servers(up):
        listening = [c.laddr for c in server.net_connections("inet") if c.status == "LISTEN"]
        assert [address.ip for address in listening] == ["127.0.0.1"]
        assert [c for c in server.net_connections("unix") if c.laddr] == []


def test_no_password_is_in_a_command_line_or_in_a_servers_environment(up: Up) -> None:
    urls = service_urls(up.home)
    passwords = [urlsplit(url).password or "" for url in (urls.database_url, urls.redis_url)]
    assert min(len(password) for password in passwords) >= 32

    for process in [psutil.Process(up.pid), *up.descendants()]:
        shown = " ".join([*process.cmdline(), *process.environ().values()])
        assert not any(password in shown for password in passwords)


def test_secrets_are_readable_by_the_owner_only(up: Up) -> None:
    for name in ("services.json", "run/valkey.conf", "run/children.json", "keys/keyring.json"):
        assert stat.S_IMODE((up.home / name).stat().st_mode) == 0o600, name
    for name in ("postgres", "run", "log", "keys"):
        assert stat.S_IMODE((up.home / name).stat().st_mode) == 0o700, name
    for log in (up.home / "log").iterdir():
        assert stat.S_IMODE(log.stat().st_mode) == 0o600, log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_started_by_root_the_servers_run_as_accounts_without_any_right(up: Up) -> None:
    for server, account in zip(
        servers(up), ("gatehouse-postgres", "gatehouse-valkey"), strict=True
    ):
        assert server.username() == account
        assert pwd.getpwnam(account).pw_shell.endswith("nologin")
        status = Path(f"/proc/{server.pid}/status").read_text()
        assert status.count("0000000000000000", status.index("CapInh"), status.index("CapBnd")) == 3
        assert "Groups:\t \n" in status


def test_no_server_can_leave_its_memory_in_a_core_dump(up: Up) -> None:
    for server in servers(up):
        limits = Path(f"/proc/{server.pid}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]
