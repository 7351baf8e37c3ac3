"""Gets the published files of the MiniFASNet pair, by git from its public repository.

They are pickles: checked by SHA-256 here, and converted without being unpickled.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recognition.packages import CLIENT_TIMEOUT, FetchError, Say, read_files
from recognition.weights import published

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


def minifasnet_files(home: Path, say: Say) -> dict[str, bytes]:
    """The published files by name, each checked, out of a clone of one commit, thrown away.

    Args:
        home: the installation's folder.
        say: is told of each step.

    Raises:
        FetchError: no network, no git, a wrong hash.
    """
    say(f"fetching {REPOSITORY.url} with git")
    cache = home / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as clone:
        _git(clone, "init", "--quiet", "--template=")
        _git(clone, "fetch", "--quiet", "--depth=1", REPOSITORY.url, REPOSITORY.commit)
        _git(clone, "checkout", "--quiet", "FETCH_HEAD", "--", REPOSITORY.folder)
        return read_files(Path(clone) / REPOSITORY.folder, published(NAME).files)


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
