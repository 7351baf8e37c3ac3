"""Gets the MiniFASNet pair, for who asks for it: by git from its public repository, or a copy.

The files are pickles. They are checked by SHA-256, read without being unpickled, and converted.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recognition.fetch import models_folder
from recognition.minifasnet_conversion import minifasnet_state
from recognition.packages import CLIENT_TIMEOUT, MAX_FILE_BYTES, FetchError, Say, locked
from recognition.torch_file import TorchFileError
from recognition.weights import OPTIONAL, add_model, missing_model

NAME = "minifasnet"


@dataclass(frozen=True, slots=True)
class Repository:
    """A public git repository at one commit, and the folder of the files in it."""

    url: str
    commit: str
    folder: str


REPOSITORY = Repository(
    "https://github.com/minivision-ai/Silent-Face-Anti-Spoofing.git",
    "f679b7c96ad407d1114182847d3e0c20619a76d0",
    "resources/anti_spoof_models",
)


def fetch_minifasnet(home: Path, *, say: Say, source: Path | None = None) -> Path:
    """Make sure that the pair is among the models; quick and without network if it is.

    Args:
        home: the installation's folder, which has the other models already.
        say: is told of each step.
        source: a folder with the two published files; else git gets them.

    Returns:
        The folder of the models.

    Raises:
        FetchError: no network, no git, a wrong hash. The models are left as they were.
    """
    models = models_folder(home)
    if missing_model(models, NAME) is None:
        say(f"{NAME} is already in {models}")
        return models
    try:
        with locked(home / "models.lock", say):
            files = _read(source) if source else _cloned(home, say)
            say(f"converting {NAME}")
            add_model(models, NAME, minifasnet_state(files))
    except TorchFileError as error:
        raise FetchError(f"{NAME} cannot be converted: {error}.") from error
    except OSError as error:
        raise FetchError(f"The models cannot be written to {models}: {error}.") from error
    say(f"{NAME} is in {models}")
    return models


def _read(folder: Path) -> dict[str, bytes]:
    """The published files by name, each checked."""
    contents = {}
    for name, sha256 in OPTIONAL[NAME].files.items():
        path = folder / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise FetchError(f"{path} cannot be read: {error.strerror}.") from error
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise FetchError(
                f"{path} is not the published file: its SHA-256 is {found}, expected {sha256}."
            )
        contents[name] = content
    return contents


def _cloned(home: Path, say: Say) -> dict[str, bytes]:
    """The files out of a clone of one commit, which is thrown away."""
    say(f"fetching {REPOSITORY.url} with git")
    cache = home / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as clone:
        _git(clone, "init", "--quiet", "--template=")
        _git(clone, "fetch", "--quiet", "--depth=1", REPOSITORY.url, REPOSITORY.commit)
        _git(clone, "checkout", "--quiet", "FETCH_HEAD", "--", REPOSITORY.folder)
        return _read(Path(clone) / REPOSITORY.folder)


def _git(folder: str, *arguments: str) -> None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # without a terminal git asks nobody for a password
            capture_output=True,
            text=True,
            timeout=CLIENT_TIMEOUT,
            check=False,
        )
    except FileNotFoundError as error:
        raise FetchError(f"There is no git here. {_BY_HAND}") from error
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"git did not finish in time. {_BY_HAND}") from error
    if done.returncode != 0:
        last = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        detail = " | ".join(last[-2:]) or f"exit status {done.returncode}"
        raise FetchError(f"{REPOSITORY.url} could not be fetched with git: {detail}. {_BY_HAND}")


_BY_HAND = (
    "Check the network, or get the two files elsewhere and give their folder: "
    f"fetch-models --with {NAME} --from FOLDER"
)
