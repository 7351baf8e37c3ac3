"""Changing the model that recognises, while people walk in and out.

`start`: every photo is embedded anew, beside the old templates. `switch`: from its commit on the
new model recognises. `roll_back`: the old one again, whose templates were kept up to date.
`finish` gives the old ones up, `cancel` the new ones.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import redis
from django.db import transaction
from django.utils import timezone

from accesscontrol import (
    audit,
    change_thresholds,
    embedders,
    embedding_anew,
    model_versions,
    notify,
    thresholds,
    worker_models,
)
from accesscontrol.change_thresholds import SiteThreshold
from accesscontrol.embedding_anew import LeftOut, Progress
from accesscontrol.models import ModelChange, ModelVersion, Site, User
from accesscontrol.score_tail import Calibration, TailError

logger = logging.getLogger(__name__)

Stage = ModelChange.Stage
MOST_NAMED = 5


class ModelChangeError(Exception):
    """The step cannot be taken now; the message says what is missing. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class State:
    """How an open change stands.

    beside: progress under the model that does not recognise, which the next step would bring in.
    lost: whom that one does not know, of those who are recognised now.
    blockers: why a switch cannot be made yet, in sentences; empty if it can, or has been.
    """

    change: ModelChange
    beside: Progress
    left_out: list[LeftOut]
    sites: list[SiteThreshold]
    blockers: tuple[str, ...]

    @property
    def lost(self) -> list[LeftOut]:
        return [one for one in self.left_out if one.known_now]

    @property
    def ready(self) -> bool:
        """Everything but people who would be lost, whom the switch asks about."""
        return not self.blockers


def current() -> ModelChange | None:
    """The open change, if there is one."""
    return ModelChange.objects.filter(is_open=True).select_related("old", "new").first()


def find_version(words: str) -> ModelVersion:
    """The model version called "NAME VERSION", or NAME where that is one. Raises ModelChangeError.

    An embedder's name as GATEHOUSE_EMBEDDER takes it is as good.
    """
    every = list(ModelVersion.objects.order_by("name", "version"))
    wanted = embedders.REGISTERED_AS.get(words.strip(), words.strip())
    exact = [version for version in every if str(version) == wanted]
    found = exact or [version for version in every if version.name == wanted]
    if len(found) == 1:
        return found[0]
    known = "; ".join(map(str, found or every)) or "none: start a worker first"
    problem = "Several models are" if found else "No model is"
    raise ModelChangeError(
        f"{problem} registered as {words}. Registered are: {known}. A model is registered by the "
        "workers on whose machine it is installed, within seconds."
    )


@transaction.atomic
def start(version: ModelVersion, by: User | None) -> ModelChange:
    """Begin to embed every photo under this version, too. The model in use goes on recognising."""
    model_versions.lock_all()
    version.refresh_from_db()
    active = model_versions.active()
    change = current()
    if change is not None:
        raise ModelChangeError(f"Another change is open: {change}. Finish or cancel it first.")
    if active is None:
        raise ModelChangeError("No model is in use yet: start a worker first.")
    if active.pk == version.pk:
        raise ModelChangeError(f"{version} is the model in use.")
    _must_be_calibrated(version)
    if not _has(version, "installed"):
        raise ModelChangeError(
            f"No running worker has {version}. Install it on every machine that runs workers "
            f"(fetch-models, or: {embedders.IMPORT}), with its calibration."
        )
    again = embedding_anew.try_again(version)
    change = ModelChange.objects.create(old=active, new=version, started_by=by)
    change_thresholds.solve(change, own=False, by=None)
    photos = embedding_anew.progress(version).photos
    _record(change, "start_model_change", by, photos=photos, tried_again=again)
    transaction.on_commit(notify.wake_embedding)
    return change


def state(change: ModelChange) -> State:
    """How the change stands now."""
    progress = embedding_anew.progress(change.beside)
    left_out = embedding_anew.left_out(change.beside)
    sites = change_thresholds.overview(change)
    return State(change, progress, left_out, sites, tuple(_blockers(change, progress, sites)))


def _blockers(change: ModelChange, progress: Progress, sites: list[SiteThreshold]) -> list[str]:
    if change.stage != Stage.PREPARING:
        return []  # nothing holds a roll back up
    found = []
    if progress.waiting:
        found.append(f"{progress.waiting} of {progress.photos} photos have still to be embedded.")
    found += [site.wants for site in sites if site.wants]
    if not _has(change.new, "loaded"):
        found.append(
            f"Not every running worker has loaded {change.new} yet. It takes seconds; if it "
            "lasts, the model is not installed on that worker's machine."
        )
    return found


