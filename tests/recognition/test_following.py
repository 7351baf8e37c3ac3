"""A worker follows the model in use: at once, without a restart, and never with two in one."""

# mypy: allow-untyped-calls
from __future__ import annotations

import numpy as np
import pytest
from django.conf import settings

from accesscontrol import embedding_anew, model_change, model_versions
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import (
    Decision,
    Employee,
    ModelVersion,
    Outcome,
    PhotoStatus,
    Site,
    Template,
)
from recognition import carried, following, tasks
from recognition.embedders import embed_again, installed
from recognition.following import Follower
from recognition.pipeline import Pipeline
from recognition.tasks import embed_anew, process_photos
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, ModelVersionFactory, PhotoFactory
from tests.recognition.changing import barack, change_to, enrol, gone, jpeg, screen, site, worker
from tests.recognition.walk import Screen, picture, walk_up
from tests.services import until

__all__ = ["barack", "screen", "site"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def recogniser(
    pipeline: Pipeline, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch
) -> Recogniser:
    return worker(pipeline, outlet, monkeypatch)


@pytest.fixture
def walk(portraits: dict[str, Pixels]) -> list[bytes]:
    return [picture(portraits["obama2.jpg"])] * 4


class TestEmbedders:
    def test_what_is_installed_is_registered_beside_the_model_in_use(
        self, recogniser: Recogniser
    ) -> None:
        names = set(ModelVersion.objects.values_list("name", flat=True))
        assert names == {"mobilefacenet", "mobilefacenet+resnet29"}
        assert model_versions.active() == recogniser.version()
        tasks.register_installed()
        assert ModelVersion.objects.count() == 2

    def test_nothing_is_registered_before_there_is_a_model_in_use(self) -> None:
        tasks.register_installed()
        assert not ModelVersion.objects.exists()

    def test_one_loaded_beside_gives_what_it_gives_alone(
        self, pipeline: Pipeline, models_dir: object, portraits: dict[str, Pixels]
    ) -> None:
        folder = settings.MODELS_DIR
        beside = pipeline.beside(folder, "mobilefacenet")
        alone = Pipeline.load(folder, device="cpu", threads=1, embedder="mobilefacenet")
        image = portraits["obama.jpg"]
        (one,), (other,) = (p.analyse_pixels([image])[0].faces for p in (beside, alone))
        assert one.embedding is not None
        assert other.embedding is not None
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-6)
        assert beside.model == alone.model
        assert beside.detector is pipeline.detector

    @pytest.mark.parametrize("width", [640, 2000])
    def test_faces_found_before_are_embedded_as_if_found_anew(
        self, pipeline: Pipeline, portraits: dict[str, Pixels], width: int
    ) -> None:
        beside = pipeline.beside(settings.MODELS_DIR, "mobilefacenet")
        image = picture(
            portraits["obama.jpg"], portraits["biden.jpg"], width=width, height=width * 2 // 3
        )
        faces = pipeline.analyse([image])[0].faces
        wanted = {tuple(f.box): f.embedding for f in beside.analyse([image])[0].faces}
        vectors = embed_again(beside.embedding, image, faces)
        assert len(faces) == 2
        for face, vector in zip(faces, vectors, strict=True):
            same = wanted[tuple(face.box)]
            assert same is not None
            assert float(vector @ same) > 0.9999

    def test_a_model_that_is_not_installed_is_not_loaded_and_not_tried_all_the_time(
        self, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
    ) -> None:
        theirs = ModelVersionFactory.create(name="theirs")
        follower = Follower(pipeline, settings.MODELS_DIR)
        assert follower.pipeline_of(theirs) is None
        assert follower.pipeline_of(theirs) is None
        assert sum("cannot be loaded" in record.message for record in caplog.records) == 1

    def test_it_is_loaded_ahead_in_a_thread_of_its_own_and_let_go_afterwards(
        self, pipeline: Pipeline, recogniser: Recogniser
    ) -> None:
        follower = Follower(pipeline, settings.MODELS_DIR)
        other = model_change.find_version("mobilefacenet")
        follower.load_ahead(other)
        until(lambda: follower.has(other), "it is loaded", 30)
        follower.keep_only([recogniser.version()])
        assert follower.loaded == {pipeline.model.sha256}
        assert other.sha256 in follower.installed
        assert set(installed(settings.MODELS_DIR)) == {"mobilefacenet", "fused"}


