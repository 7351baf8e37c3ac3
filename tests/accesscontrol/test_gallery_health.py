"""Gallery health: who should be enrolled anew, who looks like whom, who was never seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accesscontrol import gallery_health as module
from accesscontrol.corrections import Marked, correct_punch
from accesscontrol.gallery_health import GalleryHealth, gallery_health
from accesscontrol.models import Employee, EnrolmentPhoto, Outcome, Site, Template
from tests.enrolled import template, turned, unit
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    SiteFactory,
    UserFactory,
    threshold_of,
)

pytestmark = pytest.mark.django_db
PAGE = "admin:accesscontrol_employee_health"


@pytest.fixture
def site() -> Site:
    """With the threshold 0.62, a margin of 0.05, and 0.5 at a false match rate of 1e-4."""
    site: Site = SiteFactory.create()
    threshold_of(site)
    return site


def enrolled(site: Site, name: str, seed: int, **fields: Any) -> Employee:
    """Since 100 days."""
    employee: Employee = EmployeeFactory.create(site=site, name=name, consented=True)
    template(employee, unit(seed), **fields)
    Template.objects.filter(employee=employee).update(
        created_at=timezone.now() - timedelta(days=100)
    )
    return employee


@pytest.fixture
def asha(site: Site) -> Employee:
    return enrolled(site, "Asha", 1)


@pytest.fixture
def bert(site: Site) -> Employee:
    return enrolled(site, "Bert", 2)


def accepted(employee: Employee, scores: Sequence[float]) -> None:
    """Once a day up to yesterday."""
    kiosk = KioskFactory.create(site=employee.site, paired=True)
    for days, score in enumerate(reversed(scores), start=1):
        DecisionFactory.create(
            accepted=True, site=employee.site, kiosk=kiosk, employee=employee, score=score,
            at=timezone.now() - timedelta(days=days),
        )  # fmt: skip


def refused(employee: Employee, score: float, *, times: int, **fields: Any) -> list[Any]:
    kiosk = KioskFactory.create(site=employee.site, paired=True)
    return [
        DecisionFactory.create(
            site=employee.site, kiosk=kiosk, nearest=employee, score=score,
            **{"at": timezone.now() - timedelta(days=1 + n), **fields},
        )
        for n in range(times)
    ]  # fmt: skip


def health(site: Site) -> GalleryHealth:
    return gallery_health(site, Employee.objects.all())


def reasons(site: Site) -> dict[str, tuple[str, ...]]:
    return {proposal.employee.name: proposal.reasons for proposal in health(site).proposals}


STEADY = [0.85, 0.86, 0.84, 0.85, 0.86, 0.84] * 3
FALLING = [0.85, 0.86, 0.84] * 3 + [0.72, 0.7, 0.71] * 3


class TestFallingScores:
    def test_a_person_whose_likeness_falls_is_proposed(
        self, site: Site, asha: Employee, bert: Employee
    ) -> None:
        accepted(asha, FALLING)
        accepted(bert, STEADY)
        assert reasons(site) == {
            "Asha": ("likeness fell from 0.85 to 0.71; the threshold is 0.62",)
        }

    def test_a_few_bad_mornings_are_no_fall(self, site: Site, asha: Employee) -> None:
        accepted(asha, [0.85, 0.86, 0.84, 0.85] * 4 + [0.66, 0.85])
        assert reasons(site) == {}

    def test_too_few_acceptances_say_nothing(self, site: Site, asha: Employee) -> None:
        accepted(asha, [0.85, 0.86, 0.84, 0.85, 0.71, 0.7, 0.72, 0.71])
        assert reasons(site) == {}

    def test_a_rise_is_no_fall(self, site: Site, asha: Employee) -> None:
        accepted(asha, FALLING[::-1])
        assert reasons(site) == {}

    def test_what_was_before_the_newest_template_does_not_count(
        self, site: Site, asha: Employee
    ) -> None:
        accepted(asha, FALLING)
        template(asha, unit(5))
        assert reasons(site) == {}

    def test_acceptances_that_were_somebody_else_do_not_count(
        self, site: Site, asha: Employee
    ) -> None:
        accepted(asha, STEADY[:9])
        kiosk = KioskFactory.create(site=site, paired=True)
        for hours in range(1, 10):
            wrong = DecisionFactory.create(
                accepted=True, site=site, kiosk=kiosk, employee=asha, score=0.65,
                at=timezone.now() - timedelta(hours=hours),
            )  # fmt: skip
            correct_punch(wrong, Marked(None, "a stranger"), by=None)
        assert reasons(site) == {}


class TestRepeatRejects:
    def test_three_near_refusals_are_a_pattern(self, site: Site, asha: Employee) -> None:
        refused(asha, 0.55, times=3)
        assert reasons(site) == {"Asha": ("probably refused 3 times in 30 days",)}

    @pytest.mark.parametrize(
        "fields",
        [
            {"score": 0.4},  # a stranger has a nearest person, too
            {"times": 2},
            {"at": timezone.now() - timedelta(days=31)},
            {"outcome": Outcome.PAD_FAILED},
        ],
    )
    def test_what_is_none(self, site: Site, asha: Employee, fields: dict[str, Any]) -> None:
        refused(asha, **{"score": 0.55, "times": 3, **fields})
        assert reasons(site) == {}

    def test_who_was_let_in_right_after_was_the_one_refused(
        self, site: Site, asha: Employee
    ) -> None:
        for decision in refused(asha, 0.3, times=3):
            DecisionFactory.create(
                accepted=True, site=site, kiosk=decision.kiosk, employee=asha,
                at=decision.decided_at + timedelta(seconds=20),
            )  # fmt: skip
        assert reasons(site) == {"Asha": ("probably refused 3 times in 30 days",)}

    def test_one_that_hr_has_marked_is_enough(
        self, site: Site, asha: Employee, bert: Employee
    ) -> None:
        (decision,) = refused(asha, 0.3, times=1)
        correct_punch(decision, Marked(bert, "seen"), by=None)
        assert reasons(site) == {"Bert": ("probably refused once in 30 days (HR says so of 1)",)}

    def test_a_new_template_settles_it(self, site: Site, asha: Employee) -> None:
        refused(asha, 0.55, times=3)
        template(asha, unit(5))
        assert reasons(site) == {}


class TestPoorTemplates:
    def test_a_person_whose_best_photo_lacks_something(self, site: Site, asha: Employee) -> None:
        poor = {"score": 0.5, "shortfall": "BLURRED"}
        EnrolmentPhoto.objects.filter(employee=asha).update(quality=poor)
        assert reasons(site) == {"Asha": ("even the best photo is poor: the picture was blurred",)}

    def test_one_good_photo_is_enough(self, site: Site, asha: Employee) -> None:
        poor = {"score": 0.5, "shortfall": "BLURRED"}
        EnrolmentPhoto.objects.filter(employee=asha).update(quality=poor)
        template(asha, unit(1))
        EnrolmentPhoto.objects.exclude(quality=poor).update(quality={"score": 0.8})
        assert reasons(site) == {}


class TestLookAlikes:
    def test_the_nearest_templates_of_two_people(
        self, site: Site, asha: Employee, bert: Employee
    ) -> None:
        template(bert, turned(unit(1), 0.7, seed=9))
        template(bert, turned(unit(1), 0.65, seed=8))
        (pair,) = health(site).look_alikes
        assert {pair.one, pair.other} == {asha, bert}
        assert pair.score == pytest.approx(0.7, abs=0.002)

    def test_two_templates_of_one_person_are_no_pair(self, site: Site, asha: Employee) -> None:
        template(asha, unit(1))
        assert health(site).look_alikes == []

    def test_below_the_threshold_is_no_pair(self, site: Site, asha: Employee) -> None:
        enrolled(site, "Carl", 3)
        template(EmployeeFactory.create(site=site), turned(unit(1), 0.6, seed=9))
        assert health(site).look_alikes == []

    @pytest.mark.parametrize("fault", ["elsewhere", "inactive", "other rotation"])
    def test_only_the_gallery_itself(self, site: Site, asha: Employee, fault: str) -> None:
        place = SiteFactory.create() if fault == "elsewhere" else site
        other = EmployeeFactory.create(site=place, is_active=fault != "inactive")
        kept: dict[str, Any] = {"rotation_id": "other"} if fault == "other rotation" else {}
        template(other, unit(1), **kept)
        assert health(site).look_alikes == []

    def test_a_large_gallery_compares_its_newest_with_all(
        self, site: Site, asha: Employee, bert: Employee, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_COMPARISONS", 4)
        twins = [enrolled(site, name, 7) for name in ("Carl", "Dora")]
        found = health(site)
        assert found.compared == (1, 4)
        assert [{pair.one, pair.other} for pair in found.look_alikes] == [set(twins)]


class TestNeverSeen:
    def test_enrolled_long_ago_and_never_recognised(
        self, site: Site, asha: Employee, bert: Employee
    ) -> None:
        accepted(bert, [0.8])
        assert health(site).never_seen == [asha]

    def test_not_yet_after_a_few_days(self, site: Site, asha: Employee) -> None:
        Template.objects.update(created_at=timezone.now() - timedelta(days=13))
        assert health(site).never_seen == []


class TestMistaken:
    def test_whom_hr_corrected_with_how_often(
        self, site: Site, asha: Employee, bert: Employee
    ) -> None:
        accepted(asha, [0.7, 0.7, 0.7])
        first, second, third = asha.decisions.all()
        for decision in (first, second):
            correct_punch(decision, Marked(bert, "twins"), by=None)
        correct_punch(third, Marked(None, "ill"), by=None)
        rows = [(row.taken_for, row.was, row.count) for row in health(site).mistaken]
        assert rows == [(asha, bert, 2), (asha, None, 1)]


class TestWhoMaySee:
    def test_people_whom_the_reader_may_not_see_are_not_named(
        self, site: Site, asha: Employee, bert: Employee
    ) -> None:
        refused(asha, 0.55, times=3)
        template(bert, unit(1))
        Template.objects.update(created_at=timezone.now() - timedelta(days=100))
        found = gallery_health(site, Employee.objects.filter(pk=bert.pk))
        assert found.proposals == []
        assert found.look_alikes == []
        assert found.never_seen == [bert]

    def test_another_sites_people_are_not_listed(self, site: Site, asha: Employee) -> None:
        refused(asha, 0.55, times=3)
        elsewhere = SiteFactory.create()
        threshold_of(elsewhere)
        assert health(elsewhere).proposals == []


class TestThePage:
    @pytest.mark.parametrize(("group", "status"), [("HR", 200), ("Site manager", 200), ("IT", 403)])
    def test_who_may_open_it(self, client: Client, site: Site, group: str, status: int) -> None:
        user = UserFactory.create(staff=True)
        user.groups.add(Group.objects.get(name=group))
        client.force_login(user)
        assert client.get(reverse(PAGE)).status_code == status

    def test_it_links_to_where_a_new_photo_is_enrolled(
        self, admin_client: Client, site: Site, asha: Employee
    ) -> None:
        refused(asha, 0.55, times=3)
        page = admin_client.get(reverse(PAGE)).content.decode()
        link = reverse("admin:accesscontrol_employee_change", args=[asha.pk]) + "#enrolment"
        assert link in page
        assert "Take a new photo" in page

    def test_without_a_site_without_people_and_without_decisions_it_says_what_to_do(
        self, admin_client: Client
    ) -> None:
        assert "There is no site yet" in admin_client.get(reverse(PAGE)).content.decode()
        site = SiteFactory.create()
        page = admin_client.get(reverse(PAGE)).content.decode()
        assert "nothing to look after yet" in page
        threshold_of(site)
        employee = EmployeeFactory.create(site=site, consented=True)
        template(employee, unit(1))
        page = admin_client.get(reverse(PAGE)).content.decode()
        assert "Nothing to do" in page
        assert "Nobody has come by yet" in page

    @pytest.mark.parametrize("wanted", ["", "0", "-1", "x", "9" * 40])
    def test_a_site_that_is_none_shows_the_first(
        self, admin_client: Client, site: Site, wanted: str
    ) -> None:
        answer = admin_client.get(reverse(PAGE), {"site": wanted})
        assert answer.context["site"] == site

    def test_a_look_changes_nothing(self, admin_client: Client, site: Site, asha: Employee) -> None:
        refused(asha, 0.55, times=3)
        before = list(Template.objects.values_list("pk", flat=True))
        admin_client.get(reverse(PAGE))
        assert list(Template.objects.values_list("pk", flat=True)) == before
