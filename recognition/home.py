"""Where an installation keeps its files, for the commands of this package."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The folder `GATEHOUSE_HOME` names, else `var` in the project. The only environment read."""
    named = os.environ.get("GATEHOUSE_HOME", "").strip()
    return Path(named).expanduser().resolve() if named else PROJECT / "var"