class TestAtTheDoor:
    def test_a_person_is_recognised_before_during_and_after_each_by_one_model(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        old = recogniser.version()
        walk_up(screen, recogniser, walk)
        assert gone(screen, recogniser).model_version == old

        change = change_to("mobilefacenet")
        walk_up(screen, recogniser, walk)
        assert gone(screen, recogniser).model_version == old

        model_change.switch(None)
        walk_up(screen, recogniser, walk)
        assert gone(screen, recogniser).model_version == change.new
        assert recogniser.version() == change.new

        model_change.roll_back(None)
        walk_up(screen, recogniser, walk)
        assert gone(screen, recogniser).model_version == old
        for decision in Decision.objects.select_related("threshold_row"):
            assert (decision.outcome, decision.employee) == (Outcome.ACCEPTED, barack)
            assert decision.threshold_row is not None
            assert decision.threshold_row.model_version_id == decision.model_version_id
        assert Decision.objects.count() == 4

    def test_a_walk_up_under_way_at_the_switch_begins_anew_and_mixes_nothing(
        self,
        screen: Screen,
        recogniser: Recogniser,
        barack: Employee,
        walk: list[bytes],
        outlet: FrameOutlet,
    ) -> None:
        change = change_to("mobilefacenet")
        walk_up(screen, recogniser, walk[:1])
        model_change.switch(None)
        walk_up(screen, recogniser, walk[:1])
        (begun,) = carried.load(outlet.load_tracks(screen.kiosk.pk) or b"", recogniser._basis())
        assert (begun.frames, begun.total.size) == (1, change.new.dimension)
        walk_up(screen, recogniser, walk[:2])
        decision = Decision.objects.get()
        assert (decision.outcome, decision.model_version) == (Outcome.ACCEPTED, change.new)
        assert decision.frames <= 3, "of the frames since the switch alone"

    def test_a_worker_that_cannot_load_the_model_in_use_accepts_nobody(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        ModelVersion.objects.update(is_active=False)
        ModelVersionFactory.create(name="theirs", dimension=512)
        walk_up(screen, recogniser, walk)
        assert gone(screen, recogniser).outcome == Outcome.NOT_CALIBRATED
        PhotoFactory.create(employee=EmployeeFactory.create(consented=True))
        process_photos()
        assert barack.photos.get().status == PhotoStatus.ACCEPTED
        assert PhotoFactory._meta.model.objects.filter(status=PhotoStatus.PENDING).count() == 1

    def test_workers_say_what_they_have_so_that_a_switch_can_wait_for_it(
        self, recogniser: Recogniser, outlet: FrameOutlet, barack: Employee
    ) -> None:
        change = model_change.start(model_change.find_version("mobilefacenet"), None)
        recogniser.drain()
        until(lambda: recogniser._model.has(change.new), "it is loaded", 30)
        recogniser.drain()
        (said,) = outlet.worker_reports.alive()
        assert {change.old.sha256, change.new.sha256} <= said.loaded


class TestPhotos:
    def test_photos_are_embedded_beside_the_old_templates(
        self, recogniser: Recogniser, barack: Employee
    ) -> None:
        change = change_to("mobilefacenet")
        made = Template.objects.get(model_version=change.new)
        assert (made.employee, made.dimension) == (barack, 192)
        assert Template.objects.filter(model_version=change.old).count() == 1
        assert embedding_anew.progress(change.new).percent == 100

    def test_a_photo_enrolled_meanwhile_has_both_by_itself(
        self, recogniser: Recogniser, barack: Employee, site: Site, portraits: dict[str, Pixels]
    ) -> None:
        change = change_to("mobilefacenet")
        joe = enrol(site, "Joe", jpeg(portraits["biden.jpg"]))
        embed_anew()
        assert joe.templates.count() == 2
        model_change.switch(None)
        late = enrol(site, "Neil", jpeg(portraits["astronaut.png"]))
        assert set(late.templates.values_list("model_version", flat=True)) == {change.new_id}
        embed_anew()
        assert late.templates.count() == 2, "for a roll back"

    def test_a_photo_that_cannot_be_used_says_why_and_keeps_what_it_had(
        self, recogniser: Recogniser, barack: Employee, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        PhotoFactory._meta.model.objects.update(sealed=bytes(5000))
        change = change_to("mobilefacenet")
        (lost,) = embedding_anew.left_out(change.new)
        assert (lost.employee, lost.known_now) == (barack, True)
        assert Template.objects.get().model_version == change.old

    def test_once_finished_the_old_templates_go_piece_by_piece(
        self, recogniser: Recogniser, barack: Employee
    ) -> None:
        change = change_to("mobilefacenet")
        model_change.switch(None)
        model_change.finish(None)
        embed_anew()
        assert Template.objects.get().model_version == change.new


def test_without_a_follower_a_worker_stays_what_it_is(
    pipeline: Pipeline, outlet: FrameOutlet
) -> None:
    lone = Recogniser(pipeline, outlet, tasks.model_facts(pipeline))
    assert lone.follow()
    ModelVersion.objects.update(is_active=False)
    assert not lone.follow()
    assert following.embedder_of(lone.version(), settings.MODELS_DIR) == "fused"
