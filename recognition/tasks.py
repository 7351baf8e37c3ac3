"""Celery tasks: wake-ups without content. What they wake for lies in the slots or in Postgres."""

from __future__ import annotations

import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

import redis
from celery import shared_task
from celery.signals import worker_process_init
from django.conf import settings
from django.db import DatabaseError, connection

from accesscontrol import (
    change_thresholds,
    enrolment,
    gallery_check,
    gallery_index,
    model_change,
    model_versions,
    notify,
)
from accesscontrol.frames import FrameOutlet
from accesscontrol.model_versions import ModelFacts, ModelNameTakenError
from accesscontrol.models import ModelChange, ModelVersion, Site
from recognition import anew
from recognition.embedders import installed
from recognition.evaluate.calibration import calibration_path, unfit_for_a_door
from recognition.following import Follower, embedder_of
from recognition.imported import calibration_file
from recognition.photos import process_photo
from recognition.pipeline import Pipeline
from recognition.survey import survey_all
from recognition.types import ModelInfo
from recognition.visitors import tend_visitors
from recognition.worker import Recogniser

logger = logging.getLogger(__name__)

PHOTOS_A_WAKE_UP = 50


@shared_task(name="recognition.drain_slots", ignore_result=True)
def drain_slots() -> None:
    """Work off the kiosks' slots. Losing the broker or the database loses frames, never punches."""
    try:
        recogniser().drain()
    except redis.RedisError as error:
        logger.warning("slots out of reach: %s", error)
    except DatabaseError as error:
        logger.warning("database out of reach: %s", error)


@shared_task(name="recognition.process_photos", ignore_result=True)
def process_photos() -> None:
    """Work off waiting enrolment photos, then hand over to a new message if there are more."""
    try:
        worker = recogniser()
        if not worker.follow():
            logger.warning("the model in use cannot be loaded here: photos stay waiting")
            return
        for _ in range(PHOTOS_A_WAKE_UP):
            photo = enrolment.claim_photo()
            if photo is None:
                return
            process_photo(photo, worker.pipeline, worker.version())
    except DatabaseError as error:
        logger.warning("database out of reach, photos stay waiting: %s", error)
        return
    process_photos.apply_async(expires=60)


@shared_task(name="recognition.survey_galleries", ignore_result=True)
def survey_galleries() -> None:
    """Compare galleries that have changed with themselves, and solve their thresholds again."""
    try:
        worker = recogniser()
        worker.follow()
        for version in model_versions.kept():
            survey_all(version)
        _solve_for_change()
    except DatabaseError as error:
        logger.warning("database out of reach, galleries wait to be surveyed: %s", error)


@shared_task(name="recognition.embed_anew", ignore_result=True)
def embed_anew() -> None:
    """Embed some photos under the other model of a change, and hand over if there are more.

    Between two pieces new photos and surveys have their turn. Told twice, it is done once.
    """
    try:
        worker = recogniser()
        worker.follow()
        register_installed()
        done = anew.embed(worker, model_versions.kept())
        more = anew.sweep() or done.more
    except DatabaseError as error:
        logger.warning("database out of reach, photos wait to be embedded: %s", error)
        return
    if more:
        embed_anew.apply_async(expires=60)
    elif done.photos:
        notify.wake_survey()


def _solve_for_change() -> None:
    """Sites that keep to a budget get their threshold under the model that a change brings."""
    change = model_change.current()
    if change is not None and change.stage == ModelChange.Stage.PREPARING:
        for trouble in change_thresholds.solve(change, own=False, by=None):
            logger.info("no threshold under %s yet: %s", change.new, trouble)


@shared_task(name="recognition.check_galleries", ignore_result=True)
def check_galleries() -> None:
    """Build, check and give up the indexes of large galleries; told twice, it is done once."""
    try:
        with gallery_index.tending() as alone:
            if alone:
                sites = Site.objects.filter(is_active=True)
                gallery_check.check(sites, probes=gallery_index.PROBES, tend=True)
    except DatabaseError as error:
        logger.warning("galleries were not checked: %s", error)


@shared_task(name="recognition.group_visitors", ignore_result=True)
def group_visitors() -> None:
    """Let visits of unknown people go whose time has come, and group the others by person."""
    try:
        tend_visitors()
    except DatabaseError as error:
        logger.warning("visits were not tended: %s", type(error).__name__)


@cache
def recogniser() -> Recogniser:
    """This process's recogniser: models are loaded once, at the start, never in a request."""
    pipeline = Pipeline.load(
        settings.MODELS_DIR,
        device=settings.TORCH_DEVICE,
        threads=settings.TORCH_THREADS,
        precision=settings.PRECISION,
        embedder=_embedder_in_use() or settings.EMBEDDER,
    )
    follower = Follower(pipeline, settings.MODELS_DIR)
    return Recogniser(pipeline, FrameOutlet.connect(), model_facts(pipeline), follower)


def _embedder_in_use() -> str | None:
    """What embeds as the active model here; None before there is one, or if it is not here."""
    try:
        active = model_versions.active()
    except DatabaseError as error:
        logger.warning("database out of reach, beginning with %s: %s", settings.EMBEDDER, error)
        return None
    finally:
        # Celery shuts the socket of every connection that is open when a process begins.
        connection.close()
    return embedder_of(active, settings.MODELS_DIR) if active else None


def register_installed() -> None:
    """Register what is installed here beside the model in use, so that a change to it can begin.

    One whose calibration was made since is registered with it.
    """
    known = {
        version.sha256: version.is_calibrated
        for version in ModelVersion.objects.only("sha256", "calibration")
    }
    for name, model in installed(settings.MODELS_DIR).items() if known else ():
        complete = known.get(model.sha256)
        if complete or (complete is not None and not _calibration_path(model.name).exists()):
            continue
        try:
            model_versions.register_model(facts_of(model))
        except ModelNameTakenError as error:
            logger.warning("the embedder %s is not registered: %s", name, error)


def model_facts(pipeline: Pipeline) -> ModelFacts:
    """What the loaded embedder says of itself, with the calibration shipped for its weights."""
    return facts_of(pipeline.model)


def facts_of(model: ModelInfo) -> ModelFacts:
    """What is known of an embedder, with the calibration of exactly its weights."""
    return ModelFacts(
        name=model.name,
        version=model.version,
        sha256=model.sha256,
        dimension=model.dimension,
        licence=model.licence,
        calibration=_calibration(model.name, model.sha256),
    )


def _calibration(name: str, sha256: str) -> dict[str, Any]:
    """The measured thresholds of exactly these weights; empty for others: none is then accepted."""
    path = _calibration_path(name)
    try:
        measured: dict[str, Any] = json.loads(path.read_text())
        reason = unfit_for_a_door(measured)
        if measured["model"]["sha256"] != sha256:
            reason = "it is of other weights"
        thresholds = {row["fmr"]: row["threshold"] for row in measured["thresholds"]}
    except FileNotFoundError:
        logger.warning("%s has no calibration: nobody is accepted", name)
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("the calibration %s is of no use, nobody is accepted: %s", path, error)
        return {}
    if reason is not None:
        logger.warning("the calibration %s is of no use, nobody is accepted: %s", path, reason)
        return {}
    return {**measured, "thresholds": thresholds}


def _calibration_path(name: str) -> Path:
    shipped = calibration_path(name)
    return shipped if shipped.exists() else calibration_file(settings.MODELS_DIR, name)


@worker_process_init.connect
def warm_up(**_: object) -> None:
    """Load the models and run them, so that the first person does not wait."""
    recogniser().pipeline.warm_up()
