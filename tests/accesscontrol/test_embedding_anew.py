"""Embedding photos anew, piece by piece: whatever dies, comes or goes meanwhile, it comes right."""

# mypy: allow-untyped-calls
from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accesscontrol import embedding_anew, enrolment, model_change
from accesscontrol.enrolment import CLAIM_LASTS
from accesscontrol.models import EmbeddingAttempt, EnrolmentPhoto, Refusal, Template
from tests.concurrency import at_once, errors
from tests.enrolled import template, unit
from tests.factories import EmployeeFactory, PhotoFactory
from tests.model_changes import embed_all, enrolled, face_of, started, two_models

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]


def lapse() -> None:
    EmbeddingAttempt.objects.update(claimed_at=timezone.now() - CLAIM_LASTS - timedelta(seconds=1))


def test_a_worker_that_died_leaves_a_claim_that_lapses_and_nothing_twice() -> None:
    _, new = two_models()
    enrolled(4)
    started(new)
    first, *rest = embedding_anew.next_due(new, 10)
    dying = embedding_anew.claim(first, new)
    assert dying is not None
    assert embedding_anew.claim(first, new) is None, "somebody else has it"
    assert embedding_anew.next_due(new, 10) == rest
    assert embed_all(new) == 3
    assert embedding_anew.progress(new).waiting == 1
    lapse()
    assert embed_all(new) == 1
    assert not embedding_anew.keep_template(dying, face_of(dying, 320), new), "it woke up late"
    assert Template.objects.filter(model_version=new).count() == 4
    assert not EmbeddingAttempt.objects.exists()


def test_a_photo_that_ends_its_workers_is_given_up_and_does_not_stop_the_others() -> None:
    _, new = two_models()
    enrolled(2)
    started(new)
    killer = embedding_anew.next_due(new, 1)[0]
    for _ in range(embedding_anew.MAX_ATTEMPTS):
        assert embedding_anew.claim(killer, new) is not None
        lapse()
    assert embedding_anew.claim(killer, new) is None
    assert EmbeddingAttempt.objects.get().refusal == Refusal.NOT_PROCESSED
    assert embed_all(new) == 1
    progress = embedding_anew.progress(new)
    assert (progress.done, progress.failed, progress.waiting, progress.percent) == (1, 1, 0, 100)


def test_progress_counts_what_is_through() -> None:
    old, new = two_models()
    enrolled(4)
    started(new)
    assert embedding_anew.progress(new).percent == 0
    photo = embedding_anew.claim(embedding_anew.next_due(new, 1)[0], new)
    assert photo is not None
    embedding_anew.keep_template(photo, face_of(photo, 320), new)
    progress = embedding_anew.progress(new)
    assert (progress.done, progress.waiting, progress.percent) == (1, 3, 25)
    assert (progress.a_minute, progress.minutes_left) == (1, 3)
    assert embedding_anew.progress(old).waiting == 0


def test_a_photo_enrolled_meanwhile_gets_a_template_of_both() -> None:
    old, new = two_models()
    (person,) = enrolled(1)
    started(new)
    embed_all(new)
    template(person, unit(99), version=old)
    assert embedding_anew.progress(new).waiting == 1
    embed_all(new)
    counts = [Template.objects.filter(model_version=version).count() for version in (old, new)]
    assert counts == [2, 2]


def test_a_photo_erased_while_it_is_embedded_leaves_no_template_of_either() -> None:
    _, new = two_models()
    (person,) = enrolled(1)
    started(new)
    photo = embedding_anew.claim(embedding_anew.next_due(new, 1)[0], new)
    assert photo is not None
    enrolment.withdraw_consent(person, by=None)
    assert not embedding_anew.keep_template(photo, face_of(photo, 320), new)
    embedding_anew.give_up(photo, new, Refusal.NO_FACE)
    assert not Template.objects.exists()
    assert not EmbeddingAttempt.objects.exists()
    assert not EnrolmentPhoto.objects.exists()


def test_a_photo_embedded_after_the_change_was_cancelled_leaves_no_template() -> None:
    _, new = two_models()
    enrolled(1)
    started(new)
    photo = embedding_anew.claim(embedding_anew.next_due(new, 1)[0], new)
    assert photo is not None
    model_change.cancel(None)
    assert not embedding_anew.keep_template(photo, face_of(photo, 320), new)
    assert not Template.objects.filter(model_version=new).exists()


def test_waiting_and_refused_photos_are_not_embedded() -> None:
    _, new = two_models()
    someone = EmployeeFactory.create(consented=True)
    PhotoFactory.create(employee=someone)
    PhotoFactory.create(employee=someone, refused=True)
    started(new)
    assert embedding_anew.next_due(new, 10) == []
    assert embedding_anew.progress(new).photos == 0


def test_an_accepted_photo_without_a_template_of_the_model_in_use_is_due_without_a_change() -> None:
    old, _ = two_models()
    PhotoFactory.create(employee=EmployeeFactory.create(consented=True), accepted=True)
    assert embedding_anew.progress(old).waiting == 1
    assert embed_all(old) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_embed_each_photo_once() -> None:
    _, new = two_models()
    enrolled(6, photos=2)
    started(new)

    def work() -> int:
        count = 0
        for photo_id in embedding_anew.next_due(new, 100):
            photo = embedding_anew.claim(photo_id, new)
            if photo is not None:
                count += embedding_anew.keep_template(photo, face_of(photo, 320), new)
        return count

    counts = at_once([work, work, work])
    assert not errors(counts)
    assert sum(counts) == 12
    assert Template.objects.filter(model_version=new).count() == 12
    assert embedding_anew.progress(new).waiting == 0


@pytest.mark.django_db(transaction=True)
def test_a_withdrawal_at_once_with_the_embedding_leaves_nothing() -> None:
    _, new = two_models()
    people = enrolled(4)
    started(new)
    photos = [embedding_anew.claim(pk, new) for pk in embedding_anew.next_due(new, 10)]

    def embed() -> None:
        for photo in photos:
            assert photo is not None
            embedding_anew.keep_template(photo, face_of(photo, 320), new)

    def withdraw() -> None:
        for person in people:
            enrolment.withdraw_consent(person, by=None)

    assert not errors(at_once([embed, withdraw]))
    assert not Template.objects.exists()
