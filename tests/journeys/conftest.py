"""One installation for all end-to-end tests that leave it running, and faces to show it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk.walk_past import write_walk_past
from recognition import sample_faces
from tests.journeys.installation import TestInstallation, running_installation
from tests.plugin import MODELS_HOME


@pytest.fixture(scope="session")
def faces() -> dict[str, Path]:
    """Public-domain portraits: obama.jpg, obama2.jpg, obama3.jpg, biden.jpg, astronaut.png."""
    return sample_faces.fetch(MODELS_HOME, say=logging.getLogger(__name__).info)


@pytest.fixture(scope="session")
def walk_pasts(faces: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a walk-past of each: obama2, biden, astronaut."""
    folder = tmp_path_factory.mktemp("walk-pasts")
    for name in ("obama2.jpg", "biden.jpg", "astronaut.png"):
        write_walk_past(faces[name], folder / Path(name).stem)
    return folder


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestInstallation]:
    """Gatehouse, up in a home folder with a space in its name."""
    home = tmp_path_factory.mktemp("an installation")
    for shared in ("models", "cache"):
        (home / shared).symlink_to(MODELS_HOME / shared)
    with running_installation(home) as running:
        yield running
