"""Visits: whose probe is kept, whose never, and how each goes by itself."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import DatabaseError, connection
from django.utils import timezone
from pgvector import HalfVector

from accesscontrol import enrolment, visitors, visits
from accesscontrol.corrections import Marked, correct_punch
from accesscontrol.enrolment import Enrolled
from accesscontrol.models import (
    Decision,
    Employee,
    ModelVersion,
    Outcome,
    Punch,
    Site,
    Visit,
    Visitor,
)
from tests.constraints import refused as by_constraint
from tests.enrolled import rotated, template, turned, unit
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    ModelVersionFactory,
    PhotoFactory,
    SiteFactory,
    active_model_version,
)
from tests.refusals import came, refused, rotation_id, switched_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    """Keeps unknown visitors for seven days."""
    site: Site = SiteFactory.create()
    switched_on(site)
    return site


def move_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + by)


class TestWhatIsKept:
    def test_of_a_refusal_the_rotated_probe_its_model_its_decision_and_when_it_goes(
        self, site: Site
    ) -> None:
        decision = refused(site, unit(1))
        visit = Visit.objects.get()
        assert visit.decision == decision
        assert visit.policy.site == site
        assert visit.model_version == decision.model_version
        assert visit.rotation_id == rotation_id()
        kept = np.array(visit.embedding, np.float32)
        assert kept @ rotated(unit(1)) == pytest.approx(1, abs=2e-3)
        assert abs(float(kept @ unit(1))) < 0.5, "not the plain one"
        assert visit.expires_at - visit.seen_at == timedelta(days=7)
        assert visit.visitor is None

    def test_nothing_at_a_site_that_has_not_chosen_so(self, site: Site) -> None:
        elsewhere = SiteFactory.create()
        refused(elsewhere, unit(1))
        assert not Visit.objects.exists()

    def test_nothing_after_it_was_switched_off(self, site: Site) -> None:
        visitors.switch_off(site, by=None)
        refused(site, unit(1))
        assert not Visit.objects.exists()

    @pytest.mark.parametrize("outcome", [o for o in Outcome if o != Outcome.NO_MATCH])
    def test_of_no_other_outcome(self, site: Site, outcome: Outcome) -> None:
        fields: dict[str, Any] = {"outcome": outcome}
        if outcome == Outcome.ACCEPTED:
            fields = {"accepted": True}
        refused(site, unit(1), **fields)
        assert not Visit.objects.exists()

    @pytest.mark.parametrize("shortfall", ["COVERED", "TOO_DARK", "TURNED", "UNCLEAR"])
    def test_nothing_of_a_poor_picture(self, site: Site, shortfall: str) -> None:
        refused(site, unit(1), evidence={"shortfall": shortfall})
        assert not Visit.objects.exists()

    @pytest.mark.parametrize("fault", ["zero", "nan", "long"])
    def test_no_vector_that_is_none(self, site: Site, fault: str) -> None:
        probe = {"zero": 0 * unit(1), "nan": np.nan * unit(1), "long": 2 * unit(1)}[fault]
        decision = refused(site, unit(1), keep=False)
        visits.keep_visit(decision, probe, rotation_id())
        assert not Visit.objects.exists()

    def test_nothing_under_a_model_that_is_not_the_active_one(self, site: Site) -> None:
        decision = refused(site, unit(1), keep=False)
        ModelVersion.objects.update(is_active=False)
        ModelVersionFactory.create()
        visits.keep_visit(decision, rotated(unit(1)), rotation_id())
        assert not Visit.objects.exists()

    def test_the_same_decision_twice_is_one_visit(self, site: Site) -> None:
        decision = refused(site, unit(1))
        visits.keep_visit(decision, rotated(unit(1)), rotation_id())
        visit = Visit.objects.get()
        assert visit.refusals == 1


class TestOneVisit:
    def test_whoever_tries_again_within_minutes_is_one_visit(self, site: Site) -> None:
        start = timezone.now() - timedelta(hours=1)
        for minutes in (0, 1, 9, 18):
            face = turned(unit(1), 0.95, seed=100 + minutes)
            refused(site, face, start + timedelta(minutes=minutes))
        visit = Visit.objects.get()
        assert visit.refusals == 4
        assert visit.last_seen_at - visit.seen_at == timedelta(minutes=18)

    def test_standing_there_for_days_does_not_prolong_the_vector(self, site: Site) -> None:
        start = timezone.now() - timedelta(hours=30)
        for turn in range(200):
            refused(site, unit(1), start + turn * timedelta(minutes=9))
        visit = Visit.objects.get()
        assert visit.refusals == 200
        assert visit.expires_at - visit.seen_at == timedelta(days=7)

    def test_somebody_else_right_after_is_another_visit(self, site: Site) -> None:
        refused(site, unit(1))
        refused(site, unit(2))
        assert Visit.objects.count() == 2

    def test_who_comes_back_after_an_hour_is_another_visit(self, site: Site) -> None:
        refused(site, unit(1), timezone.now() - timedelta(hours=1))
        refused(site, unit(1))
        assert Visit.objects.count() == 2

    def test_the_oldest_make_way_when_there_are_too_many(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(visits, "MOST_VISITS", 5)
        start = timezone.now() - timedelta(hours=20)
        made = [refused(site, unit(n), start + timedelta(hours=n)) for n in range(1, 9)]
        kept = set(Visit.objects.values_list("decision", flat=True))
        assert kept == {decision.pk for decision in made[-5:]}


class TestTroubleStaysAway:
    def test_a_failure_is_logged_without_the_vector_and_the_decision_stands(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails(*_: object, **__: object) -> None:
            raise DatabaseError("Failing row contains ([0.1,0.2,0.3])")

        monkeypatch.setattr(Visit.objects, "create", fails)
        with caplog.at_level(logging.WARNING):
            decision = refused(site, unit(1))
        assert Decision.objects.filter(pk=decision.pk).exists()
        assert not Visit.objects.exists()
        assert "a visit was not kept: DatabaseError" in caplog.text
        assert "0.2" not in caplog.text

    def test_a_vector_of_another_dimension_is_refused_by_the_database(self, site: Site) -> None:
        decision = refused(site, unit(1), keep=False)
        visits.keep_visit(decision, unit(1, 128), rotation_id())
        assert not Visit.objects.exists()
        assert Decision.objects.filter(pk=decision.pk).exists()


class TestWhatTheDatabaseHolds:
    """Whatever the program does."""

    def _visit(self, site: Site, **fields: Any) -> Visit:
        decision = fields.pop("decision", None) or refused(site, unit(1), keep=False)
        version = active_model_version()
        now = timezone.now()
        known = {
            "policy": site.visitor_policy,
            "decision": decision,
            "model_version": version,
            "dimension": version.dimension,
            "rotation_id": rotation_id(),
            "embedding": HalfVector(rotated(unit(1))),
            "seen_at": now,
            "last_seen_at": now,
            "expires_at": now + timedelta(days=1),
        }
        return Visit.objects.create(**{**known, **fields})

    def test_no_visit_of_an_accepted_person(self, site: Site) -> None:
        decision = DecisionFactory.create(site=site, accepted=True)
        with by_constraint("visit_of_a_refusal_at_its_site"):
            self._visit(site, decision=decision)

    def test_no_visit_of_another_sites_decision(self, site: Site) -> None:
        decision = DecisionFactory.create()
        with by_constraint("visit_of_a_refusal_at_its_site"):
            self._visit(site, decision=decision)

    def test_none_of_another_model_version_than_its_decision(self, site: Site) -> None:
        other = ModelVersionFactory.create(is_active=False)
        with by_constraint("visit_of_a_refusal_at_its_site"):
            self._visit(site, model_version=other)

    def test_none_kept_for_more_than_thirty_days(self, site: Site) -> None:
        with by_constraint("visit_expires_in_time"):
            self._visit(site, expires_at=timezone.now() + timedelta(days=31))

    def test_none_that_never_expires(self, site: Site) -> None:
        with by_constraint("null value"):
            self._visit(site, expires_at=None)

    def test_no_vector_that_is_no_unit_vector(self, site: Site) -> None:
        with by_constraint("visit_is_a_unit_vector"):
            self._visit(site, embedding=HalfVector(0.5 * rotated(unit(1))))

    def test_no_visitor_of_another_site(self, site: Site) -> None:
        elsewhere = switched_on(SiteFactory.create())
        stranger = Visitor.objects.create(policy=elsewhere, model_version=active_model_version())
        with by_constraint("visit_goes_with_its_visitor"):
            self._visit(site, visitor=stranger)

    def test_everything_goes_with_the_choice_whoever_deletes_it(self, site: Site) -> None:
        visit = self._visit(site)
        visitor = Visitor.objects.create(policy=visit.policy, model_version=visit.model_version)
        Visit.objects.update(visitor=visitor)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM accesscontrol_visitorpolicy")
        connection.check_constraints()
        assert not Visit.objects.exists()
        assert not Visitor.objects.exists()


class TestTheyGoByThemselves:
    def test_when_their_days_are_over_and_not_before(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused(site, unit(1))
        move_clock(monkeypatch, timedelta(days=6, hours=23))
        assert visits.expire() == 0
        refused(site, unit(2))
        move_clock(monkeypatch, timedelta(hours=2))
        assert visits.expire() == 1
        assert Visit.objects.count() == 1
        move_clock(monkeypatch, timedelta(days=7))
        assert visits.expire() == 1
        assert not Visit.objects.exists()

    def test_a_visitor_goes_with_their_last_visit(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused(site, unit(1))
        Visit.objects.update(
            visitor=Visitor.objects.create(
                policy=site.visitor_policy, model_version=active_model_version()
            )
        )
        move_clock(monkeypatch, timedelta(days=8))
        visits.expire()
        assert not Visitor.objects.exists()

    def test_when_the_model_is_not_the_active_one_any_more(self, site: Site) -> None:
        came(site, 1, 3)
        assert visits.forget_outdated() == 0
        ModelVersion.objects.update(is_active=False)
        ModelVersionFactory.create()
        assert visits.forget_outdated() == 3

    def test_when_the_key_is_another(self, site: Site) -> None:
        came(site, 1, 2)
        Visit.objects.filter(pk=Visit.objects.values("pk")[:1]).update(rotation_id="older")
        assert visits.forget_outdated() == 1

    def test_when_hr_says_who_it_was(self, site: Site) -> None:
        asha = EmployeeFactory.create(site=site)
        decision = refused(site, unit(1))
        refused(site, unit(2))
        correct_punch(decision, Marked(asha, "seen"), by=None)
        assert visits.forget_known() == 1
        assert not Visit.objects.filter(decision=decision).exists()

    def test_when_the_nearest_person_is_let_in_right_after(self, site: Site) -> None:
        asha = EmployeeFactory.create(site=site, consented=True)
        at = timezone.now() - timedelta(minutes=30)
        refused(site, unit(1), at, nearest=asha)
        refused(site, unit(2), at)
        DecisionFactory.create(
            accepted=True, site=site, employee=asha, at=at + timedelta(seconds=40),
            kiosk=KioskFactory.create(site=site, paired=True),
        )  # fmt: skip
        assert visits.forget_known() == 1

    def test_not_when_they_are_let_in_an_hour_later(self, site: Site) -> None:
        asha = EmployeeFactory.create(site=site, consented=True)
        at = timezone.now() - timedelta(hours=3)
        refused(site, unit(1), at, nearest=asha)
        DecisionFactory.create(
            accepted=True, site=site, employee=asha, at=at + timedelta(hours=1),
            kiosk=KioskFactory.create(site=site, paired=True),
        )  # fmt: skip
        assert visits.forget_known() == 0


class TestEnrolled:
    def _accept(self, employee: Employee, face: Any) -> None:
        photo = PhotoFactory.create(employee=employee)
        enrolled = Enrolled(b"jpeg", face, {"score": 0.8})
        assert enrolment.accept_photo(photo, enrolled, active_model_version())

    def test_an_accepted_photo_of_the_person_deletes_their_visits_with_its_commit(
        self, site: Site
    ) -> None:
        came(site, 1, 4)
        came(site, 2, 2)
        self._accept(EmployeeFactory.create(site=site, consented=True), unit(1))
        assert Visit.objects.count() == 2

    def test_also_those_of_their_visitor_that_the_photo_does_not_reach(self, site: Site) -> None:
        start = timezone.now() - timedelta(hours=9)
        for turn, cosine in enumerate((0.9, 0.9, 0.5)):
            refused(site, turned(unit(1), cosine, seed=100 + turn), start + timedelta(hours=turn))
        Visit.objects.update(
            visitor=Visitor.objects.create(
                policy=site.visitor_policy, model_version=active_model_version()
            )
        )
        self._accept(EmployeeFactory.create(site=site, consented=True), unit(1))
        assert not Visit.objects.exists()
        assert not Visitor.objects.exists()

    def test_no_visits_at_sites_where_they_may_not_enter(self, site: Site) -> None:
        came(site, 1, 2)
        self._accept(EmployeeFactory.create(consented=True), unit(1))
        assert Visit.objects.count() == 2

    def test_no_visits_become_templates(self, site: Site) -> None:
        came(site, 1, 3)
        employee = EmployeeFactory.create(site=site, consented=True)
        assert not employee.templates.exists()
        assert not Punch.objects.exists()


class TestWithdrawn:
    def test_whatever_was_probably_theirs_goes_with_the_consent(self, site: Site) -> None:
        asha = EmployeeFactory.create(site=site, consented=True)
        template(asha, unit(1))
        refused(site, turned(unit(1), 0.55, seed=3), nearest=asha)
        refused(site, unit(2))
        enrolment.withdraw_consent(asha, by=None)
        visit = Visit.objects.get()
        assert np.array(visit.embedding, np.float32) @ rotated(unit(2)) > 0.99

    def test_no_visitor_is_said_to_resemble_them(self, site: Site) -> None:
        asha = EmployeeFactory.create(site=site, consented=True)
        Visitor.objects.create(
            policy=site.visitor_policy,
            model_version=active_model_version(),
            nearest=asha,
            nearest_score=0.3,
        )
        enrolment.withdraw_consent(asha, by=None)
        visitor = Visitor.objects.get()
        assert (visitor.nearest, visitor.nearest_score) == (None, None)
