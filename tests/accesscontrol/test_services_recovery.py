"""The embedded services after kill -9, a power cut or a lost file: back, with their data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis

from tests.services import Up, running_up, service_urls, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans need Linux's prctl")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with running_up(tmp_path / "home", "--services-only") as up:
        yield up


def remember(home: Path, word: str) -> None:
    with psycopg.connect(service_urls(home).database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (word text)")
        connection.execute("INSERT INTO note VALUES (%s)", [word])


def remembered(home: Path) -> list[str]:
    with psycopg.connect(service_urls(home).database_url) as connection:
        return [row[0] for row in connection.execute("SELECT word FROM note")]


def postgres_answers(home: Path) -> bool:
    try:
        psycopg.connect(service_urls(home).database_url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def valkey_answers(home: Path) -> bool:
    try:
        return bool(redis.Redis.from_url(service_urls(home).redis_url).ping())
    except redis.ConnectionError:
        return False


def kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)


def all_gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=30)[1]


def test_postgres_killed_comes_back_with_its_data_under_the_same_address(up: Up) -> None:
    urls = service_urls(up.home)
    remember(up.home, "before")
    killed = up.part("bin/postgres")

    kill(killed)

    until(lambda: not killed.is_running() and postgres_answers(up.home), "Postgres is back")
    assert remembered(up.home) == ["before"]
    assert service_urls(up.home) == urls


def test_valkey_killed_comes_back_empty_under_the_same_address(up: Up) -> None:
    urls = service_urls(up.home)
    redis.Redis.from_url(urls.redis_url).set("frame", "face")
    killed = up.part("valkey-server")

    kill(killed)

    until(lambda: not killed.is_running() and valkey_answers(up.home), "Valkey is back")
    assert redis.Redis.from_url(urls.redis_url).get("frame") is None
    assert service_urls(up.home) == urls


def test_one_killed_backend_costs_a_reconnection_not_the_data(up: Up) -> None:
    remember(up.home, "before")
    with psycopg.connect(service_urls(up.home).database_url) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)

    until(lambda: postgres_answers(up.home), "Postgres is back")
    assert remembered(up.home) == ["before"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_everything_cleanly(up: Up, number: signal.Signals) -> None:
    processes = up.descendants()

    up.signal(number)

    assert up.wait() == 0, up.output
    assert all_gone(processes)
    assert "database system is shut down" in (up.home / "log" / "postgres.log").read_text()
    assert not (up.home / "run" / "up.json").exists()
    assert not (up.home / "postgres" / "postmaster.pid").exists()


def test_data_and_address_outlive_a_stop(up: Up) -> None:
    urls = service_urls(up.home)
    remember(up.home, "before")
    assert up.stop() == 0

    with running_up(up.home, "--services-only") as again:
        assert "Creating" not in again.output
        assert remembered(up.home) == ["before"]
        assert service_urls(up.home) == urls


def test_a_second_start_on_the_same_home_is_refused_and_names_the_first(up: Up) -> None:
    second = Up(up.home, "--services-only")

    assert second.wait() != 0
    assert f"process {up.pid}" in second.output
    assert postgres_answers(up.home)
    assert valkey_answers(up.home)


def test_killing_up_ends_everything_and_the_next_start_works(up: Up) -> None:
    remember(up.home, "before")
    processes = up.descendants()
    socket_folder = Path((up.home / "run" / "socket-folder").read_text())
    assert socket_folder.exists()

    up.signal(signal.SIGKILL)

    with running_up(up.home, "--services-only"):
        assert remembered(up.home) == ["before"]
        assert not socket_folder.exists()
    assert all_gone(processes)


def test_killing_the_supervisor_ends_everything_and_the_next_start_works(up: Up) -> None:
    remember(up.home, "before")
    processes = up.descendants()

    kill(up.supervisor())

    assert up.wait() != 0
    assert "supervisor process died" in up.output
    assert all_gone(processes)
    with running_up(up.home, "--services-only"):
        assert remembered(up.home) == ["before"]


def test_killing_up_and_the_supervisor_at_once_leaves_no_orphan(up: Up) -> None:
    remember(up.home, "before")
    processes = up.descendants()
    supervisor = up.supervisor()
    supervisor.suspend()

    up.signal(signal.SIGKILL)
    kill(supervisor)

    with running_up(up.home, "--services-only"):
        assert remembered(up.home) == ["before"]
    assert all_gone(processes)


def test_a_power_cut_is_recovered_from_even_if_the_lock_names_a_living_process(up: Up) -> None:
    remember(up.home, "before")
    lock = up.home / "postgres" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    owner = lock.stat()
    up.stop()
    account = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "100"], cwd="/", **account) as stranger:  # type: ignore[call-overload]
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        lock.chmod(0o600)
        os.chown(lock, owner.st_uid, owner.st_gid)
        (up.home / "run" / "up.lock").write_text(str(stranger.pid))
        (up.home / "run" / "up.json").write_text('{"pid": 1, "url": null}')

        with running_up(up.home, "--services-only"):
            assert remembered(up.home) == ["before"]
        stranger.kill()


def test_a_first_start_that_was_interrupted_is_begun_anew(tmp_path: Path) -> None:
    half_done = tmp_path / "home" / "postgres.new" / "data"
    half_done.mkdir(parents=True)
    (half_done / "PG_VERSION").write_text("18\n")

    with running_up(tmp_path / "home", "--services-only"):
        assert postgres_answers(tmp_path / "home")
    assert not half_done.parent.exists()


def test_without_services_json_the_data_stays_and_the_passwords_are_new(up: Up) -> None:
    before = service_urls(up.home)
    remember(up.home, "before")
    up.stop()
    (up.home / "services.json").unlink()

    with running_up(up.home, "--services-only"):
        assert remembered(up.home) == ["before"]
        after = service_urls(up.home)
        assert urlsplit(after.database_url).password != urlsplit(before.database_url).password
        assert urlsplit(after.redis_url).password != urlsplit(before.redis_url).password


def test_a_damaged_services_json_is_named_together_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "services.json").write_text("{")

    up = Up(tmp_path, "--services-only")

    assert up.wait() != 0
    assert "services.json" in up.output
    assert "Delete it" in up.output


def test_a_password_that_postgres_refuses_is_explained(up: Up) -> None:
    up.stop()
    path = up.home / "services.json"
    path.write_text(path.read_text().replace("gatehouse:", "gatehouse:x"))

    again = Up(up.home, "--services-only")

    assert again.wait() != 0
    assert "delete services.json" in again.output
