"""Signing in with PIN or badge: the same punch as with a face, by the same rules."""

from __future__ import annotations

import uuid
from datetime import time, timedelta

import pytest
from django.utils import timezone

from accesscontrol import credentials, decisions, export, kiosks, sign_in, sites
from accesscontrol.admin.why import why
from accesscontrol.decisions import KioskShutOutError
from accesscontrol.models import (
    AuditEntry,
    Decision,
    Employee,
    Kiosk,
    Method,
    Outcome,
    Punch,
    Site,
    Throttle,
)
from tests.constraints import refused
from tests.factories import DecisionFactory, EmployeeFactory, KioskFactory, SiteFactory
from tests.presentations import door
from tests.sign_ins import BADGE, OTHER_PIN, PIN, attempt, signed_in, with_pin

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return SiteFactory.create()


@pytest.fixture
def kiosk(site: Site) -> Kiosk:
    return KioskFactory.create(site=site, paired=True)


@pytest.fixture
def asha(site: Site) -> Employee:
    """Without consent, photo or template."""
    employee = EmployeeFactory.create(site=site, name="Asha Rao", number="A-42")
    credentials.set_pin(employee, PIN, by=None)
    return employee


class TestAccepted:
    def test_with_number_and_pin_a_person_is_punched(self, kiosk: Kiosk, asha: Employee) -> None:
        done = signed_in(kiosk, with_pin(asha))
        assert done.decision.outcome == Outcome.ACCEPTED
        assert (done.decision.method, done.decision.employee) == (Method.PIN, asha)
        assert done.punch == Punch.objects.get()
        assert (done.punch.employee, done.punch.direction) == (asha, "IN")

    def test_with_a_badge_alone(self, kiosk: Kiosk, asha: Employee) -> None:
        badge = credentials.add_badge(asha, BADGE, by=None)
        done = signed_in(kiosk, attempt(badge="04a25f1b9c"))
        assert (done.decision.method, done.decision.badge) == (Method.BADGE, badge)
        assert Punch.objects.get().employee == asha

    def test_the_number_is_read_in_whatever_case(self, kiosk: Kiosk, asha: Employee) -> None:
        done = signed_in(kiosk, attempt(number="a-42", pin=PIN))
        assert done.decision.employee == asha

    def test_twice_in_the_cool_down_is_one_punch(self, kiosk: Kiosk, asha: Employee) -> None:
        first = signed_in(kiosk, with_pin(asha))
        again = signed_in(kiosk, with_pin(asha))
        assert (again.punch, again.repeat) == (first.punch, True)
        assert Punch.objects.count() == 1

    def test_whoever_came_in_by_face_goes_out_by_pin(self) -> None:
        place = door(cool_down_s=60)
        credentials.set_pin(place.employee, PIN, by=None)
        place.walk_up(timezone.now() - timedelta(hours=8))
        done = signed_in(place.kiosk, with_pin(place.employee))
        assert done.punch is not None
        assert done.punch.direction == "OUT"

    def test_a_face_within_the_cool_down_of_a_pin_is_the_same_punch(self) -> None:
        place = door()
        credentials.set_pin(place.employee, PIN, by=None)
        done = signed_in(place.kiosk, with_pin(place.employee))
        seen = place.walk_up()
        assert (seen.punch, seen.repeat) == (done.punch, True)

    def test_somebody_of_another_site_who_is_admitted_here(
        self, kiosk: Kiosk, asha: Employee
    ) -> None:
        guest = EmployeeFactory.create(number=asha.number)
        credentials.set_pin(guest, OTHER_PIN, by=None)
        assert signed_in(kiosk, with_pin(guest, OTHER_PIN)).decision.employee is None
        sites.admit(guest, kiosk.site, by=None)
        assert signed_in(kiosk, with_pin(guest, OTHER_PIN)).decision.employee == guest
        assert signed_in(kiosk, with_pin(asha)).decision.employee == asha, "the same number"

    def test_the_audit_log_says_how(self, kiosk: Kiosk, asha: Employee) -> None:
        done = signed_in(kiosk, with_pin(asha))
        entry = AuditEntry.objects.get(action="sign_in")
        assert (entry.actor, entry.subject) == (f"kiosk:{kiosk.pk}", f"decision:{done.decision.pk}")
        assert entry.detail["by"] == "PIN"

    def test_the_kiosk_greets_as_after_a_face(self, kiosk: Kiosk, asha: Employee) -> None:
        tried = with_pin(asha)
        message = sign_in.kiosk_message(tried, signed_in(kiosk, tried))
        face = decisions.kiosk_message(signed_in(kiosk, tried), 7)
        assert {**message, "seq": 7} == face
        assert message["employee"] == "Asha Rao"
        assert message["presentation"] == str(tried.id)

    def test_the_export_says_how(self, kiosk: Kiosk, asha: Employee) -> None:
        signed_in(kiosk, with_pin(asha))
        day = timezone.now().astimezone(kiosk.site.zone).date()
        query = export.AttendanceQuery(kiosk.site, day - timedelta(days=1), day)
        (row,) = export.rows(query)
        assert dict(zip(export.COLUMNS, row, strict=True))["method"] == "PIN"


