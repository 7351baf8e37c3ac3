"""Writing a decision down: once, checked again under lock, naming nobody who was refused."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accesscontrol import audit, enrolment, kiosks, sites
from accesscontrol.advice import BY_OUTCOME
from accesscontrol.decisions import (
    Candidate,
    KioskShutOutError,
    Verdict,
    kiosk_message,
    record_decision,
    utc_from_ms,
)
from accesscontrol.models import AuditEntry, Decision, Kiosk, Outcome, Punch, Template
from tests.factories import EmployeeFactory, KioskFactory, ModelVersionFactory
from tests.presentations import Door, door, evidence, policy_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def entrance() -> Door:
    return door()


class TestAccepted:
    def test_the_decision_keeps_all_its_evidence(self, entrance: Door) -> None:
        seen = evidence(trace={"pipeline_ms": 31.0})
        decision = record_decision(
            entrance.kiosk.pk, seen, entrance.accepted, entrance.policy
        ).decision
        decision.refresh_from_db()
        assert decision.outcome == Outcome.ACCEPTED
        assert decision.employee == decision.nearest == entrance.employee
        assert (decision.site, decision.kiosk) == (entrance.site, entrance.kiosk)
        assert decision.presentation == seen.presentation
        assert (decision.score, decision.second_score) == (0.83, 0.2)
        assert (decision.threshold, decision.margin) == (0.62, 0.05)
        assert decision.threshold_row_id == entrance.policy.threshold_id
        assert decision.model_version_id == entrance.policy.model_version_id
        assert decision.frames == 5
        assert decision.evidence["pipeline_ms"] == 31.0
        assert decision.evidence["policy"]["threshold"] == 0.62
        assert decision.evidence["clock_skew_s"] == pytest.approx(0.05)
        assert decision.received_at == seen.received_at <= decision.decided_at

    def test_the_punch_has_the_servers_time_and_the_kiosks_beside_it(self, entrance: Door) -> None:
        wrong_clock = datetime(2019, 1, 1, tzinfo=UTC)
        at = timezone.now()
        made = entrance.walk_up(at, captured_at=wrong_clock).punch
        assert made is not None
        assert (made.at, made.captured_at) == (at, wrong_clock)

    def test_it_is_in_the_audit_log(self, entrance: Door) -> None:
        recorded = entrance.walk_up()
        entry = AuditEntry.objects.first()
        assert entry is not None
        assert (entry.actor, entry.action) == (f"kiosk:{entrance.kiosk.pk}", "decide")
        assert entry.subject == f"decision:{recorded.decision.pk}"
        assert recorded.punch is not None
        assert entry.detail == {
            "outcome": "ACCEPTED",
            "employee": entrance.employee.pk,
            "punch": recorded.punch.pk,
        }
        assert audit.first_broken_entry() is None

    def test_the_same_presentation_again_changes_nothing(self, entrance: Door) -> None:
        seen = evidence()
        first, *others = [
            record_decision(entrance.kiosk.pk, seen, entrance.accepted, entrance.policy)
            for _ in range(20)
        ]
        assert Decision.objects.count() == Punch.objects.count() == AuditEntry.objects.count() == 1
        assert all(other == first for other in others)

    def test_the_first_verdict_on_a_presentation_stands(self, entrance: Door) -> None:
        seen = evidence()
        refusal = Verdict(Outcome.NO_MATCH, Candidate(entrance.employee.pk, 0.4))
        record_decision(entrance.kiosk.pk, seen, refusal, entrance.policy)
        again = record_decision(entrance.kiosk.pk, seen, entrance.accepted, entrance.policy)
        assert again.decision.outcome == Outcome.NO_MATCH
        assert again.punch is None
        assert not Punch.objects.exists()

    def test_within_the_cool_down_the_person_is_accepted_and_not_punched_again(
        self, entrance: Door
    ) -> None:
        first, second = entrance.walk_up(), entrance.walk_up()
        assert second.decision.outcome == Outcome.ACCEPTED
        assert second.decision != first.decision
        assert (second.punch, second.repeat) == (first.punch, True)
        assert Punch.objects.count() == 1

    def test_a_repeat_told_twice_is_a_repeat_twice(self, entrance: Door) -> None:
        entrance.walk_up()
        seen = evidence()
        once, twice = (
            record_decision(entrance.kiosk.pk, seen, entrance.accepted, entrance.policy)
            for _ in range(2)
        )
        assert once == twice
        assert twice.repeat


class TestRefused:
    @pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.ACCEPTED}))
    def test_every_refusal_is_a_row_without_a_punch(self, entrance: Door, outcome: Outcome) -> None:
        verdict = Verdict(outcome, Candidate(entrance.employee.pk, 0.5))
        recorded = record_decision(entrance.kiosk.pk, evidence(), verdict, entrance.policy)
        assert recorded.decision.outcome == outcome
        assert recorded.decision.employee is None
        assert recorded.decision.nearest == entrance.employee
        assert recorded.punch is None
        assert not Punch.objects.exists()

    def test_a_refusal_without_candidates_and_policy_is_a_row_too(self, entrance: Door) -> None:
        verdict = Verdict(Outcome.NOT_CALIBRATED)
        decision = record_decision(entrance.kiosk.pk, evidence(), verdict, None).decision
        assert (decision.score, decision.threshold, decision.model_version) == (None, None, None)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_numbers_that_led_to_an_error_do_not_keep_it_from_being_recorded(
        self, entrance: Door, value: float
    ) -> None:
        seen = evidence(face_width=value, quality=value, trace={"pipeline_ms": value})
        policy = replace(entrance.policy, smallest_face=value)
        decision = record_decision(entrance.kiosk.pk, seen, Verdict(Outcome.ERROR), policy).decision
        decision.refresh_from_db()
        assert decision.evidence["face_width"] is None


class TestNotAllowed:
    """Whoever lost the right to enter between the search and the record stays out."""

    def assert_not_allowed(self, entrance: Door) -> None:
        recorded = entrance.walk_up()
        assert recorded.decision.outcome == Outcome.NOT_ALLOWED
        assert recorded.decision.employee is None
        assert recorded.decision.score == 0.83
        assert recorded.punch is None
        assert not Punch.objects.exists()

    def test_the_employee_was_deactivated(self, entrance: Door) -> None:
        entrance.employee.is_active = False
        entrance.employee.save()
        self.assert_not_allowed(entrance)

    def test_the_consent_was_withdrawn(self, entrance: Door) -> None:
        enrolment.withdraw_consent(entrance.employee, by=None)
        self.assert_not_allowed(entrance)

    def test_the_last_template_was_deleted(self, entrance: Door) -> None:
        enrolment.delete_photo(entrance.employee.photos.get(), by=None)
        assert not Template.objects.exists()
        self.assert_not_allowed(entrance)

    def test_the_employee_has_templates_of_another_model_only(self, entrance: Door) -> None:
        other = ModelVersionFactory.create(is_active=False)
        Template.objects.update(model_version=other)
        self.assert_not_allowed(entrance)

    def test_the_employee_moved_to_another_site(self, entrance: Door) -> None:
        entrance.employee.site = door().site
        entrance.employee.save()
        self.assert_not_allowed(entrance)

    def test_the_site_was_closed(self, entrance: Door) -> None:
        entrance.site.is_active = False
        entrance.site.save()
        self.assert_not_allowed(entrance)

    def test_the_employee_does_not_exist_any_more(self, entrance: Door) -> None:
        stranger = EmployeeFactory.create(site=entrance.site)
        verdict = Verdict(Outcome.ACCEPTED, Candidate(stranger.pk, 0.9))
        recorded = record_decision(entrance.kiosk.pk, evidence(), verdict, entrance.policy)
        assert recorded.decision.outcome == Outcome.NOT_ALLOWED

    def test_an_acceptance_without_a_policy_is_none(self, entrance: Door) -> None:
        recorded = record_decision(entrance.kiosk.pk, evidence(), entrance.accepted, None)
        assert recorded.decision.outcome == Outcome.NOT_ALLOWED
        assert not Punch.objects.exists()

    def test_a_kiosk_of_another_site_does_not_let_the_person_in(self, entrance: Door) -> None:
        elsewhere = KioskFactory.create(paired=True)
        there = policy_of(elsewhere.site)
        recorded = record_decision(elsewhere.pk, evidence(), entrance.accepted, there)
        assert recorded.decision.outcome == Outcome.NOT_ALLOWED
        assert not Punch.objects.exists()

    def test_a_kiosk_of_a_site_they_are_admitted_to_does(self, entrance: Door) -> None:
        elsewhere = KioskFactory.create(paired=True)
        sites.admit(entrance.employee, elsewhere.site, None)
        there = policy_of(elsewhere.site)
        recorded = record_decision(elsewhere.pk, evidence(), entrance.accepted, there)
        assert recorded.decision.outcome == Outcome.ACCEPTED
        assert Punch.objects.get().site == elsewhere.site

    def test_nor_does_it_once_the_admission_has_ended(self, entrance: Door) -> None:
        elsewhere = KioskFactory.create(paired=True)
        sites.admit(entrance.employee, elsewhere.site, None)
        sites.end_admission(entrance.employee, elsewhere.site, None)
        there = policy_of(elsewhere.site)
        recorded = record_decision(elsewhere.pk, evidence(), entrance.accepted, there)
        assert recorded.decision.outcome == Outcome.NOT_ALLOWED


class TestShutOut:
    def assert_nothing_written(self, entrance: Door, kiosk: Kiosk) -> None:
        before = AuditEntry.objects.count()
        with pytest.raises(KioskShutOutError):
            entrance.walk_up(kiosk=kiosk)
        assert not Decision.objects.exists()
        assert not Punch.objects.exists()
        assert AuditEntry.objects.count() == before

    def test_a_revoked_kiosk_decides_nothing(self, entrance: Door) -> None:
        kiosks.revoke_kiosk(entrance.kiosk, by=None)
        self.assert_nothing_written(entrance, entrance.kiosk)

    def test_a_kiosk_that_was_never_paired_decides_nothing(self, entrance: Door) -> None:
        self.assert_nothing_written(entrance, KioskFactory.create(site=entrance.site))

    def test_a_kiosk_that_does_not_exist_decides_nothing(self, entrance: Door) -> None:
        with pytest.raises(Kiosk.DoesNotExist):
            record_decision(uuid.uuid4(), evidence(), entrance.accepted, entrance.policy)
        assert not Decision.objects.exists()


class TestMessage:
    def test_an_accepted_person_reads_name_direction_and_the_sites_time(self) -> None:
        entrance = door(time_zone="Asia/Kolkata")
        recorded = entrance.walk_up(datetime(2026, 3, 2, 3, 32, 9, tzinfo=UTC))
        assert kiosk_message(recorded, 7) == {
            "type": "decision",
            "presentation": str(recorded.decision.presentation),
            "seq": 7,
            "outcome": "ACCEPTED",
            "employee": "Asha Rao",
            "direction": "IN",
            "at": "2026-03-02T09:02:09+05:30",
            "repeat": False,
            "reason": None,
        }

    def test_a_repeat_shows_the_first_punch(self, entrance: Door) -> None:
        at = timezone.now()
        first = kiosk_message(entrance.walk_up(at), 1)
        second = kiosk_message(entrance.walk_up(at + timedelta(seconds=60)), 2)
        assert second["repeat"] is True
        assert (second["direction"], second["at"]) == (first["direction"], first["at"])

    @pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.ACCEPTED}))
    def test_a_refusal_tells_what_to_do_and_no_name(self, entrance: Door, outcome: Outcome) -> None:
        verdict = Verdict(outcome, Candidate(entrance.employee.pk, 0.5))
        recorded = record_decision(entrance.kiosk.pk, evidence(), verdict, entrance.policy)
        message = kiosk_message(recorded, 1)
        assert message["reason"] == BY_OUTCOME[outcome]
        assert (message["employee"], message["direction"], message["at"]) == (None, None, None)
        assert "Asha" not in str(message)

    def test_no_message_tells_how_near_somebody_was(self, entrance: Door) -> None:
        assert "0.83" not in str(kiosk_message(entrance.walk_up(), 1))


@pytest.mark.parametrize(
    "milliseconds",
    [-(2**63), -(10**18), 10**18, 2**64 - 1, 253402300800000, 253_402_300_799_999],
)
def test_an_absurd_clock_of_a_kiosk_gives_the_epoch(milliseconds: int) -> None:
    assert utc_from_ms(milliseconds) == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_kiosks_clock_is_read_as_utc() -> None:
    assert utc_from_ms(1_772_438_400_123) == datetime(2026, 3, 2, 8, 0, 0, 123_000, tzinfo=UTC)
