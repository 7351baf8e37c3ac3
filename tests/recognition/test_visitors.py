"""Unknown visitors by a worker: who comes again is one visitor, whoever is known is none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone
from pytest_django.fixtures import Settings

from accesscontrol import visitors
from accesscontrol.models import ModelVersion, Site, Visit, Visitor, VisitorPolicy
from recognition import tasks
from recognition.survey import survey_site
from recognition.tasks import group_visitors
from recognition.visitors import group_visits, tend_visitors
from tests.enrolled import template, turned, unit
from tests.factories import (
    EmployeeFactory,
    ModelVersionFactory,
    SiteFactory,
    active_model_version,
)
from tests.galleries import fill_gallery
from tests.refusals import came, owners, refused, switched_on

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    switched_on(site)
    return site


def sizes() -> list[int]:
    """Visits of each visitor, fewest first."""
    return sorted(visitor.visits.count() for visitor in Visitor.objects.all())


def policy_of(site: Site) -> VisitorPolicy:
    return VisitorPolicy.objects.select_related("site").get(site=site)


class TestGrouping:
    def test_each_who_comes_again_is_one_visitor(self, site: Site) -> None:
        for person, times in ((1, 12), (2, 3), (3, 1), (4, 1)):
            came(site, person, times)
        tend_visitors()
        assert sizes() == [3, 12]
        assert list(owners().values()).count(None) == 2

    def test_they_stay_the_same_as_they_come_again(self, site: Site) -> None:
        came(site, 1, 3)
        came(site, 2, 2)
        tend_visitors()
        before = set(Visitor.objects.values_list("pk", flat=True))
        came(site, 2, 4, since=timedelta(days=1))
        tend_visitors()
        assert set(Visitor.objects.values_list("pk", flat=True)) == before
        assert sizes() == [3, 6]

    def test_a_number_that_is_given_is_kept_to(self, site: Site) -> None:
        for person in (1, 2, 3):
            came(site, person, 4)
        tend_visitors()
        assert sizes() == [4, 4, 4]
        visitors.group_into(site, 2, by=None)
        tend_visitors()
        assert len(sizes()) == 2
        assert sum(sizes()) == 12
        visitors.group_into(site, None, by=None)
        tend_visitors()
        assert sizes() == [4, 4, 4]

    def test_sites_are_never_mixed(self, site: Site) -> None:
        elsewhere: Site = SiteFactory.create()
        switched_on(elsewhere)
        came(site, 1, 2)
        came(elsewhere, 1, 2)
        tend_visitors()
        assert sizes() == [2, 2]
        assert {v.policy.site for v in Visitor.objects.all()} == {site, elsewhere}

    def test_where_everybody_looks_alike_it_takes_more_to_be_one_person(self, site: Site) -> None:
        came(site, 1, 1)
        refused(site, turned(unit(1), 0.75, seed=9), timezone.now() - timedelta(hours=2))
        assert group_visits(policy_of(site), active_model_version())
        assert sizes() == [2], "as the calibration alone says"
        # 1e-5 is 0.56 in the calibration; the site's own people have cosines of about 0.6.
        fill_gallery(site, active_model_version(), 25, alike=0.6)
        survey_site(site, active_model_version())
        group_visits(policy_of(site), active_model_version())
        assert sizes() == [1], "the other one is somebody who came once"

    def test_what_has_not_changed_is_not_grouped_again(self, site: Site) -> None:
        came(site, 1, 2)
        assert group_visits(policy_of(site), active_model_version())
        assert not group_visits(policy_of(site), active_model_version())

    def test_nobody_came_is_no_trouble(self, site: Site) -> None:
        tend_visitors()
        assert sizes() == []

    def test_without_a_model_is_no_trouble(self, site: Site) -> None:
        ModelVersion.objects.update(is_active=False)
        tend_visitors()


class TestWhoIsNear:
    def test_a_visitor_like_somebody_badly_enrolled_says_so(self, site: Site) -> None:
        asha = EmployeeFactory.create(site=site, consented=True)
        template(asha, turned(unit(1), 0.58, seed=77))
        template(EmployeeFactory.create(site=site, consented=True), unit(50))
        came(site, 1, 4)
        tend_visitors()
        visitor = Visitor.objects.get()
        assert visitor.nearest == asha
        assert visitor.nearest_score == pytest.approx(0.58, abs=0.06)

    def test_where_nobody_is_enrolled_nobody_is_near(self, site: Site) -> None:
        came(site, 1, 2)
        tend_visitors()
        assert Visitor.objects.get().nearest is None


class TestLettingGo:
    def test_who_is_enrolled_by_now_is_no_visitor(self, site: Site) -> None:
        came(site, 1, 3)
        came(site, 2, 2)
        tend_visitors()
        asha = EmployeeFactory.create(consented=True)
        template(asha, unit(1))
        asha.admissions.create(site=site)
        tend_visitors()
        assert sizes() == [2]
        assert Visit.objects.count() == 2

    def test_whose_days_are_over_goes_with_the_task(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        came(site, 1, 3)
        group_visitors()
        assert sizes() == [3]
        later = timezone.now() + timedelta(days=7)
        monkeypatch.setattr(timezone, "now", lambda: later)
        group_visitors()
        assert not Visit.objects.exists()
        assert not Visitor.objects.exists()

    def test_another_model_begins_with_nobody(self, site: Site) -> None:
        came(site, 1, 3)
        tend_visitors()
        ModelVersion.objects.update(is_active=False)
        ModelVersionFactory.create()
        tend_visitors()
        assert not Visit.objects.exists()
        assert not Visitor.objects.exists()


class TestTheTask:
    def test_beat_sends_it_to_the_enrolment_queue_and_it_does_not_pile_up(
        self, settings: Settings
    ) -> None:
        entry = settings.CELERY_BEAT_SCHEDULE["group-visitors"]
        assert entry["task"] == group_visitors.name
        assert entry["options"]["expires"] <= entry["schedule"]
        assert settings.CELERY_TASK_ROUTES[group_visitors.name] == {"queue": "enrolment"}

    def test_a_lost_database_is_logged_without_what_it_said(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def away() -> None:
            raise DatabaseError("([0.1,0.2])")

        monkeypatch.setattr(tasks, "tend_visitors", away)
        group_visitors()
        assert "visits were not tended: DatabaseError" in caplog.text
        assert "0.2" not in caplog.text
