"""Celery tasks: wake-ups without content. What they wake for lies in the slots or in Postgres."""

from __future__ import annotations

import json
import logging
from functools import cache
from typing import Any

import redis
from celery import shared_task
from celery.signals import worker_process_init
from django.conf import settings
from django.db import DatabaseError

from accesscontrol import enrolment, gallery_check, gallery_index
from accesscontrol.frames import FrameOutlet
from accesscontrol.model_versions import ModelFacts
from accesscontrol.models import Site
from recognition.evaluate.calibration import calibration_path, unfit_for_a_door
from recognition.imported import calibration_file
from recognition.photos import process_photo
from recognition.pipeline import Pipeline
from recognition.survey import survey_all
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
        survey_all(recogniser().version())
    except DatabaseError as error:
        logger.warning("database out of reach, galleries wait to be surveyed: %s", error)


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
        embedder=settings.EMBEDDER,
    )
    return Recogniser(pipeline, FrameOutlet.connect(), model_facts(pipeline))


def model_facts(pipeline: Pipeline) -> ModelFacts:
    """What the loaded embedder says of itself, with the calibration shipped for its weights."""
    model = pipeline.model
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
    shipped = calibration_path(name)
    path = shipped if shipped.exists() else calibration_file(settings.MODELS_DIR, name)
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


@worker_process_init.connect
def warm_up(**_: object) -> None:
    """Load the models and run them, so that the first person does not wait."""
    recogniser().pipeline.warm_up()
