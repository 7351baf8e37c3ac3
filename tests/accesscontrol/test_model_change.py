"""Changing the model: what each step asks for, what it changes, and what it must never do."""

# mypy: allow-untyped-calls
from __future__ import annotations

import functools

import pytest
import redis
from django.db import IntegrityError, transaction

from accesscontrol import (
    embedding_anew,
    enrolment,
    model_change,
    model_versions,
    sites,
    worker_models,
)
from accesscontrol.frames import FrameOutlet
from accesscontrol.model_change import ModelChangeError
from accesscontrol.models import AuditEntry, ModelChange, ModelVersion, Site, Template, Threshold
from tests.concurrency import at_once, errors
from tests.constraints import refused
from tests.factories import (
    ConsentFactory,
    EmployeeFactory,
    ModelVersionFactory,
    PhotoFactory,
    SiteFactory,
)
from tests.model_changes import embed_all, enrolled, ready_change, started, two_models

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


class TestStart:
    def test_the_model_in_use_goes_on_recognising(self) -> None:
        old, new = two_models()
        change = started(new)
        assert (change.old, change.new, change.stage) == (old, new, "PREPARING")
        assert model_versions.active() == old
        assert model_versions.kept() == [old, new]
        assert AuditEntry.objects.filter(action="start_model_change").exists()

    def test_it_finds_a_model_by_name_by_version_and_by_the_embedders_name(self) -> None:
        ours = ModelVersionFactory.create(name="mobilefacenet+resnet29", version="1")
        assert model_change.find_version("fused") == ours
        assert model_change.find_version("mobilefacenet+resnet29 1") == ours
        second = ModelVersionFactory.create(name=ours.name, version="2", is_active=False)
        with pytest.raises(ModelChangeError, match="Several models"):
            model_change.find_version("fused")
        assert model_change.find_version("mobilefacenet+resnet29 2") == second
        with pytest.raises(ModelChangeError, match=r"No model is registered as other.*resnet29 1"):
            model_change.find_version("other")

    def test_not_to_the_model_in_use(self) -> None:
        old, _ = two_models()
        with pytest.raises(ModelChangeError, match="is the model in use"):
            started(old)

    def test_not_to_one_without_a_calibration(self) -> None:
        _, new = two_models()
        new.calibration = {}
        new.save()
        with pytest.raises(ModelChangeError, match="evaluate calibrate --embedder new"):
            started(new)

    def test_not_to_one_that_no_running_worker_has(self, outlet: FrameOutlet) -> None:
        old, new = two_models()
        outlet.worker_reports.tell("w", [old.sha256], [old.sha256])
        with pytest.raises(ModelChangeError, match="No running worker has new"):
            started(new)
        outlet.worker_reports.tell("w", [old.sha256, new.sha256], [old.sha256])
        assert started(new).is_open

    def test_not_twice_at_a_time(self) -> None:
        _, new = two_models()
        started(new)
        third = ModelVersionFactory.create(is_active=False)
        with pytest.raises(ModelChangeError, match="Another change is open"):
            started(third)

    @pytest.mark.django_db(transaction=True)
    def test_of_two_at_once_one_is_started(self) -> None:
        _, new = two_models()
        results = at_once([functools.partial(started, new)] * 4)
        assert len(errors(results)) == 3
        assert ModelChange.objects.count() == 1