class TestRefused:
    @pytest.mark.parametrize(
        "wrong",
        [{"pin": OTHER_PIN}, {"number": "A-43"}, {"number": "A-43", "pin": OTHER_PIN}],
        ids=["PIN", "number", "both"],
    )
    def test_the_kiosk_is_not_told_what_was_wrong(
        self, kiosk: Kiosk, asha: Employee, wrong: dict[str, str]
    ) -> None:
        tried = attempt(**{"number": asha.number, "pin": PIN, **wrong})
        message = sign_in.kiosk_message(tried, signed_in(kiosk, tried))
        assert message["outcome"] == "SIGN_IN_FAILED"
        assert message["reason"] == "Number, PIN or badge do not fit. Please try again, or ask HR."
        assert message["employee"] is None
        assert not Punch.objects.exists()

    def test_somebody_without_a_pin(self, kiosk: Kiosk) -> None:
        employee = EmployeeFactory.create(site=kiosk.site)
        assert signed_in(kiosk, with_pin(employee)).decision.outcome == Outcome.SIGN_IN_FAILED

    def test_a_revoked_pin(self, kiosk: Kiosk, asha: Employee) -> None:
        credentials.revoke_pin(asha, by=None)
        assert signed_in(kiosk, with_pin(asha)).decision.outcome == Outcome.SIGN_IN_FAILED

    def test_a_revoked_badge_of_which_hr_reads_more_than_the_kiosk(
        self, kiosk: Kiosk, asha: Employee
    ) -> None:
        credentials.revoke_badge(credentials.add_badge(asha, BADGE, by=None), by=None)
        done = signed_in(kiosk, attempt(badge=BADGE))
        assert done.decision.outcome == Outcome.SIGN_IN_FAILED
        assert "the badge was revoked" in why(done.decision)

    def test_the_right_pin_of_somebody_not_admitted_here(self, kiosk: Kiosk) -> None:
        stranger = EmployeeFactory.create(number="77")
        credentials.set_pin(stranger, PIN, by=None)
        credentials.add_badge(stranger, BADGE, by=None)
        done = signed_in(kiosk, with_pin(stranger))
        assert done.decision.outcome == Outcome.SIGN_IN_FAILED
        by_badge = signed_in(kiosk, attempt(badge=BADGE)).decision
        assert (by_badge.outcome, by_badge.evidence["denied"]) == ("NOT_ALLOWED", "OTHER_SITE")
        assert not Punch.objects.exists()

    def test_somebody_inactive(self, kiosk: Kiosk, asha: Employee) -> None:
        Employee.objects.update(is_active=False)
        done = signed_in(kiosk, with_pin(asha)).decision
        assert (done.outcome, done.employee, done.nearest) == ("NOT_ALLOWED", None, asha)
        assert "Asha Rao signed in with their number and PIN but may not enter" in why(done)

    def test_outside_of_the_sites_hours_except_on_the_way_out(
        self, kiosk: Kiosk, asha: Employee
    ) -> None:
        closed = timezone.now().astimezone(kiosk.site.zone).hour
        opens, closes = time((closed + 2) % 24), time((closed + 3) % 24)
        Site.objects.update(opens_at=opens, closes_at=closes)
        assert signed_in(kiosk, with_pin(asha)).decision.evidence["denied"] == "HOURS"
        leaving = KioskFactory.create(site=kiosk.site, paired=True, direction="OUT")
        assert signed_in(leaving, with_pin(asha)).decision.outcome == Outcome.ACCEPTED

    def test_a_site_that_is_closed_down(self, kiosk: Kiosk, asha: Employee) -> None:
        Site.objects.update(is_active=False)
        assert signed_in(kiosk, with_pin(asha)).decision.outcome == Outcome.NOT_ALLOWED

    def test_a_revoked_kiosk_decides_nothing(self, kiosk: Kiosk, asha: Employee) -> None:
        kiosks.revoke_kiosk(kiosk, by=None)
        with pytest.raises(KioskShutOutError):
            sign_in.sign_in(kiosk.pk, with_pin(asha))
        assert not Decision.objects.exists()


class TestTheSameAttemptAgain:
    def test_has_one_effect(self, kiosk: Kiosk, asha: Employee) -> None:
        tried = with_pin(asha)
        first, again = signed_in(kiosk, tried), signed_in(kiosk, tried)
        assert (again.decision, again.punch, again.repeat) == (first.decision, first.punch, False)
        assert Decision.objects.count() == 1

    def test_with_another_pin_is_what_it_was(self, kiosk: Kiosk, asha: Employee) -> None:
        one = uuid.uuid4()
        signed_in(kiosk, with_pin(asha, OTHER_PIN, id=one))
        assert signed_in(kiosk, with_pin(asha, id=one)).decision.outcome == Outcome.SIGN_IN_FAILED
        assert Throttle.objects.get(subject=f"kiosk:{kiosk.pk}").failures == 1


class TestInvariants:
    def test_nobody_is_accepted_by_somebody_elses_pin(self, kiosk: Kiosk, asha: Employee) -> None:
        pin = credentials.held(asha).pin
        other = EmployeeFactory.create(site=kiosk.site)
        with refused("decision_accepted_by_the_pin_of_the_employee"):
            DecisionFactory.create(
                accepted=True, site=kiosk.site, kiosk=kiosk, employee=other, method="PIN", pin=pin
            )

    def test_nobody_is_accepted_by_somebody_elses_badge(self, kiosk: Kiosk, asha: Employee) -> None:
        badge = credentials.add_badge(asha, BADGE, by=None)
        other = EmployeeFactory.create(site=kiosk.site)
        with refused("decision_accepted_by_the_badge_of_the_employee"):
            DecisionFactory.create(
                accepted=True, site=kiosk.site, employee=other, method="BADGE", badge=badge
            )

    @pytest.mark.parametrize("method", ["PIN", "BADGE"])
    def test_nobody_is_accepted_without_one(self, site: Site, method: str) -> None:
        with refused("decision_accepted_by_its_method"):
            DecisionFactory.create(accepted=True, site=site, method=method)

    def test_a_face_below_the_threshold_is_not_let_in_by_the_way(self, site: Site) -> None:
        with refused("decision_accepted_at_or_above_the_threshold"):
            DecisionFactory.create(accepted=True, site=site, score=0.3)
