"""The folders below the home folder, and private files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from accesscontrol.services.errors import ServicesError


def ensure(home: Path) -> None:
    """Create `home` with its `run` and `log` folders, readable by the owner only.

    Folders that exist keep their mode, and so do all parents. Raises ServicesError if one cannot
    be made.
    """
    for folder in (home, home / "run", home / "log"):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ServicesError(
                f"Cannot create {folder}: {error.strerror}. Set GATEHOUSE_HOME to a folder that "
                "you can write to."
            ) from None


def write_private(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step, mode 0600, on disk before it is visible."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