class TestSwitch:
    def test_from_its_commit_on_the_new_model_recognises(self) -> None:
        change, _ = ready_change()
        model_change.switch(None)
        assert model_versions.active() == change.new
        assert ModelChange.objects.get().stage == "SWITCHED"
        assert model_versions.kept() == [change.new, change.old], "the old one is kept up to date"
        assert AuditEntry.objects.filter(action="switch_model").exists()

    def test_not_before_every_photo_is_through(self) -> None:
        _, new = two_models()
        enrolled(3)
        started(new)
        with pytest.raises(ModelChangeError, match="3 of 3 photos"):
            model_change.switch(None)
        assert model_versions.active() != new

    def test_not_while_a_running_worker_has_not_loaded_it(self, outlet: FrameOutlet) -> None:
        change, _ = ready_change()
        both = [change.old.sha256, change.new.sha256]
        outlet.worker_reports.tell("a", both, both)
        outlet.worker_reports.tell("b", both, both[:1])
        with pytest.raises(ModelChangeError, match="has loaded new"):
            model_change.switch(None)
        outlet.worker_reports.tell("b", both, both)
        assert model_change.switch(None).stage == "SWITCHED"

    def test_people_who_would_be_lost_are_named_and_left_behind_only_knowingly(self) -> None:
        _, new = two_models()
        lost, *_ = enrolled(3)
        started(new)
        embed_all(new, failing=lost.photos.values_list("pk", flat=True))
        with pytest.raises(ModelChangeError, match=f"{lost.name}.*--leave-behind"):
            model_change.switch(None)
        model_change.switch(None, leave_behind=True)
        entry = AuditEntry.objects.get(action="switch_model")
        assert entry.detail["left_behind"] == [lost.pk]

    def test_without_a_change_there_is_nothing_to_switch(self) -> None:
        two_models()
        with pytest.raises(ModelChangeError, match="No model change is open"):
            model_change.switch(None)

    def test_a_site_that_is_closed_or_new_has_its_threshold_too(self) -> None:
        _, new = two_models()
        closed = SiteFactory.create(is_active=False)
        started(new)
        added = sites.new_site("Added", None)
        model_change.switch(None)
        for site in (closed, added):
            assert Threshold.objects.filter(site=site, model_version=new).exists()

    @pytest.mark.django_db(transaction=True)
    def test_at_once_with_a_cancel_one_of_the_two_holds(self) -> None:
        change, _ = ready_change()
        results = at_once(
            [
                functools.partial(model_change.switch, None),
                functools.partial(model_change.cancel, None),
            ]
        )
        assert len(errors(results)) == 1
        change.refresh_from_db()
        active = model_versions.active()
        assert (change.stage, active) in [("SWITCHED", change.new), ("CANCELLED", change.old)]


class TestRollBack:
    def test_the_old_model_recognises_again_with_its_templates(self) -> None:
        change, employees = ready_change()
        model_change.switch(None)
        model_change.roll_back(None)
        assert model_versions.active() == change.old
        assert Template.objects.filter(model_version=change.old).count() == len(employees)
        model_change.switch(None)
        assert model_versions.active() == change.new, "there and back as often as need be"

    def test_who_was_enrolled_since_the_switch_is_known_to_the_old_model_too(self) -> None:
        change, (first, *_) = ready_change()
        model_change.switch(None)
        late = EmployeeFactory.create(site=first.site, consented=True)
        PhotoFactory.create(employee=late, accepted=True)
        assert embed_all(change.new) == 1
        assert embed_all(change.old) == 1
        model_change.roll_back(None)
        assert set(late.templates.values_list("model_version", flat=True)) == {
            change.old_id, change.new_id,
        }  # fmt: skip

    def test_nothing_holds_it_up_and_who_is_lost_by_it_is_written_down(self) -> None:
        change, (first, *_) = ready_change()
        model_change.switch(None)
        late = EmployeeFactory.create(site=first.site, consented=True)
        photo = PhotoFactory.create(employee=late, accepted=True)
        embed_all(change.new)
        embed_all(change.old, failing=[photo.pk])
        model_change.roll_back(None)
        assert AuditEntry.objects.get(action="roll_back_model").detail["left_behind"] == [late.pk]

    def test_before_a_switch_there_is_nothing_to_roll_back(self) -> None:
        ready_change()
        with pytest.raises(ModelChangeError, match="another stage"):
            model_change.roll_back(None)


class TestEnd:
    def test_a_finished_change_gives_the_old_templates_up(self) -> None:
        change, employees = ready_change()
        model_change.switch(None)
        model_change.finish(None)
        assert embedding_anew.sweep(2) == 2
        assert embedding_anew.sweep(100) == len(employees) - 2
        assert embedding_anew.sweep(100) == 0
        assert set(Template.objects.values_list("model_version", flat=True)) == {change.new_id}

    def test_a_cancelled_one_gives_the_new_ones_up_and_can_be_started_again(self) -> None:
        change, employees = ready_change()
        model_change.cancel(None)
        assert embedding_anew.sweep(100) == len(employees)
        assert set(Template.objects.values_list("model_version", flat=True)) == {change.old_id}
        started(change.new)
        assert embedding_anew.sweep(100) == 0
        assert embed_all(change.new) == len(employees)

    def test_while_it_is_open_nothing_is_swept(self) -> None:
        ready_change()
        assert embedding_anew.sweep(100) == 0
        model_change.switch(None)
        assert embedding_anew.sweep(100) == 0

    def test_not_finished_before_the_switch_nor_cancelled_after_it(self) -> None:
        ready_change()
        with pytest.raises(ModelChangeError, match="another stage"):
            model_change.finish(None)
        model_change.switch(None)
        with pytest.raises(ModelChangeError, match="another stage"):
            model_change.cancel(None)


