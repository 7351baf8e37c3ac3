"""Writes fine-tuned embedders down among the installation's models, for workers to find."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recognition.evaluate.calibration import unfit_for_a_door
from recognition.fetch import models_folder
from recognition.imported import calibration_file
from recognition.importing import add_entry, check_name
from recognition.packages import locked, write_atomically
from recognition.tuned import Tuned
from recognition.types import ModelInfo
from recognition.weights import WeightsError


def register_tuned(
    home: Path,
    name: str,
    tuned: Tuned,
    record: Mapping[str, Any],
    calibration: Mapping[str, Any],
    say: Callable[[str], None],
) -> ModelInfo:
    """Add a fine-tuned embedder with its calibration; twice is as good as once.

    Workers register it within seconds, and `manage.py change_model` can bring it into use.

    Args:
        record: how it was trained and what it was judged by, for the manifest.
        calibration: of exactly this model.

    Raises:
        WeightsError: the name is none or is taken, or the calibration is another model's or gives
            no threshold; nothing was written.
    """
    check_name(name)
    info = tuned.named(name)
    if calibration["model"]["sha256"] != info.sha256:
        raise WeightsError("The calibration is of another model: nothing was registered.")
    reason = unfit_for_a_door(calibration)
    if reason is not None:
        raise WeightsError(f"Nothing was registered: {reason}")
    models = models_folder(home)
    packed = tuned.packed()
    more = {"parent": asdict(tuned.parent_model), "training": dict(record)}
    with locked(home / "models.lock", say):
        add_entry(models, info, packed, hashlib.sha256(packed).hexdigest(), more)
        content = (json.dumps(calibration, indent=2) + "\n").encode()
        write_atomically(calibration_file(models, name), content)
    return info
