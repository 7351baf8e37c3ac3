"""What a picture lacks becomes an advice: at the kiosk, in "why?", and for enrolment photos."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accesscontrol import advice, enrolment, quality
from accesscontrol.admin.why import why
from accesscontrol.decisions import (
    Candidate,
    Recorded,
    Verdict,
    kiosk_message,
    record_decision,
)
from accesscontrol.models import Decision, Outcome, Refusal
from accesscontrol.quality import Shortfall
from recognition.types import Shortfall as Measured
from tests.factories import PhotoFactory
from tests.presentations import door, evidence, policy_of

EVERY = pytest.mark.parametrize("shortfall", Shortfall.values)


def refused(outcome: Outcome, **seen: Any) -> Decision:
    """A presentation before a door that asks for a quality of 0.25, as it was recorded."""
    place = door()
    policy = replace(policy_of(place.site), lowest_quality=0.25)
    verdict = Verdict(outcome, Candidate(place.employee.pk, 0.31))
    shown = evidence(presentation=uuid.uuid4(), **seen)
    return record_decision(place.kiosk.pk, shown, verdict, policy).decision


def advised(decision: Decision) -> object:
    return kiosk_message(Recorded(decision, None, repeat=False), 1)["reason"]


def test_the_worker_and_the_domain_know_the_same_shortfalls() -> None:
    assert {str(name) for name in Measured} == set(Shortfall.values)


@EVERY
def test_each_shortfall_has_an_advice_for_everybody_who_can_do_something(shortfall: str) -> None:
    for sentence in (quality.ADVICE[shortfall], quality.AT_THE_DOOR[shortfall]):
        assert sentence.endswith(".")
        assert len(sentence) < 100
    assert quality.REFUSED[shortfall] in Refusal


@pytest.mark.parametrize("word", ["", None, "BLUR", 5, [], "NO_MATCH"])
def test_any_other_word_is_no_shortfall(word: object) -> None:
    assert quality.known(word) is None


@pytest.mark.django_db
class TestDecisions:
    @EVERY
    def test_a_picture_that_is_not_good_enough_says_what_to_mend(self, shortfall: str) -> None:
        decision = refused(Outcome.LOW_QUALITY, quality=0.2, shortfall=shortfall)
        assert decision.evidence["shortfall"] == shortfall
        assert advised(decision) == quality.ADVICE[shortfall]
        assert str(Shortfall(shortfall).label) in why(decision)
        assert quality.AT_THE_DOOR[shortfall] in why(decision)

    def test_a_face_that_was_seen_too_briefly_is_asked_to_stop(self) -> None:
        decision = refused(Outcome.LOW_QUALITY, quality=0.4, frames=1, shortfall="BLURRED")
        assert advised(decision) == advice.BRIEFLY_SEEN
        assert "too briefly" in why(decision)

    def test_somebody_not_recognised_is_told_what_the_picture_lacked(self) -> None:
        decision = refused(Outcome.NO_MATCH, quality=0.45, shortfall="COVERED")
        assert advised(decision) == "Not recognised. Please take off what covers your face."
        assert "something covered a part of the face (quality 0.45)" in why(decision)

    def test_a_good_picture_is_not_blamed(self) -> None:
        decision = refused(Outcome.NO_MATCH, quality=0.7)
        assert decision.evidence["shortfall"] is None
        assert advised(decision) == advice.BY_OUTCOME[Outcome.NO_MATCH]
        assert "picture" not in why(decision)

    @pytest.mark.parametrize(
        "outcome", [Outcome.AMBIGUOUS, Outcome.PAD_FAILED, Outcome.TOO_FAR, Outcome.EXPIRED]
    )
    def test_an_outcome_that_is_not_the_pictures_fault_keeps_its_own_advice(
        self, outcome: Outcome
    ) -> None:
        decision = refused(outcome, quality=0.1, shortfall="TOO_DARK")
        assert advised(decision) == advice.BY_OUTCOME[outcome]

    def test_a_word_that_nobody_knows_is_not_recorded(self) -> None:
        decision = refused(Outcome.LOW_QUALITY, quality=0.1, shortfall="<b>UGLY")
        assert decision.evidence["shortfall"] is None
        assert advised(decision) == advice.BY_OUTCOME[Outcome.LOW_QUALITY]


@pytest.mark.django_db
class TestPhotos:
    def page(self, client: Client, employee: int) -> str:
        answer = client.get(reverse("admin:accesscontrol_employee_change", args=[employee]))
        return str(answer.content, "utf-8")

    def test_a_refused_photo_says_why(self, admin_client: Client) -> None:
        photo = PhotoFactory.create(refused=True, refusal=Refusal.COVERED)
        assert enrolment.advice_on(photo).startswith("Something covers a part of the face.")
        assert "without mask" in self.page(admin_client, photo.employee_id)

    @EVERY
    def test_an_accepted_photo_that_could_be_better_says_how(
        self, admin_client: Client, shortfall: str
    ) -> None:
        photo = PhotoFactory.create(accepted=True, quality={"score": 0.5, "shortfall": shortfall})
        better = str(quality.REFUSED[shortfall].label)
        assert enrolment.advice_on(photo) == better
        text = self.page(admin_client, photo.employee_id)
        assert "Another photo would serve better." in text
        assert better in text

    @pytest.mark.parametrize("measured", [{}, {"score": 0.8, "shortfall": None}, {"score": 0.8}])
    def test_a_good_photo_or_one_of_earlier_times_says_nothing(
        self, admin_client: Client, measured: dict[str, object]
    ) -> None:
        photo = PhotoFactory.create(accepted=True, quality=measured)
        assert enrolment.advice_on(photo) == ""
        assert "serve better" not in self.page(admin_client, photo.employee_id)
