"""The worker's Celery tasks: wake-ups without content, harmless when something is away."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
import redis
from celery import current_app
from celery.schedules import crontab
from django.db import connections
from PIL import Image
from pytest_django.fixtures import Settings

from accesscontrol import enrolment
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import GallerySurvey, ModelVersion, PhotoStatus, Refusal
from recognition import tasks
from recognition.pipeline import Pipeline
from recognition.tasks import drain_slots, model_facts, process_photos, survey_galleries
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory, jpeg_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def recogniser(
    pipeline: Pipeline, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch
) -> Recogniser:
    """The process's own, but with the test's models, which are loaded already."""
    recogniser = Recogniser(pipeline, outlet, model_facts(pipeline))
    monkeypatch.setattr(tasks, "recogniser", lambda: recogniser)
    return recogniser


def messages(valkey: redis.Redis, queue: str) -> list[dict[str, object]]:
    """What waits in a queue of the broker."""
    return [json.loads(raw) for raw in valkey.lrange(queue, 0, -1)]


class TestPhotos:
    def test_all_that_wait_are_worked_off(
        self, recogniser: Recogniser, portraits: dict[str, Pixels], valkey: redis.Redis
    ) -> None:
        someone = EmployeeFactory.create(consented=True)
        portrait = Image.fromarray(portraits["obama.jpg"])
        portrait.thumbnail((600, 600))
        face = np.asarray(portrait)
        good = enrolment.upload_photo(someone, file_name="a", data=_png(face), by=None)
        bad = enrolment.upload_photo(someone, file_name="b", data=jpeg_bytes(300, 300), by=None)
        valkey.delete("enrolment")
        process_photos()
        good.refresh_from_db()
        bad.refresh_from_db()
        assert good.status == PhotoStatus.ACCEPTED
        assert bad.refusal == Refusal.NO_FACE
        assert messages(valkey, "enrolment") == [], "nothing is left to wake for"

    def test_a_long_queue_is_handed_over_to_a_new_message(
        self, recogniser: Recogniser, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tasks, "PHOTOS_A_WAKE_UP", 2)
        someone = EmployeeFactory.create(consented=True)
        for side in (300, 310, 320):
            enrolment.upload_photo(someone, file_name="a", data=jpeg_bytes(side), by=None)
        valkey.delete("enrolment")
        process_photos()
        assert enrolment.waiting_photos() == 1
        assert len(messages(valkey, "enrolment")) == 1

    def test_nothing_waiting_is_no_trouble(self, recogniser: Recogniser) -> None:
        process_photos()


class TestTrouble:
    @pytest.mark.django_db(transaction=True)
    def test_without_a_database_photos_stay_waiting(self, recogniser: Recogniser) -> None:
        someone = EmployeeFactory.create(consented=True)
        enrolment.upload_photo(someone, file_name="a", data=jpeg_bytes(300), by=None)
        database = connections["default"]
        port = database.settings_dict["PORT"]
        database.close()
        database.settings_dict["PORT"] = "1"
        try:
            process_photos()
            drain_slots()
            survey_galleries()
        finally:
            database.settings_dict["PORT"] = port
        assert enrolment.waiting_photos() == 1

    def test_without_the_slots_the_worker_lives_on(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nowhere = FrameOutlet(redis.Redis(port=1))
        lost = Recogniser(pipeline, nowhere, model_facts(pipeline))
        monkeypatch.setattr(tasks, "recogniser", lambda: lost)
        drain_slots()


class TestSurveys:
    def test_galleries_that_changed_are_surveyed(self, recogniser: Recogniser) -> None:
        site = SiteFactory.create()
        inactive = SiteFactory.create(is_active=False)
        survey_galleries()
        found = GallerySurvey.objects.get()
        assert (found.site, found.model_version) == (site, recogniser.version())
        assert found.site != inactive


class TestMessages:
    def test_live_frames_have_a_queue_of_their_own(self) -> None:
        routes = current_app.conf.task_routes
        assert routes["recognition.drain_slots"]["queue"] == "recognition"
        assert routes["recognition.survey_galleries"]["queue"] == "enrolment"
        assert current_app.conf.task_default_queue == "enrolment"

    def test_what_beat_sends_dies_with_what_it_tells_of(self, settings: Settings) -> None:
        for entry in settings.CELERY_BEAT_SCHEDULE.values():
            every = entry["schedule"]
            nightly = isinstance(every, crontab)
            assert entry["options"]["expires"] <= (24 * 3600 if nightly else every)
            assert "args" not in entry


class TestFacts:
    def test_they_are_the_loaded_models(self, pipeline: Pipeline) -> None:
        facts = model_facts(pipeline)
        assert (facts.name, facts.dimension) == ("mobilefacenet+resnet29", 320)
        assert facts.sha256 == pipeline.model.sha256
        assert len(facts.sha256) == 64
        assert facts.calibration["thresholds"]["1e-6"] > 0.8

    def test_a_calibration_of_other_weights_does_not_count(self) -> None:
        assert tasks._calibration("mobilefacenet", "0" * 64) == {}
        assert tasks._calibration("no such model", "0" * 64) == {}

    def test_registering_them_makes_the_first_model_the_active_one(
        self, recogniser: Recogniser
    ) -> None:
        assert not ModelVersion.objects.exists()
        version = recogniser.version()
        assert version.is_active
        assert recogniser.version() is version

    def test_a_calibration_falls_with_the_rate(self, pipeline: Pipeline) -> None:
        thresholds = model_facts(pipeline).calibration.get("thresholds", {})
        ordered = [value for _, value in sorted(thresholds.items(), key=lambda row: float(row[0]))]
        assert ordered == sorted(ordered, reverse=True)
        assert all(0 < value < 1 for value in ordered)


def _png(pixels: Pixels) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_worker_runs_its_models_before_the_first_person(recogniser: Recogniser) -> None:
    tasks.warm_up()
