"""Presentation attack detection as the web process knows it: whether its model is installed."""

from __future__ import annotations

import json

from django.conf import settings

from accesscontrol.models import PadPolicy

MODEL = "minifasnet"
INSTALL = "python -m recognition fetch-models --with minifasnet"


def is_installed() -> bool:
    """Whether the models' manifest names the model that tells faces from pictures of faces.

    Workers check the model itself when they start, and refuse everybody where a site asks for
    detection that they cannot give: this only chooses defaults and words warnings.
    """
    try:
        return MODEL in json.loads((settings.MODELS_DIR / "manifest.json").read_text())["models"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def default_policy() -> PadPolicy:
    """What a new site starts with: detection wherever there is a model for it."""
    return PadPolicy.PASSIVE if is_installed() else PadPolicy.OFF
