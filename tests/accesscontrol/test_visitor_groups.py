"""Visitors over time: who goes on as whom when visits come, go, join and part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from accesscontrol import enrolment, visitor_groups, visitors, visits
from accesscontrol.models import ModelVersion, Site, Visit, Visitor
from accesscontrol.visitor_groups import Group, continued, put_down
from tests.concurrency import at_once, errors
from tests.enrolled import template, unit
from tests.factories import EmployeeFactory, SiteFactory, active_model_version
from tests.refusals import came, owners, switched_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    switched_on(site)
    return site


@pytest.fixture
def version(site: Site) -> ModelVersion:
    return active_model_version()


def place(site: Site, *groups: Sequence[int], known: Sequence[int] = ()) -> None:
    """Group the site's visits, told by their place from 0."""
    numbers = list(owners())
    gone = [numbers[visit] for visit in known]
    put(site, *([numbers[visit] for visit in group] for group in groups), known=gone)


def put(site: Site, *groups: Sequence[int], known: Sequence[int] = ()) -> None:
    """Group the site's visits, told by their numbers."""
    made = [Group(tuple(group)) for group in groups]
    put_down(site.visitor_policy, active_model_version(), made, known=known, stamp="")


def whose() -> list[int | None]:
    return list(owners().values())


class TestWhoGoesOn:
    """`continued`, the rule alone."""

    def test_nobody_before_nobody_goes_on(self) -> None:
        assert continued([[1, 2], [3]], {1: None, 2: None}) == [None, None]

    def test_a_visitor_goes_on_with_their_visits_and_the_new_ones(self) -> None:
        assert continued([[1, 2, 9], [3, 4]], {1: 7, 2: 7, 3: 8, 4: 8}) == [7, 8]

    def test_of_two_who_come_together_the_one_with_more_visits_goes_on(self) -> None:
        assert continued([[1, 2, 3]], {1: 7, 2: 8, 3: 8}) == [8]

    def test_of_two_alike_the_older_goes_on(self) -> None:
        assert continued([[1, 2]], {1: 8, 2: 7}) == [7]

    def test_where_one_falls_apart_they_go_on_where_most_visits_are(self) -> None:
        assert continued([[1], [2, 3]], {1: 7, 2: 7, 3: 7}) == [None, 7]

    def test_a_visitor_never_goes_on_twice(self) -> None:
        found = continued([[1, 2], [3, 4], [5]], dict.fromkeys(range(1, 6), 7))
        assert found == [7, None, None]

    def test_who_loses_one_group_may_go_on_in_another(self) -> None:
        before = {1: 7, 2: 7, 3: 7, 4: 8, 5: 8, 6: 8, 7: 8}
        assert continued([[1, 2, 4, 5, 6, 7], [3]], before) == [8, 7]


class TestPuttingDown:
    def test_who_came_again_is_a_visitor_and_who_came_once_is_not(self, site: Site) -> None:
        came(site, 1, 4)
        place(site, [0, 1, 2], [3])
        visitor = Visitor.objects.get()
        assert whose() == [visitor.pk] * 3 + [None]

    def test_a_visitor_stays_the_same_as_visits_come(self, site: Site) -> None:
        came(site, 1, 2)
        place(site, [0, 1])
        before = Visitor.objects.get()
        came(site, 2, 2)
        place(site, [0, 1, 2], [3])
        assert whose() == [before.pk] * 3 + [None]

    def test_and_as_visits_go_down_to_the_last(self, site: Site) -> None:
        came(site, 1, 3)
        place(site, [0, 1, 2])
        before = Visitor.objects.get()
        Visit.objects.filter(pk__in=list(owners())[:2]).delete()
        place(site, [0])
        assert whose() == [before.pk]

    def test_two_who_turn_out_to_be_one_leave_one(self, site: Site) -> None:
        came(site, 1, 5)
        place(site, [0, 1], [2, 3, 4])
        larger = whose()[4]
        place(site, [0, 1, 2, 3, 4])
        assert whose() == [larger] * 5
        assert Visitor.objects.count() == 1

    def test_one_who_turns_out_to_be_two_leaves_two(self, site: Site) -> None:
        came(site, 1, 5)
        place(site, [0, 1, 2, 3, 4])
        before = Visitor.objects.get().pk
        place(site, [0, 1], [2, 3, 4])
        new = whose()[0]
        assert new not in {before, None}
        assert whose() == [new] * 2 + [before] * 3

    def test_the_same_again_changes_nothing(self, site: Site) -> None:
        came(site, 1, 4)
        place(site, [0, 1], [2, 3])
        before = whose()
        place(site, [0, 1], [2, 3])
        assert whose() == before

    def test_who_is_known_by_now_is_forgotten(self, site: Site) -> None:
        came(site, 1, 4)
        place(site, [0, 1, 2, 3])
        place(site, [2, 3], known=[0, 1])
        assert len(owners()) == 2
        place(site, known=[0, 1])
        assert not Visitor.objects.exists()

    def test_a_visit_that_went_meanwhile_stays_gone(self, site: Site) -> None:
        came(site, 1, 3)
        numbers = list(owners())
        Visit.objects.filter(pk=numbers[0]).delete()
        put_down(
            site.visitor_policy, active_model_version(), [Group(tuple(numbers))], known=[], stamp=""
        )
        assert list(owners()) == numbers[1:]

    def test_nothing_is_made_where_it_was_switched_off_meanwhile(self, site: Site) -> None:
        came(site, 1, 3)
        policy, numbers = site.visitor_policy, list(owners())
        visitors.switch_off(site, by=None)
        put_down(policy, active_model_version(), [Group(tuple(numbers))], known=[], stamp="")
        assert not Visitor.objects.exists()

    def test_whoever_withdrew_meanwhile_is_near_nobody(self, site: Site) -> None:
        near = EmployeeFactory.create(site=site, consented=True)
        gone = EmployeeFactory.create(site=site, withdrawn=True)
        came(site, 1, 4)
        numbers = list(owners())
        groups = [
            Group(tuple(numbers[:2]), (near.pk, 0.4)),
            Group(tuple(numbers[2:]), (gone.pk, 0.5)),
        ]
        put_down(site.visitor_policy, active_model_version(), groups, known=[], stamp="")
        found = Visitor.objects.order_by("pk").values_list("nearest", "nearest_score")
        assert list(found) == [(near.pk, 0.4), (None, None)]


