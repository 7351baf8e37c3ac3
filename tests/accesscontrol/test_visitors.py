"""Unknown visitors: a site's choice, recorded, and gone without a trace when it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from accesscontrol import visitors, visits
from accesscontrol.models import AuditEntry, Decision, Site, Visit, Visitor, VisitorPolicy
from accesscontrol.visitors import VisitorError
from tests.concurrency import at_once, errors
from tests.constraints import refused as by_constraint
from tests.enrolled import rotated, unit
from tests.factories import SiteFactory, UserFactory
from tests.refusals import PURPOSE, came, refused, rotation_id, switched_on, visitor_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    return site


def comes(decision: Decision) -> None:
    visits.keep_visit(decision, rotated(unit(decision.pk)), rotation_id())


def actions() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("actor", "action"))


class TestOff:
    def test_a_new_site_keeps_nobody(self, site: Site) -> None:
        assert visitors.policy_of(site) is None

    def test_switching_off_what_is_off_changes_and_records_nothing(self, site: Site) -> None:
        assert visitors.switch_off(site, by=None) == 0
        assert actions() == []


class TestOn:
    def test_it_says_for_how_long_what_for_and_by_whom(self, site: Site) -> None:
        user = UserFactory.create(username="mia")
        visitors.switch_on(site, retention_days=3, purpose=f"  {PURPOSE} ", by=user)
        policy = visitors.policy_of(site)
        assert policy is not None
        assert (policy.retention_days, policy.purpose) == (3, PURPOSE)
        assert policy.switched_on_by == user
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action, entry.subject) == (
            "user:mia", "switch_on_visitors", f"site:{site.pk}",
        )  # fmt: skip
        assert entry.detail == {"retention_days": 3, "purpose": PURPOSE}

    @pytest.mark.parametrize("days", [-1, 0, 31, 10_000])
    def test_not_for_an_unbounded_time(self, site: Site, days: int) -> None:
        with pytest.raises(VisitorError, match="1 to 30 days"):
            visitors.switch_on(site, retention_days=days, purpose=PURPOSE, by=None)
        assert not VisitorPolicy.objects.exists()

    @pytest.mark.parametrize("purpose", ["", "   ", "security", "x" * 501])
    def test_not_without_a_purpose(self, site: Site, purpose: str) -> None:
        with pytest.raises(VisitorError, match="what it is for"):
            visitors.switch_on(site, retention_days=3, purpose=purpose, by=None)
        assert actions() == []

    @pytest.mark.parametrize("fields", [{"retention_days": 31}, {"retention_days": 0}])
    def test_the_database_bounds_it_too(self, site: Site, fields: dict[str, int]) -> None:
        with by_constraint("visitor_policy_retention"):
            VisitorPolicy.objects.create(site=site, purpose=PURPOSE, **fields)
        with by_constraint("visitor_policy_has_a_purpose"):
            VisitorPolicy.objects.create(site=site, purpose="", retention_days=3)

    def test_fewer_days_hold_for_what_is_kept_already(self, site: Site) -> None:
        switched_on(site, days=20)
        refused(site, unit(1), timezone.now() - timedelta(days=10))
        refused(site, unit(2), timezone.now() - timedelta(days=2))
        switched_on(site, days=5)
        visit = Visit.objects.get()
        assert visit.expires_at - visit.seen_at == timedelta(days=5)
        assert actions()[-1][1] == "change_visitors"

    def test_more_days_do_not_prolong_what_is_kept_already(self, site: Site) -> None:
        switched_on(site, days=2)
        refused(site, unit(1))
        switched_on(site, days=30)
        visit = Visit.objects.get()
        assert visit.expires_at - visit.seen_at == timedelta(days=2)

    @pytest.mark.django_db(transaction=True)
    def test_by_two_at_once_it_is_on_once(self, site: Site) -> None:
        def choose() -> object:
            return visitors.switch_on(site, retention_days=3, purpose=PURPOSE, by=None)

        assert errors(at_once([choose] * 6)) == []
        assert VisitorPolicy.objects.count() == 1


class TestSwitchingOff:
    def test_it_deletes_every_visit_and_visitor_at_once_and_no_decision(self, site: Site) -> None:
        switched_on(site)
        came(site, 1, 3)
        visitor_of(site)
        elsewhere = SiteFactory.create()
        switched_on(elsewhere)
        came(elsewhere, 1, 2)
        assert visitors.switch_off(site, by=None) == 3
        assert not Visitor.objects.exists()
        assert set(Visit.objects.values_list("policy__site", flat=True)) == {elsewhere.pk}
        assert Decision.objects.count() == 5
        entry = AuditEntry.objects.get(action="switch_off_visitors")
        assert entry.detail == {"visits_deleted": 3}

    @pytest.mark.django_db(transaction=True)
    def test_while_people_come_nothing_is_left(self, site: Site) -> None:
        switched_on(site)
        decisions = [refused(site, unit(n), keep=False) for n in range(8)]
        works: list[Callable[[], object]] = [partial(comes, decision) for decision in decisions]
        works.insert(4, partial(visitors.switch_off, site, by=None))
        assert errors(at_once(works)) == []
        assert not Visit.objects.exists()


class TestDismissing:
    def test_it_deletes_their_visits_and_is_recorded(self, site: Site) -> None:
        switched_on(site)
        came(site, 1, 3)
        visitor = visitor_of(site)
        came(site, 2, 1)
        assert visitors.dismiss(visitor, by=UserFactory.create(username="mia")) == 3
        assert Visit.objects.count() == 1
        assert not Visitor.objects.exists()
        entry = AuditEntry.objects.get(action="dismiss_visitor")
        assert entry.actor == "user:mia"
        assert entry.detail == {"visitor": visitor.pk, "visits_deleted": 3}

    def test_nothing_is_kept_to_know_them_by(self, site: Site) -> None:
        switched_on(site)
        came(site, 1, 2)
        visitors.dismiss(visitor_of(site), by=None)
        came(site, 1, 1)
        assert Visit.objects.get().visitor is None

    @pytest.mark.django_db(transaction=True)
    def test_by_two_at_once_it_is_recorded_once(self, site: Site) -> None:
        switched_on(site)
        came(site, 1, 2)
        visitor = visitor_of(site)
        found = at_once([lambda: visitors.dismiss(visitor, by=None)] * 4)
        assert sorted(found) == [0, 0, 0, 2]
        assert AuditEntry.objects.filter(action="dismiss_visitor").count() == 1


class TestTheNumberOfPeople:
    def test_it_is_kept_and_recorded(self, site: Site) -> None:
        switched_on(site)
        visitors.group_into(site, 4, by=None)
        assert VisitorPolicy.objects.get().people == 4
        assert AuditEntry.objects.get(action="group_visitors").detail == {"people": 4}
        visitors.group_into(site, None, by=None)
        assert VisitorPolicy.objects.get().people is None

    @pytest.mark.parametrize("people", [0, -3, 501])
    def test_only_a_number_of_people(self, site: Site, people: int) -> None:
        switched_on(site)
        with pytest.raises(VisitorError, match="1 to 500"):
            visitors.group_into(site, people, by=None)

    def test_not_where_it_is_off(self, site: Site) -> None:
        with pytest.raises(VisitorError, match="not kept"):
            visitors.group_into(site, 4, by=None)
        assert actions() == []


def test_going_to_enrol_is_recorded_and_takes_nothing_over(site: Site) -> None:
    switched_on(site)
    came(site, 1, 2)
    visitor = visitor_of(site)
    visitors.begin_enrolment(visitor, by=UserFactory.create(username="hana"))
    entry = AuditEntry.objects.get(action="enrol_visitor")
    assert (entry.actor, entry.detail) == ("user:hana", {"visitor": visitor.pk, "visits": 2})
    assert Visit.objects.count() == 2