@transaction.atomic
def switch(by: User | None, *, leave_behind: bool = False) -> ModelChange:
    """Let the new model recognise from the commit on. Raises ModelChangeError.

    Args:
        leave_behind: although people who are recognised now would not be any more.
    """
    change = _locked(Stage.PREPARING)
    now = state(change)
    if now.blockers:
        raise ModelChangeError(" ".join(now.blockers))
    if now.lost and not leave_behind:
        raise ModelChangeError(
            f"{_count(now.lost)} would not be recognised any more: {_names(now.lost)}. Enrol "
            "them with a new photo, or leave them behind knowingly (--leave-behind)."
        )
    change.stage, change.switched_at = Stage.SWITCHED, timezone.now()
    change.save(update_fields=["stage", "switched_at"])
    _activate(change.new, change.old)
    _record(change, "switch_model", by, left_behind=[one.employee.pk for one in now.lost])
    transaction.on_commit(notify.wake_recognition)
    return change


@transaction.atomic
def roll_back(by: User | None) -> ModelChange:
    """Let the old model recognise again from the commit on; the new templates stay.

    Whoever the old one does not know, as `state` lists them, is not recognised then: nothing
    holds a roll back up.
    """
    change = _locked(Stage.SWITCHED)
    lost = [one for one in embedding_anew.left_out(change.old) if one.known_now]
    change.stage, change.rolled_back_at = Stage.PREPARING, timezone.now()
    change.save(update_fields=["stage", "rolled_back_at"])
    _activate(change.old, change.new)
    _record(change, "roll_back_model", by, left_behind=[one.employee.pk for one in lost])
    transaction.on_commit(notify.wake_recognition)
    return change


@transaction.atomic
def finish(by: User | None) -> ModelChange:
    """Give the old model's templates up; there is no way back then but another change."""
    change = _locked(Stage.SWITCHED)
    waiting = embedding_anew.due(change.new).count()
    if waiting:
        raise ModelChangeError(f"{waiting} photos have still to be embedded under {change.new}.")
    return _end(change, Stage.FINISHED, "finish_model_change", by)


@transaction.atomic
def cancel(by: User | None) -> ModelChange:
    """Give the new model's templates up; the old one goes on as before."""
    return _end(_locked(Stage.PREPARING), Stage.CANCELLED, "cancel_model_change", by)


@transaction.atomic
def try_again(by: User | None) -> int:
    """Embed the photos that were given up once more; how many they are."""
    change = _locked(Stage.PREPARING, Stage.SWITCHED)
    again = embedding_anew.try_again(change.beside)
    _record(change, "embed_photos_again", by, photos=again)
    transaction.on_commit(notify.wake_embedding)
    return again


@transaction.atomic
def solve_thresholds(by: User | None) -> list[str]:
    """Put the thresholds that are missing under the new model into force; what could not be."""
    change = _locked(Stage.PREPARING)
    return change_thresholds.solve(change, own=True, by=by)


def _locked(*stages: Stage) -> ModelChange:
    """The open change in one of these stages, alone until the transaction ends."""
    model_versions.lock_all()
    change = current()
    if change is None:
        raise ModelChangeError("No model change is open. Begin one with: start MODEL")
    if change.stage not in stages:
        raise ModelChangeError(f"{change} is in another stage: {change.get_stage_display()}.")
    return change


def _activate(version: ModelVersion, instead_of: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=instead_of.pk).update(is_active=False)
    ModelVersion.objects.filter(pk=version.pk).update(is_active=True)
    # Sites that are closed now, so that they can open.
    for site in Site.objects.exclude(thresholds__model_version=version):
        thresholds.set_default(site, version)


def _end(change: ModelChange, stage: Stage, action: str, by: User | None) -> ModelChange:
    change.stage, change.ended_at = stage, timezone.now()
    change.save(update_fields=["stage", "ended_at"])
    _record(change, action, by)
    transaction.on_commit(notify.wake_embedding)  # it sweeps what is kept no more
    return change


def _must_be_calibrated(version: ModelVersion) -> None:
    try:
        Calibration.read(version.calibration)
    except TailError:
        raise ModelChangeError(
            f"{version} has no calibration, so nobody would be accepted. Make one and restart the "
            f"workers: {model_versions.calibrate_command(version)}"
        ) from None


def _has(version: ModelVersion, what: str) -> bool:
    """Whether every running worker has the model loaded, or at least one has it installed.

    No worker, or no Valkey to ask: then nobody stands before one that would have to load it.
    """
    try:
        workers = worker_models.alive()
    except redis.RedisError as error:
        logger.warning("workers could not be asked for their models: %s", type(error).__name__)
        return True
    if what == "loaded":
        return all(version.sha256 in worker.loaded for worker in workers)
    return not workers or any(version.sha256 in worker.installed for worker in workers)


def _count(people: list[LeftOut]) -> str:
    return "1 person" if len(people) == 1 else f"{len(people)} people"


def _names(people: list[LeftOut]) -> str:
    named = ", ".join(str(one.employee) for one in people[:MOST_NAMED])
    more = len(people) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _record(change: ModelChange, action: str, by: User | None, **detail: object) -> None:
    words = {"old": str(change.old), "new": str(change.new), **detail}
    audit.record(audit.actor_of(by), action, f"model_change:{change.pk}", words)
