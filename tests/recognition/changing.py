"""A worker whose installation changes its model: real networks, real photos."""

# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
import redis
from django.conf import settings
from PIL import Image

from accesscontrol import enrolment, model_change, thresholds
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Employee, ModelChange, ModelVersion, PadPolicy, Site
from recognition import following, tasks
from recognition.following import Follower
from recognition.pipeline import Pipeline
from recognition.tasks import embed_anew, model_facts, process_photos, survey_galleries
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory
from tests.recognition.walk import Screen, kiosk_at


def worker(pipeline: Pipeline, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch) -> Recogniser:
    """This process's recogniser, which follows the model in use without waiting a second."""
    monkeypatch.setattr(following, "ATTEND_EVERY_S", 0.0)
    follower = Follower(pipeline, settings.MODELS_DIR)
    recogniser = Recogniser(pipeline, outlet, model_facts(pipeline), follower)
    monkeypatch.setattr(tasks, "recogniser", lambda: recogniser)
    recogniser.version()
    tasks.register_installed()
    return recogniser


def site_with_threshold(version: ModelVersion) -> Site:
    """A site at the model's default threshold."""
    site: Site = SiteFactory.create(pad_policy=PadPolicy.OFF)
    thresholds.set_default(site, version)
    return site


def enrol(site: Site, name: str, photo: bytes) -> Employee:
    """Somebody enrolled by a photo that a worker has processed."""
    employee: Employee = EmployeeFactory.create(site=site, name=name, consented=True)
    enrolment.upload_photo(employee, file_name=name, data=photo, by=None)
    process_photos()
    return employee


def change_to(name: str) -> ModelChange:
    """A change to another installed model, every photo embedded and every site surveyed."""
    change = model_change.start(model_change.find_version(name), None)
    embed_anew()
    survey_galleries()
    return change


def jpeg(pixels: Pixels) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def gone(screen: Screen, recogniser: Recogniser) -> Decision:
    """Let whoever is there leave; the newest decision."""
    screen.rest()
    recogniser.drain()
    return Decision.objects.latest("pk")


@pytest.fixture
def site(recogniser: Recogniser) -> Site:
    return site_with_threshold(recogniser.version())


@pytest.fixture
def barack(site: Site, portraits: dict[str, Pixels]) -> Employee:
    return enrol(site, "Barack", jpeg(portraits["obama.jpg"]))


@pytest.fixture
def screen(site: Site, valkey: redis.Redis) -> Iterator[Screen]:
    opened = Screen(kiosk_at(site))
    yield opened
    opened.close()