class TestWhenToGroup:
    def test_when_visits_come_or_go_the_gallery_changes_or_a_number_is_given(
        self, site: Site, version: ModelVersion
    ) -> None:
        policy = site.visitor_policy
        stamps = [visitor_groups.stamp_of(policy, version)]
        came(site, 1, 2)
        stamps.append(visitor_groups.stamp_of(policy, version))
        Visit.objects.first().delete()  # type: ignore[union-attr]
        stamps.append(visitor_groups.stamp_of(policy, version))
        template(EmployeeFactory.create(site=site), unit(5))
        stamps.append(visitor_groups.stamp_of(policy, version))
        policy.people = 3
        stamps.append(visitor_groups.stamp_of(policy, version))
        assert len(set(stamps)) == 5
        assert visitor_groups.stamp_of(policy, version) == stamps[-1]

    def test_expired_visits_are_not_grouped(
        self, site: Site, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        came(site, 1, 2)
        assert len(visitor_groups.visits_to_group(site.visitor_policy, version)) == 2
        later = timezone.now() + timedelta(days=8)
        monkeypatch.setattr(timezone, "now", lambda: later)
        assert visitor_groups.visits_to_group(site.visitor_policy, version) == []

    def test_visits_of_another_key_or_model_are_not_compared(
        self, site: Site, version: ModelVersion
    ) -> None:
        came(site, 1, 2)
        Visit.objects.update(rotation_id="older")
        assert visitor_groups.visits_to_group(site.visitor_policy, version) == []


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_two_groupings_at_once_come_to_the_same(self) -> None:
        site = SiteFactory.create()
        switched_on(site)
        came(site, 1, 3)
        came(site, 2, 3)
        assert errors(at_once([partial(place, site, [0, 1, 2], [3, 4, 5])] * 6)) == []
        assert Visitor.objects.count() == 2
        first, second = whose()[0], whose()[5]
        assert whose() == [first] * 3 + [second] * 3

    def test_grouping_dismissing_and_expiring_at_once_leave_no_visitor_without_visits(
        self,
    ) -> None:
        site = SiteFactory.create()
        switched_on(site)
        came(site, 1, 4)
        place(site, [0, 1], [2, 3])
        visitor, numbers = Visitor.objects.earliest("pk"), list(owners())
        works: list[Callable[[], object]] = [
            partial(put, site, numbers),
            partial(visitors.dismiss, visitor, by=None),
            visits.expire,
            partial(put, site, numbers[:2], numbers[2:]),
        ]
        assert errors(at_once(works)) == []
        assert not Visitor.objects.filter(visits__isnull=True).exists()

    def test_one_that_dies_halfway_leaves_what_was_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = SiteFactory.create()
        switched_on(site)
        came(site, 1, 4)
        place(site, [0, 1], [2, 3])
        before = whose()

        def dies(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(visitor_groups, "_say_who_is_near", dies)
        with pytest.raises(KeyboardInterrupt):
            place(site, [0, 1, 2, 3])
        connection.close()
        assert whose() == before
        assert Visitor.objects.count() == 2

    def test_sites_changed_in_every_way_at_once_do_not_stand_in_each_others_way(self) -> None:
        sites = [SiteFactory.create() for _ in range(3)]
        people = [EmployeeFactory.create(site=site, consented=True) for site in sites]
        for site, person in zip(sites, people, strict=True):
            switched_on(site, days=2)
            template(person, unit(50 + site.pk))
            came(site, 1, 4)
        kept = Visit.objects.order_by("pk").values_list("policy__site", "pk")
        numbers = {site.pk: [pk for place, pk in kept if place == site.pk] for site in sites}
        works: list[Callable[[], object]] = []
        for site, person in zip(sites, people, strict=True):
            works += [
                partial(put, site, numbers[site.pk][:2], numbers[site.pk][2:]),
                partial(switched_on, site, days=1),
                partial(enrolment.withdraw_consent, person, by=None),
                visits.expire,
            ]
        assert errors(at_once(works)) == []
        assert not Visit.objects.exists(), "they came three days ago"
