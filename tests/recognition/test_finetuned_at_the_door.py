"""From consented photos to the door: what a fine-tune may read, and its model brought into use."""

# mypy: allow-untyped-calls
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from django.db import connections
from pytest_django.fixtures import Settings

from accesscontrol import enrolment, model_change
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import (
    AuditEntry,
    Decision,
    Employee,
    EnrolmentPhoto,
    Outcome,
    Site,
    Template,
)
from recognition import tasks
from recognition.adapter import Adapter
from recognition.commands import main
from recognition.consented import ConsentedPhotos
from recognition.evaluate.datasets import DatasetError
from recognition.images import PHOTO_LIMITS, decode
from recognition.pipeline import Pipeline
from recognition.training.subjects import find_subjects
from recognition.tuned import Tuned
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, PhotoFactory
from tests.recognition.changing import barack, change_to, gone, screen, site, worker
from tests.recognition.importer import held
from tests.recognition.test_tuned import home, register
from tests.recognition.walk import Screen, picture, walk_up

__all__ = ["barack", "home", "screen", "site"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def recogniser(
    home: Path,
    pipeline: Pipeline,
    outlet: FrameOutlet,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Recogniser:
    """Of an installation of its own, with the default model in use."""
    settings.MODELS_DIR = home / "models"
    monkeypatch.setenv("GATEHOUSE_HOME", str(home))
    return worker(pipeline, outlet, monkeypatch)


def test_a_fine_tuned_model_takes_over_without_a_restart_and_can_be_rolled_back(
    home: Path,
    screen: Screen,
    recogniser: Recogniser,
    barack: Employee,
    portraits: dict[str, Pixels],
) -> None:
    walk = [picture(portraits["obama2.jpg"])] * 4
    old = recogniser.version()
    torch.manual_seed(0)
    adapter = Adapter(320)
    torch.nn.init.normal_(adapter.get_parameter("change.weight"), std=0.005)
    tuned = Tuned("fused", recogniser.pipeline.model, adapter.eval().requires_grad_(False))
    info = register(home, tuned, "our-site")

    tasks.register_installed()
    recogniser.follow()  # as every second: it says what is installed
    change = change_to("our-site")
    assert change.new.sha256 == info.sha256 != old.sha256
    assert change.new.is_calibrated
    made = Template.objects.filter(employee=barack).values_list("model_version", flat=True)
    assert set(made) == {old.pk, change.new.pk}, "the photo has a template of both"
    walk_up(screen, recogniser, walk)
    assert gone(screen, recogniser).model_version == old

    model_change.switch(None)
    walk_up(screen, recogniser, walk)
    assert gone(screen, recogniser).model_version == change.new
    assert recogniser.pipeline.model == info
    assert recogniser.pipeline.adapter is not None

    model_change.roll_back(None)
    walk_up(screen, recogniser, walk)
    assert gone(screen, recogniser).model_version == old
    decisions = Decision.objects.all()
    assert {(one.outcome, one.employee) for one in decisions} == {(Outcome.ACCEPTED, barack)}


class TestWhatItReads:
    def test_accepted_photos_of_people_with_consent_decrypted_when_they_are_asked_for(
        self, barack: Employee
    ) -> None:
        (photo,) = ConsentedPhotos().photos()
        row = EnrolmentPhoto.objects.get()
        content = photo.read()
        assert decode(content, PHOTO_LIMITS).pixels.size
        assert content not in bytes(row.sealed or b"")
        assert (photo.person, photo.name) == (str(barack.pk), str(row.pk))
        assert barack.name not in f"{photo.person} {photo.name}"

    def test_neither_waiting_nor_refused_photos_nor_those_of_people_who_left(
        self, site: Site
    ) -> None:
        there = EmployeeFactory.create(site=site, consented=True)
        left = EmployeeFactory.create(site=site, consented=True, is_active=False)
        PhotoFactory.create(employee=there)
        PhotoFactory.create(employee=there, refused=True)
        PhotoFactory.create(employee=left, accepted=True)
        kept = PhotoFactory.create(employee=there, accepted=True)
        assert [photo.name for photo in ConsentedPhotos().photos()] == [str(kept.pk)]

    def test_who_withdraws_while_it_reads_is_not_read(
        self, barack: Employee, pipeline: Pipeline
    ) -> None:
        source = ConsentedPhotos()
        (photo,) = list(source.photos())
        assert source.withdrawn([str(barack.pk)]) == set()
        enrolment.withdraw_consent(barack, by=None)
        assert photo.read() == b""
        assert list(source.photos()) == []
        assert source.withdrawn([str(barack.pk)]) == {str(barack.pk)}
        with pytest.raises(ValueError, match="no photo has a face"):
            find_subjects(pipeline, [photo])

    def test_a_photo_that_was_changed_is_left_out(self, barack: Employee) -> None:
        row = EnrolmentPhoto.objects.get()
        EnrolmentPhoto.objects.filter(pk=row.pk).update(sealed=bytes(row.sealed or b"")[:-1])
        (photo,) = ConsentedPhotos().photos()
        assert photo.read() == b""

    def test_the_audit_log_says_that_they_were_read(self, barack: Employee) -> None:
        list(ConsentedPhotos().photos())
        entry = AuditEntry.objects.latest("id")
        assert (entry.action, entry.detail) == (
            "read_photos_to_finetune",
            {"photos": 1, "people": 1},
        )


def test_the_command_reads_the_installation_in_memory_and_writes_no_picture(
    home: Path, barack: Employee, capsys: pytest.CaptureFixture[str]
) -> None:
    before, there = held(home), {path for path in home.rglob("*") if path.is_file()}
    (home / "cache").mkdir(exist_ok=True)
    options = ["--installation", "--device", "cpu", "--threads", "1", "--name", "our-site"]
    general = ["--general", str(home / "nobody")]
    assert main(["finetune", *options, *general], installation=ConsentedPhotos) == 1
    assert "no subfolders with images" in capsys.readouterr().err
    assert held(home) == before
    assert {path for path in home.rglob("*") if path.is_file()} == there


def test_an_installations_run_is_never_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEHOUSE_HOME", str(home))
    run = ["finetune", "--installation", "--run", str(home / "run")]
    assert main(run, installation=ConsentedPhotos) == 1
    assert "no training run is kept" in capsys.readouterr().err
    assert not (home / "run").exists()


@pytest.mark.django_db(transaction=True)
def test_without_its_database_an_installation_says_what_to_do() -> None:
    database = connections["default"]
    port = database.settings_dict["PORT"]
    database.close()
    database.settings_dict["PORT"] = "1"
    try:
        with pytest.raises(DatasetError, match=r"manage\.py up"):
            next(ConsentedPhotos().photos())
        with pytest.raises(DatasetError, match=r"manage\.py up"):
            ConsentedPhotos().withdrawn({"1"})
    finally:
        database.settings_dict["PORT"] = port
