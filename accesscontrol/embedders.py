"""Embedders as the web process knows them: which ones workers on this machine could load."""

from __future__ import annotations

import json

from django.conf import settings

BUILT_IN = ("mobilefacenet", "fused")
REGISTERED_AS = {"mobilefacenet": "mobilefacenet", "fused": "mobilefacenet+resnet29"}
"""The names that model versions of ours have."""
IMPORT = "python -m recognition import-model --name NAME --licence TEXT FILE"


def imported() -> dict[str, str]:
    """SHA-256 of a company's own models by name, as the models' manifest lists them.

    Workers check a model itself when they start: this only words warnings.
    """
    try:
        entries = json.loads((settings.MODELS_DIR / "manifest.json").read_text())["imported"]
        return {str(name): str(entry["model"]["sha256"]) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
