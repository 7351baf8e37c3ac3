"""The step-up of look-alikes: for this pair only, one walk-up, one punch at most."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from accesscontrol import (
    budgets,
    credentials,
    decisions,
    enrolment,
    keyring,
    look_alikes,
    sign_in,
    step_ups,
)
from accesscontrol.admin.why import why
from accesscontrol.credentials import CredentialError
from accesscontrol.decisions import Policy, Recorded
from accesscontrol.gallery import Probe, nearest
from accesscontrol.gallery_health import REPEATED, gallery_health
from accesscontrol.models import (
    Decision,
    Employee,
    Kiosk,
    LookAlike,
    Method,
    Outcome,
    Punch,
    Site,
)
from accesscontrol.replay import replay
from accesscontrol.throttling import Refused
from tests.concurrency import at_once, errors
from tests.constraints import refused
from tests.enrolled import Vector, rotated, template, turned, unit
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    SiteFactory,
    active_model_version,
)
from tests.presentations import evidence, policy_of
from tests.sign_ins import BADGE, OTHER_PIN, PIN, attempt, signed_in

pytestmark = pytest.mark.django_db

FACE = unit(1)


@dataclass
class Twins:
    """Two people of a site whose templates are almost one, a third one like nobody, and a kiosk."""

    site: Site
    kiosk: Kiosk
    asha: Employee
    bela: Employee
    cleo: Employee
    policy: Policy

    def walk_up(self, face: Vector = FACE, **fields: Any) -> Recorded:
        """Somebody with this face comes by: searched, decided and recorded as by a worker."""
        shown = evidence(**fields)
        rotation = keyring.load(settings.KEYRING_PATH).templates.current
        probe = Probe(self.site.pk, rotated(face))
        (candidates,) = nearest([probe], active_model_version(), rotation)
        verdict = decisions.decide(shown, candidates, self.policy, timezone.now())
        pair = step_ups.pair_to_ask(shown, verdict, candidates, self.policy)
        if pair:
            shown = step_ups.with_offer(shown, pair)
        return decisions.record_decision(self.kiosk.pk, shown, verdict, self.policy, candidates)

    def answer(self, asked: Recorded, **fields: Any) -> Recorded:
        presentation = asked.decision.presentation
        return signed_in(self.kiosk, attempt(presentation=presentation, **fields))


@pytest.fixture
def twins() -> Twins:
    site = SiteFactory.create()
    people = [
        EmployeeFactory.create(site=site, consented=True, name=name)
        for name in ("Asha", "Bela", "Cleo")
    ]
    for person, face in zip(people, (FACE, turned(FACE, 0.98, seed=2), unit(3)), strict=True):
        template(person, face)
    asha, bela, cleo = people
    credentials.set_pin(asha, PIN, by=None)
    credentials.set_pin(bela, OTHER_PIN, by=None)
    kiosk = KioskFactory.create(site=site, paired=True)
    return Twins(site, kiosk, asha, bela, cleo, policy_of(site))


@pytest.fixture
def pair(twins: Twins) -> LookAlike:
    return look_alikes.confirm_two_people(twins.bela, twins.asha, by=None)


def asks(recorded: Recorded) -> bool:
    message = step_ups.asks(decisions.kiosk_message(recorded, 1), recorded)
    return message.get("ask_pin_ms") == 20_000 and message["reason"] == "Please enter your PIN."


class TestWhoIsAsked:
    def test_the_two_where_they_cannot_be_told_apart(self, twins: Twins, pair: LookAlike) -> None:
        seen = twins.walk_up()
        assert seen.decision.outcome == Outcome.AMBIGUOUS
        assert asks(seen)
        assert not Punch.objects.exists()

    def test_nobody_whom_neither_enrolment_nor_hr_has_paired(self, twins: Twins) -> None:
        seen = twins.walk_up()
        assert seen.decision.outcome == Outcome.AMBIGUOUS
        assert not asks(seen)

    def test_nobody_else(self, twins: Twins, pair: LookAlike) -> None:
        seen = twins.walk_up(unit(3))
        assert (seen.decision.outcome, seen.decision.employee) == (Outcome.ACCEPTED, twins.cleo)
        assert not asks(seen)

    def test_neither_of_the_two_where_the_margin_is_clear(
        self, twins: Twins, pair: LookAlike
    ) -> None:
        twins.policy = replace(twins.policy, margin=0.001)
        assert twins.walk_up().decision.employee == twins.asha

    def test_nobody_where_a_third_one_is_within_the_margin(
        self, twins: Twins, pair: LookAlike
    ) -> None:
        template(twins.cleo, turned(FACE, 0.97, seed=4))
        seen = twins.walk_up()
        assert seen.decision.outcome == Outcome.AMBIGUOUS
        assert not asks(seen)

    def test_nobody_who_was_seen_too_briefly_to_be_accepted(
        self, twins: Twins, pair: LookAlike
    ) -> None:
        twins.policy = replace(twins.policy, doubtful_frames=50, clear_lead=0.9)
        assert not asks(twins.walk_up())

    def test_nobody_below_the_threshold(self, twins: Twins, pair: LookAlike) -> None:
        assert not asks(twins.walk_up(turned(FACE, 0.4, seed=5)))

    def test_nobody_who_has_nothing_to_answer_with(self, twins: Twins, pair: LookAlike) -> None:
        for person in (twins.asha, twins.bela):
            credentials.revoke_pin(person, by=None)
        assert not asks(twins.walk_up())

    def test_nobody_after_the_pair_was_ended(self, twins: Twins, pair: LookAlike) -> None:
        assert look_alikes.end_pair(twins.asha, twins.bela, by=None)
        assert not asks(twins.walk_up())


class TestAnswered:
    @pytest.mark.parametrize(("pin", "name"), [(PIN, "Asha"), (OTHER_PIN, "Bela")])
    def test_with_a_pin_it_is_who_has_it(
        self, twins: Twins, pair: LookAlike, pin: str, name: str
    ) -> None:
        asked = twins.walk_up()
        done = twins.answer(asked, pin=pin)
        assert done.decision.employee is not None
        assert done.decision.employee.name == name
        assert done.decision.method == Method.FACE_AND_PIN
        assert done.decision.steps_up == asked.decision
        assert Punch.objects.get().employee.name == name

    def test_with_a_badge_too(self, twins: Twins, pair: LookAlike) -> None:
        credentials.add_badge(twins.bela, BADGE, by=None)
        done = twins.answer(twins.walk_up(), badge=BADGE)
        assert (done.decision.employee, done.decision.method) == (twins.bela, "FACE_AND_BADGE")

    def test_the_first_decision_stays_as_it_was(self, twins: Twins, pair: LookAlike) -> None:
        asked = twins.walk_up()
        twins.answer(asked, pin=PIN)
        assert Decision.objects.get(pk=asked.decision.pk).outcome == Outcome.AMBIGUOUS

    def test_why_tells_both_rows_as_one_story(self, twins: Twins, pair: LookAlike) -> None:
        asked = twins.walk_up()
        assert "nobody answered within 20 seconds" in why(asked.decision)
        done = twins.answer(asked, pin=PIN)
        assert f"it was answered: see decision {done.decision.pk}" in why(asked.decision)
        told = why(done.decision)
        assert f"the kiosk asked (decision {asked.decision.pk}), and Asha answered" in told
        assert "Punched IN" in told

    def test_the_same_answer_again_has_one_effect(self, twins: Twins, pair: LookAlike) -> None:
        again = attempt(presentation=twins.walk_up().decision.presentation, pin=PIN)
        first, second = (signed_in(twins.kiosk, again) for _ in range(2))
        assert first.decision == second.decision
        assert Punch.objects.count() == 1

    def test_by_both_of_them_it_is_whoever_was_first(self, twins: Twins, pair: LookAlike) -> None:
        asked = twins.walk_up()
        twins.answer(asked, pin=PIN)
        late = twins.answer(asked, pin=OTHER_PIN)
        assert late.decision.outcome == Outcome.SIGN_IN_FAILED
        assert Punch.objects.get().employee == twins.asha

    def test_with_number_and_pin_instead_it_is_a_sign_in_like_any_other(
        self, twins: Twins, pair: LookAlike
    ) -> None:
        twins.walk_up()
        done = signed_in(twins.kiosk, attempt(number=twins.asha.number, pin=PIN))
        assert (done.decision.method, done.decision.employee) == (Method.PIN, twins.asha)


class TestStaysRefused:
    def fails(self, twins: Twins, asked: Recorded, **fields: Any) -> str:
        done = twins.answer(asked, **fields).decision
        assert (done.outcome, done.employee) == (Outcome.SIGN_IN_FAILED, None)
        assert not Punch.objects.exists()
        return str(done.evidence["sign_in"])

    def test_with_a_wrong_pin(self, twins: Twins, pair: LookAlike) -> None:
        assert self.fails(twins, twins.walk_up(), pin="908173") == "NOT_OF_THE_PAIR"

    def test_with_the_pin_or_badge_of_somebody_else(self, twins: Twins, pair: LookAlike) -> None:
        credentials.set_pin(twins.cleo, "908173", by=None)
        credentials.add_badge(twins.cleo, BADGE, by=None)
        asked = twins.walk_up()
        assert self.fails(twins, asked, pin="908173") == "NOT_OF_THE_PAIR"
        assert self.fails(twins, asked, badge=BADGE) == "NOT_OF_THE_PAIR"

    def test_after_twenty_seconds(
        self, twins: Twins, pair: LookAlike, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = twins.walk_up()
        later = timezone.now() + timedelta(seconds=21)
        monkeypatch.setattr(timezone, "now", lambda: later)
        assert self.fails(twins, asked, pin=PIN) == "TOO_LATE"

    def test_after_three_wrong_ones(self, twins: Twins, pair: LookAlike) -> None:
        asked = twins.walk_up()
        for _ in range(step_ups.MOST_TRIES):
            self.fails(twins, asked, pin="908173")
        assert self.fails(twins, asked, pin=PIN) == "TOO_LATE"
        assert "answered 4 times, but not rightly" in why(asked.decision)

    def test_where_nobody_was_asked(self, twins: Twins) -> None:
        asked = twins.walk_up()
        done = twins.answer(asked, pin=PIN).decision
        assert (done.method, done.evidence["sign_in"]) == (Method.PIN, "NOT_ASKED")
        assert not Punch.objects.exists()

    def test_at_another_kiosk(self, twins: Twins, pair: LookAlike) -> None:
        asked = twins.walk_up().decision
        other = KioskFactory.create(site=twins.site, paired=True)
        done = signed_in(other, attempt(presentation=asked.presentation, pin=PIN)).decision
        assert done.evidence["sign_in"] == "NOT_ASKED"

    def test_if_they_withdrew_consent_meanwhile(self, twins: Twins, pair: LookAlike) -> None:
        asked = twins.walk_up()
        enrolment.withdraw_consent(twins.asha, by=None)
        assert not LookAlike.objects.exists()
        assert self.fails(twins, asked, pin=PIN) == "TOO_LATE"

    def test_if_they_are_inactive_by_now(self, twins: Twins, pair: LookAlike) -> None:
        asked = twins.walk_up()
        Employee.objects.filter(pk=twins.asha.pk).update(is_active=False)
        assert twins.answer(asked, pin=PIN).decision.outcome == Outcome.NOT_ALLOWED
        assert not Punch.objects.exists()

    def test_and_guessing_over_many_walk_ups_is_throttled(
        self, twins: Twins, pair: LookAlike
    ) -> None:
        answers = []
        for guess in range(6):
            presentation = twins.walk_up().decision.presentation
            tried = attempt(presentation=presentation, pin=f"90817{guess}")
            answers.append(sign_in.sign_in(twins.kiosk.pk, tried))
        assert isinstance(answers[-1], Refused)


def test_both_pins_at_once_are_one_acceptance_and_one_punch(transactional_db: None) -> None:
    twins = _committed_twins()
    presentation = twins.walk_up().decision.presentation
    works = [
        partial(sign_in.sign_in, twins.kiosk.pk, attempt(presentation=presentation, pin=pin))
        for pin in (PIN, OTHER_PIN, PIN, OTHER_PIN)
    ]
    assert not errors(at_once(works))
    assert Decision.objects.filter(outcome=Outcome.ACCEPTED).count() == 1
    assert Punch.objects.count() == 1


def _committed_twins() -> Twins:
    site = SiteFactory.create()
    asha, bela, cleo = (EmployeeFactory.create(site=site, consented=True) for _ in range(3))
    template(asha, FACE)
    template(bela, turned(FACE, 0.98, seed=2))
    credentials.set_pin(asha, PIN, by=None)
    credentials.set_pin(bela, OTHER_PIN, by=None)
    look_alikes.confirm_two_people(asha, bela, by=None)
    kiosk = KioskFactory.create(site=site, paired=True)
    return Twins(site, kiosk, asha, bela, cleo, policy_of(site))


class TestThePair:
    def test_has_no_order_and_is_kept_once(self, twins: Twins, pair: LookAlike) -> None:
        again = look_alikes.confirm_two_people(twins.asha, twins.bela, by=None)
        assert again == pair
        assert look_alikes.pair_of(twins.bela.pk, twins.asha.pk) == pair

    def test_is_not_one_person(self, twins: Twins) -> None:
        with pytest.raises(look_alikes.LookAlikeError):
            look_alikes.confirm_two_people(twins.asha, twins.asha, by=None)

    def test_is_found_among_the_templates_of_the_site(self, twins: Twins) -> None:
        (found,) = look_alikes.resembling(twins.asha, Employee.objects.all())
        assert (found.person, found.pair) == (twins.bela, None)
        assert found.score == pytest.approx(0.98, abs=0.01)
        assert look_alikes.resembling(twins.cleo, Employee.objects.all()) == []

    def test_is_shown_to_whom_may_see_both(self, twins: Twins, pair: LookAlike) -> None:
        others = Employee.objects.exclude(pk=twins.bela.pk)
        assert look_alikes.resembling(twins.asha, others) == []

    def test_may_not_have_the_same_pin(self, twins: Twins, pair: LookAlike) -> None:
        with pytest.raises(CredentialError, match="another one"):
            credentials.set_pin(twins.bela, PIN, by=None)

    def test_lower_number_first_by_constraint(self, twins: Twins) -> None:
        low, high = sorted((twins.asha.pk, twins.bela.pk))
        with refused("look_alikes_lower_number_first"):
            LookAlike.objects.create(one_id=high, other_id=low)


class TestCounted:
    def test_a_refusal_that_its_pin_settled_asks_for_no_new_photo(
        self, twins: Twins, pair: LookAlike
    ) -> None:
        def proposed() -> list[Employee]:
            found = gallery_health(twins.site, Employee.objects.all()).proposals
            return [proposal.employee for proposal in found]

        asked = [twins.walk_up() for _ in range(REPEATED)]
        assert proposed() == [twins.asha]
        for refusal in asked:
            twins.answer(refusal, pin=PIN)
        assert proposed() == []

    def test_one_walk_up_is_one_and_its_acceptance_no_acceptance_by_likeness(
        self, twins: Twins, pair: LookAlike
    ) -> None:
        twins.answer(twins.walk_up(), pin=PIN)
        signed_in(twins.kiosk, attempt(number=twins.asha.number, pin=PIN))
        assert budgets.traffic(twins.site).decisions == 1
        version, policy = active_model_version(), twins.policy
        again = replay(
            twins.site.pk,
            version.pk,
            threshold=policy.threshold,
            margin=policy.margin,
            until=timezone.now(),
        )
        assert (again.decisions, again.changes) == (1, {})


class TestInvariants:
    def test_one_acceptance_a_step_up(self, twins: Twins, pair: LookAlike) -> None:
        done = twins.answer(twins.walk_up(), pin=PIN).decision
        with refused("one_acceptance_a_step_up"):
            done.pk, done.presentation = None, uuid.uuid4()
            done.save(force_insert=True)

    def test_a_step_up_is_settled_at_its_own_kiosk(self, twins: Twins, pair: LookAlike) -> None:
        asked = twins.walk_up().decision
        with refused("decision_steps_up_at_its_own_kiosk"):
            DecisionFactory.create(
                site=twins.site, outcome="SIGN_IN_FAILED", method="FACE_AND_PIN", steps_up=asked
            )

    def test_face_and_pin_needs_the_face(self, twins: Twins) -> None:
        with refused("decision_steps_up_by_face_and_more"):
            DecisionFactory.create(outcome="SIGN_IN_FAILED", method="FACE_AND_PIN")
