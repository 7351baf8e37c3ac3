"""Fetching the MiniFASNet pair: only when asked for, checked before it is read, all or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from recognition import fetch_minifasnet as module
from recognition.commands import main
from recognition.conversion import CONVERTERS
from recognition.fetch import AtHand, fetch_models
from recognition.fetch_minifasnet import Repository
from recognition.packages import FetchError
from recognition.pipeline import Pipeline
from recognition.weights import (
    EXTRAS,
    MANIFEST,
    WeightsError,
    missing_models,
    present_extras,
    published,
)
from tests.recognition.published_minifasnet import published_files


def quiet(message: str) -> None:
    """Nobody listens."""


def fetch_minifasnet(home: Path, *, source: Path | None = None) -> Path:
    """The models' folder, with the pair in it."""
    return fetch_models(home, say=quiet, extras=["minifasnet"], at_hand=AtHand(folder=source))


@pytest.fixture
def home(tmp_path: Path, models_dir: Path) -> Path:
    """An installation with the usual models only."""
    home = tmp_path / "gate house"
    home.mkdir()
    shutil.copytree(models_dir, home / "models")
    if "minifasnet" in present_extras(home / "models"):
        manifest = json.loads((home / "models" / MANIFEST).read_text())
        del manifest["models"]["minifasnet"]
        (home / "models" / MANIFEST).write_text(json.dumps(manifest))
        (home / "models" / "minifasnet.safetensors").unlink()
    return home


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the pair in random weights, which the pinned hashes are made to name."""
    folder = tmp_path / "copy"
    folder.mkdir()
    files = published_files()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    random = replace(published("minifasnet"), files=hashes)
    monkeypatch.setitem(EXTRAS["minifasnet"], "minifasnet", random)
    return folder


def repository_of(folder: Path, where: Path) -> Repository:
    """A git repository whose one commit has the files."""
    shutil.copytree(folder, where / "resources")

    def git(*arguments: str) -> str:
        named = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(
            ["git", *named, *arguments], cwd=where, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", "resources")
    git("commit", "--quiet", "-m", "weights")
    return Repository(where.as_uri(), git("rev-parse", "HEAD"), "resources")


def test_a_copy_is_converted_and_named_in_the_manifest(home: Path, source: Path) -> None:
    models = fetch_minifasnet(home, source=source)
    assert missing_models(models) is None
    assert missing_models(models, ["minifasnet"]) is None
    entry = json.loads((models / MANIFEST).read_text())["models"]["minifasnet"]
    assert entry["model"]["licence"] == "Apache-2.0"
    assert entry["source_files"] == published("minifasnet").files
    pipeline = Pipeline.load(models, device="cpu")
    assert pipeline.pair is not None
    assert pipeline.pad_model.name == "minifasnet"


def test_without_it_the_pipeline_has_only_the_shipped_net(home: Path) -> None:
    pipeline = Pipeline.load(home / "models", device="cpu")
    assert pipeline.pair is None
    assert pipeline.pad_model.name == "antispoofing"


def test_the_command_takes_a_folder_for_it_and_an_archive_for_the_rest(
    home: Path, source: Path, archives: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(home))
    shutil.rmtree(home / "models")
    sources = [word for path in (*archives, source) for word in ("--from", str(path))]
    assert main(["fetch-models", "--with", "minifasnet", *sources]) == 0
    assert missing_models(home / "models") is None
    assert missing_models(home / "models", ["minifasnet"]) is None


@pytest.mark.parametrize("arguments", [[], ["--with", "minifasnet", "--from", "{}"]])
def test_a_folder_without_a_model_or_twice_is_a_clear_error(
    home: Path,
    source: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(home))
    given = [part.format(source) for part in arguments]
    assert main(["fetch-models", "--from", str(source), *given]) == 1
    assert "error:" in capsys.readouterr().err


def test_it_comes_by_git_from_one_commit(
    home: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "repository"
    where.mkdir()
    monkeypatch.setattr(module, "REPOSITORY", repository_of(source, where))
    fetch_minifasnet(home)
    assert missing_models(home / "models", ["minifasnet"]) is None
    assert not list((home / "cache").iterdir()), "the clone is thrown away"
    shutil.rmtree(where)
    fetch_minifasnet(home)  # a second time without any network


def test_without_network_the_error_says_what_to_do_and_nothing_changes(
    home: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (home / "models" / MANIFEST).read_bytes()
    away = Repository((tmp_path / "nowhere").as_uri(), "0" * 40, "resources")
    monkeypatch.setattr(module, "REPOSITORY", away)
    with pytest.raises(FetchError, match="--with minifasnet --from FOLDER"):
        fetch_minifasnet(home)
    assert (home / "models" / MANIFEST).read_bytes() == before
    assert not list((home / "cache").iterdir())


def test_another_file_is_refused_before_it_is_read(
    home: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(files: object) -> None:
        raise AssertionError("read before it was checked")

    monkeypatch.setitem(CONVERTERS, "minifasnet", read)
    victim = source / next(iter(published("minifasnet").files))
    victim.write_bytes(victim.read_bytes() + b"\0")
    with pytest.raises(FetchError, match="SHA-256"):
        fetch_minifasnet(home, source=source)
    assert "minifasnet" not in present_extras(home / "models")


def test_a_missing_file_is_a_clear_error(home: Path, source: Path) -> None:
    next(source.iterdir()).unlink()
    with pytest.raises(FetchError, match="cannot be read"):
        fetch_minifasnet(home, source=source)


def test_a_changed_model_is_never_loaded_and_the_error_names_the_command(
    home: Path, source: Path
) -> None:
    models = fetch_minifasnet(home, source=source)
    content = bytearray((models / "minifasnet.safetensors").read_bytes())
    content[-1] ^= 1
    (models / "minifasnet.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="fetch-models --with minifasnet"):
        Pipeline.load(models, device="cpu")
    fetch_minifasnet(home, source=source)
    assert missing_models(models, ["minifasnet"]) is None


def test_mending_the_other_models_keeps_it(
    home: Path, source: Path, archives: tuple[Path, ...]
) -> None:
    models = fetch_minifasnet(home, source=source)
    (models / "mtcnn.safetensors").unlink()
    fetch_models(home, say=quiet, at_hand=AtHand(archives))
    assert missing_models(models) is None
    assert missing_models(models, ["minifasnet"]) is None


def test_a_folder_without_any_of_its_files_is_a_clear_error(home: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FetchError, match="no published file"):
        fetch_minifasnet(home, source=empty)
    assert "minifasnet" not in present_extras(home / "models")


def test_a_folder_serves_any_model_that_is_missing(
    home: Path, tmp_path: Path, resnet29_files: dict[str, bytes]
) -> None:
    copy = tmp_path / "descriptors"
    copy.mkdir()
    for name, content in resnet29_files.items():
        (copy / name).write_bytes(content)
    (home / "models" / "resnet29.safetensors").unlink()
    models = fetch_models(home, say=quiet, at_hand=AtHand(folder=copy))
    assert missing_models(models) is None
    assert not (home / "cache").exists()