class TestInvariants:
    def test_two_changes_are_never_open_at_once(self) -> None:
        old, new = two_models()
        ModelChange.objects.create(old=old, new=new)
        with pytest.raises(IntegrityError, match="one_open_model_change"), transaction.atomic():
            ModelChange.objects.create(old=old, new=new)

    def test_a_change_is_between_two_models(self) -> None:
        old, _ = two_models()
        with pytest.raises(IntegrityError, match="model_change_changes"), transaction.atomic():
            ModelChange.objects.create(old=old, new=old)

    @pytest.mark.parametrize("stage", ["PREPARING", "SWITCHED"])
    def test_the_model_in_use_is_the_stages_whoever_writes_it(self, stage: str) -> None:
        change, _ = ready_change()
        if stage == "SWITCHED":
            model_change.switch(None)
        with refused("model_change_fits"):
            ModelVersion.objects.update(is_active=False)
        other = "SWITCHED" if stage == "PREPARING" else "PREPARING"
        with refused("model_change_fits"):
            ModelChange.objects.filter(pk=change.pk).update(
                stage=other, switched_at=change.started_at
            )

    def test_an_end_has_its_time(self) -> None:
        change, _ = ready_change()
        with pytest.raises(IntegrityError, match="model_change_ends"), transaction.atomic():
            ModelChange.objects.filter(pk=change.pk).update(stage="CANCELLED")


class TestPeople:
    def test_who_has_no_photo_or_none_that_embeds_is_listed_with_the_reason(self) -> None:
        _, new = two_models()
        blurred, fine = enrolled(2)
        bare = EmployeeFactory.create(site=fine.site, consented=True)
        EmployeeFactory.create(site=fine.site)  # without consent there is nothing to enrol
        EmployeeFactory.create(site=fine.site, consented=True, is_active=False)
        started(new)
        embed_all(new, failing=blurred.photos.values_list("pk", flat=True))
        found = {one.employee: one for one in embedding_anew.left_out(new)}
        assert set(found) == {blurred, bare}
        assert found[blurred].known_now
        assert "blurred" in found[blurred].reasons[0]
        assert not found[bare].known_now
        assert "no photo" in found[bare].reasons[0]

    def test_who_still_waits_is_not_listed(self) -> None:
        _, new = two_models()
        enrolled(2)
        pending = EmployeeFactory.create()
        PhotoFactory.create(employee=pending, consent=ConsentFactory.create(employee=pending))
        started(new)
        assert embedding_anew.left_out(new) == []

    def test_one_photo_of_several_is_enough(self) -> None:
        _, new = two_models()
        (person,) = enrolled(1, photos=3)
        started(new)
        embed_all(new, failing=person.photos.values_list("pk", flat=True)[:2])
        assert embedding_anew.left_out(new) == []
        assert embedding_anew.progress(new).percent == 100

    def test_who_withdrew_meanwhile_has_no_template_of_either_model(self) -> None:
        change, (first, second) = ready_change(2)
        enrolment.withdraw_consent(first, by=None)
        assert set(Template.objects.values_list("employee", flat=True)) == {second.pk}
        assert embed_all(change.new) == 0

    def test_another_try_takes_up_what_has_failed(self) -> None:
        _, new = two_models()
        lost, *_ = enrolled(2)
        started(new)
        embed_all(new, failing=lost.photos.values_list("pk", flat=True))
        assert model_change.try_again(None) == 1
        assert embed_all(new) == 1
        assert embedding_anew.left_out(new) == []


def test_a_lost_valkey_does_not_hold_a_switch_up(
    valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_change()

    def gone() -> list[object]:
        raise redis.ConnectionError

    monkeypatch.setattr(worker_models, "alive", gone)
    assert model_change.switch(None).stage == "SWITCHED"


def test_no_site_is_without_a_threshold_after_a_switch() -> None:
    change, _ = ready_change()
    model_change.switch(None)
    assert not Site.objects.exclude(thresholds__model_version=change.new).exists()
