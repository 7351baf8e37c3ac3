"""Registering face models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from accesscontrol import audit, thresholds
from accesscontrol.models import ModelChange, ModelVersion, Site


class ModelNameTakenError(ValueError):
    """Other weights are registered under the name and version; the message says what to do."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model says of itself; `calibration` as in `thresholds.for_false_match_rate`."""

    name: str
    version: str
    sha256: str
    dimension: int
    licence: str
    calibration: dict[str, Any]


def calibrate_command(version: ModelVersion) -> str:
    """How a model gets the calibration that it is missing; workers take it up when they start."""
    return (
        f"python -m recognition evaluate calibrate --embedder {version.name} --images FOLDER "
        "--data NAME"
    )


def active() -> ModelVersion | None:
    """The model version that recognises now; None before the first worker has registered one."""
    return ModelVersion.objects.filter(is_active=True).first()


def kept() -> list[ModelVersion]:
    """The active one, and beside it the other one of an open model change.

    Every accepted photo gets a template of each, and every site a threshold.
    """
    version = active()
    if version is None:
        return []
    change = ModelChange.objects.filter(is_open=True).select_related("old", "new").first()
    return [version] if change is None else [version, change.beside]


def lock_all() -> None:
    """Let nobody else register or activate a model until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE accesscontrol_modelversion IN SHARE ROW EXCLUSIVE MODE")


@transaction.atomic
def register_model(facts: ModelFacts) -> ModelVersion:
    """Return the model version with these weights, added if it is new.

    The first one of an installation becomes the active one and gives every site its default
    threshold; later ones wait for a deliberate switch. Safe to call at every start. Raises
    ModelNameTakenError.
    """
    lock_all()  # of two first models at once only one may become the active one
    same_name = ModelVersion.objects.filter(name=facts.name, version=facts.version)
    if same_name.exclude(sha256=facts.sha256).exists():
        raise ModelNameTakenError(
            f"Other weights are registered as {facts.name} {facts.version}, and templates and "
            "decisions go by that. Import these with another --version."
        )
    version, created = ModelVersion.objects.get_or_create(
        sha256=facts.sha256,
        defaults={
            "name": facts.name,
            "version": facts.version,
            "dimension": facts.dimension,
            "licence": facts.licence,
            "calibration": facts.calibration,
            "is_active": not ModelVersion.objects.filter(is_active=True).exists(),
        },
    )
    if created:
        audit.record(
            "worker", "register_model", f"model_version:{version.pk}", {"name": str(version)}
        )
    if facts.calibration and not version.calibration:
        # Registered before its calibration was shipped.
        version.calibration = facts.calibration
        version.save(update_fields=["calibration"])
    if version.is_active:
        for site in Site.objects.exclude(thresholds__model_version=version):
            thresholds.set_default(site, version)
    return version
