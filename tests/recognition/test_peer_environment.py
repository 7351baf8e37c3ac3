"""The peers' environment is made once, whole or not at all, and made anew when it does not fit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from recognition.bench import peer_environment
from recognition.bench.frames import BenchError
from recognition.bench.peer_environment import FAISS, PACKAGES, Peers, peers_python


class Installer:
    """Stands for pip: leaves a module in the environment, as often as it is called."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, python: Path, requirements: Path) -> None:
        self.asked.append(requirements.read_text())
        (packages,) = python.parent.parent.glob("lib/python*/site-packages")
        (packages / "peer_module.py").write_text("FOUND = True\n")


@pytest.fixture
def said() -> list[str]:
    return []


def in_environment(python: Path, code: str) -> str:
    command = [str(python), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def test_it_has_the_peers_and_shares_what_both_sides_run_on(
    tmp_path: Path, said: list[str]
) -> None:
    python = peers_python(tmp_path, say=said.append, install=Installer())
    assert tmp_path / "peers" in python.parents
    import numpy as np

    where = "import numpy, peer_module, sys; print(numpy.__file__); print(sys.prefix)"
    assert in_environment(python, where).splitlines() == [
        np.__file__,
        str(tmp_path / "peers" / "environment"),
    ]
    assert "downloads" in said[0]


def test_every_package_is_asked_for_by_version_and_hash(tmp_path: Path, said: list[str]) -> None:
    installer = Installer()
    peers_python(tmp_path, say=said.append, install=installer)
    lines = installer.asked[0].splitlines()
    assert [line.split()[0] for line in lines] == list(PACKAGES)
    for line in lines:
        name, *hashes = line.split()
        assert "==" in name
        assert hashes
        assert all(len(entry.removeprefix("--hash=sha256:")) == 64 for entry in hashes)


def test_a_whole_one_is_used_again(tmp_path: Path, said: list[str]) -> None:
    installer = Installer()
    first = peers_python(tmp_path, say=said.append, install=installer)
    said.clear()
    assert peers_python(tmp_path, say=said.append, install=installer) == first
    assert len(installer.asked) == 1
    assert said == []


@pytest.mark.parametrize("missing", ["complete", "bin/python"])
def test_a_half_made_one_is_made_anew(tmp_path: Path, said: list[str], missing: str) -> None:
    installer = Installer()
    python = peers_python(tmp_path, say=said.append, install=installer)
    (tmp_path / "peers" / "environment" / missing).unlink()
    stray = tmp_path / "peers" / "environment" / "stray"
    stray.touch()
    assert peers_python(tmp_path, say=said.append, install=installer) == python
    assert len(installer.asked) == 2
    assert not stray.exists()
    assert in_environment(python, "import peer_module; print(peer_module.FOUND)") == "True"


def test_one_of_other_packages_is_made_anew(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installer = Installer()
    peers_python(tmp_path, say=said.append, install=installer)
    monkeypatch.setitem(peer_environment.PACKAGES, "another==1.0", ("0" * 64,))
    peers_python(tmp_path, say=said.append, install=installer)
    assert len(installer.asked) == 2


def test_what_a_killed_run_left_is_cleared(tmp_path: Path, said: list[str]) -> None:
    left = tmp_path / "peers" / ".partial-killed"
    left.mkdir(parents=True)
    (left / "half").touch()
    peers_python(tmp_path, say=said.append, install=Installer())
    assert sorted(path.name for path in (tmp_path / "peers").iterdir()) == ["environment", "lock"]


def test_a_failed_installation_leaves_nothing(tmp_path: Path, said: list[str]) -> None:
    def fail(python: Path, requirements: Path) -> None:
        raise BenchError("no network")

    with pytest.raises(BenchError, match="no network"):
        peers_python(tmp_path, say=said.append, install=fail)
    assert [path.name for path in (tmp_path / "peers").iterdir()] == ["lock"]
    peers_python(tmp_path, say=said.append, install=Installer())


def test_each_environment_has_a_folder_of_its_own(tmp_path: Path, said: list[str]) -> None:
    installer = Installer()
    faces = peers_python(tmp_path, say=said.append, install=installer)
    faiss = peers_python(tmp_path, say=said.append, install=installer, peers=FAISS)
    assert faces.parent.parent.name == "environment"
    assert faiss.parent.parent.name == "faiss"
    assert installer.asked[1].startswith("faiss-cpu==")
    peers_python(tmp_path, say=said.append, install=installer)
    assert len(installer.asked) == 2


def test_what_pip_says_is_told(tmp_path: Path, said: list[str]) -> None:
    unknown = Peers("unknown", {"not a package": ("0" * 64,)}, (), "nothing")
    with pytest.raises(
        BenchError, match=r"could not be installed: .*[Ii]nvalid.*Check the network"
    ):
        peers_python(tmp_path, say=said.append, peers=unknown)


def test_a_home_that_cannot_be_written_is_a_clear_error(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "peers").touch()
    with pytest.raises(BenchError, match="cannot be set up"):
        peers_python(tmp_path, say=said.append, install=Installer())
