"""Loaded before Django: gives the tests a home folder and keyring of their own.

Models are shared with the project's home, since they are large, checked and never written to.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from accesscontrol import keyring
from accesscontrol.environment import PROJECT

MODELS_HOME = Path(os.environ.get("GATEHOUSE_HOME") or PROJECT / "var").absolute()
"""Where the models and sample faces are kept between runs."""

TEST_HOME = Path(tempfile.mkdtemp(prefix="gatehouse-tests-"))

for shared in ("models", "cache"):
    (MODELS_HOME / shared).mkdir(parents=True, exist_ok=True)
    (TEST_HOME / shared).symlink_to(MODELS_HOME / shared)
keyring.ensure(keyring.default_path(TEST_HOME))
os.environ["GATEHOUSE_HOME"] = str(TEST_HOME)
# Playwright runs an event loop in the main thread, where Django would then refuse the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
# As the workers run: more threads than free cores make torch many times slower, not faster, and
# what a walk-up means depends on frames that come in time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
atexit.register(shutil.rmtree, TEST_HOME, ignore_errors=True)
