"""The page of unknown visitors: who may see it, what it says, and what can be done there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accesscontrol.admin.hours_plot import plot, summary
from accesscontrol.models import (
    AuditEntry,
    Decision,
    Employee,
    Site,
    Template,
    Visit,
    Visitor,
    VisitorPolicy,
)
from accesscontrol.visitor_list import visitors_of
from tests.enrolled import turned, unit
from tests.factories import (
    EmployeeFactory,
    KioskFactory,
    SiteFactory,
    UserFactory,
)
from tests.refusals import PURPOSE, came, refused, switched_on, visitor_of

pytestmark = pytest.mark.django_db
PAGE = reverse("admin:accesscontrol_visitor_changelist")


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create(name="Plant", time_zone="Asia/Kolkata")
    switched_on(site)
    return site


def url(name: str, row: Site | Visitor) -> str:
    return reverse(f"admin:accesscontrol_visitor_{name}", args=[row.pk])


def login_of(client: Client, group: str) -> None:
    user = UserFactory.create(staff=True, username=group.lower().replace(" ", "-"))
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)


def text_of(client: Client, address: str = PAGE) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


class TestWhoMay:
    MATRIX = {
        "HR": {"page", "dismiss", "enrol"},
        "Site manager": {"page", "change", "off", "people", "dismiss"},
        "IT": set(),
    }

    @pytest.mark.parametrize("group", list(MATRIX))
    def test_each_group_reaches_its_own_and_no_others(
        self, client: Client, site: Site, group: str
    ) -> None:
        came(site, 1, 2)
        visitor = visitor_of(site)
        login_of(client, group)
        reached = {
            "page": client.get(PAGE).status_code,
            "change": client.get(url("on", site)).status_code,
            "people": client.post(url("people", site), {"people": ""}).status_code,
            "enrol": client.get(url("enrol", visitor)).status_code,
            "dismiss": client.get(url("dismiss", visitor)).status_code,
            "off": client.get(url("off", site)).status_code,
        }
        assert {name for name, status in reached.items() if status in {200, 302}} == (
            self.MATRIX[group]
        )
        assert set(reached.values()) <= {200, 302, 403}

    @pytest.mark.parametrize(("group", "status"), [("HR", 403), ("Site manager", 200), ("IT", 403)])
    def test_only_site_managers_switch_it_on(self, client: Client, group: str, status: int) -> None:
        site = SiteFactory.create()
        login_of(client, group)
        assert client.get(url("on", site)).status_code == status
        answer = client.post(url("on", site), ANSWERS)
        assert VisitorPolicy.objects.exists() == (answer.status_code == 302) == (status == 200)

    def test_nobody_without_a_login(self, client: Client, site: Site) -> None:
        for address in (PAGE, url("on", site), url("off", site)):
            answer = client.get(address)
            assert answer.status_code == 302
            assert answer["Location"].startswith(reverse("admin:login"))

    def test_no_row_is_opened_added_or_deleted_in_another_way(self, admin_client: Client) -> None:
        for path in ("add/", "1/change/", "1/delete/", "1/history/"):
            assert admin_client.get(PAGE + path).status_code == 404

    def test_a_look_changes_nothing(self, admin_client: Client, site: Site) -> None:
        came(site, 1, 2)
        visitor = visitor_of(site)
        before = AuditEntry.objects.count()
        for address in (PAGE, url("on", site), url("off", site), url("dismiss", visitor)):
            assert admin_client.get(address).status_code == 200
        assert admin_client.get(url("people", site)).status_code == 405
        assert Visit.objects.count() == 2
        assert AuditEntry.objects.count() == before

    def test_a_post_without_token_is_refused(self, site: Site) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(UserFactory.create(superuser=True))
        for name in ("on", "off", "people"):
            assert strict.post(url(name, site)).status_code == 403
        assert VisitorPolicy.objects.exists()


ANSWERS = {"retention_days": "3", "purpose": PURPOSE, "confirmed": "on"}


class TestSwitching:
    def test_off_the_page_says_what_it_would_mean(self, admin_client: Client) -> None:
        SiteFactory.create(name="Plant")
        page = text_of(admin_client)
        assert "Off at Plant" in page
        assert "biometric data of people who have not consented" in page
        assert "Switch on" in page

    def test_without_a_site_it_says_so(self, admin_client: Client) -> None:
        assert "There is no site yet" in text_of(admin_client)

    def test_on_it_keeps_days_purpose_and_name(self, client: Client) -> None:
        site = SiteFactory.create()
        login_of(client, "Site manager")
        answer = client.post(url("on", site), ANSWERS)
        assert answer["Location"] == f"{PAGE}?site={site.pk}"
        policy = VisitorPolicy.objects.get()
        assert (policy.retention_days, policy.purpose) == (3, PURPOSE)
        assert AuditEntry.objects.get().actor == "user:site-manager"
        assert PURPOSE in text_of(client)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"retention_days": "0"},
            {"retention_days": "31"},
            {"retention_days": "x"},
            {"purpose": "security"},
            {"purpose": " " * 40},
            {"confirmed": ""},
        ],
    )
    def test_not_without_days_purpose_and_confirmation(
        self, admin_client: Client, wrong: dict[str, str]
    ) -> None:
        site = SiteFactory.create()
        assert admin_client.post(url("on", site), ANSWERS | wrong).status_code == 400
        assert not VisitorPolicy.objects.exists()

    def test_off_again_everything_is_deleted(self, admin_client: Client, site: Site) -> None:
        came(site, 1, 3)
        visitor_of(site)
        assert "deleted now, for good" in text_of(admin_client, url("off", site))
        admin_client.post(url("off", site))
        assert not VisitorPolicy.objects.exists()
        assert not Visit.objects.exists()
        assert Decision.objects.count() == 3


class TestThePage:
    def test_one_unknown_person_with_visits_times_doors_and_hours(
        self, admin_client: Client, site: Site
    ) -> None:
        gate = KioskFactory.create(site=site, name="Gate", paired=True)
        today = timezone.now().replace(hour=3, minute=30, second=0, microsecond=0)
        for day in (3, 2, 1):  # 03:30 UTC is 9:00 in Kolkata
            face = turned(unit(1), 0.95, seed=100 + day)
            refused(site, face, today - timedelta(days=day), kiosk=gate)
        visitor = visitor_of(site)
        page = text_of(admin_client)
        first = (today - timedelta(days=3)).date()
        assert f"Unknown person {visitor.pk}" in page
        assert f"3 visits since {first:%A, %Y-%m-%d}" in page
        assert "Gate" in page
        assert "Visits by hour of the day: 8:00 3" in page or "9:00 3" in page

    def test_who_came_once_is_only_counted(self, admin_client: Client, site: Site) -> None:
        came(site, 1, 1)
        came(site, 2, 1)
        page = text_of(admin_client)
        assert "Nobody unknown has come twice" in page
        assert "2 visits of people who came once" in page

    def test_nobody_at_all(self, admin_client: Client, site: Site) -> None:
        assert "No unknown visitor so far" in text_of(admin_client)

    def test_two_doors_at_once_are_one_visit(self, site: Site) -> None:
        start = timezone.now() - timedelta(hours=5)
        for minutes, cosine in ((0, 0.7), (2, 0.71), (200, 0.72)):
            face = turned(unit(1), cosine, seed=minutes)
            refused(site, face, start + timedelta(minutes=minutes))
        visitor_of(site)
        assert Visit.objects.count() == 3
        (line,) = visitors_of(site.visitor_policy, Employee.objects.none()).lines
        assert (line.visits, line.refusals, sum(line.hours)) == (2, 3, 2)

    def test_expired_visits_are_not_shown_even_before_they_are_deleted(
        self, admin_client: Client, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        came(site, 1, 3)
        visitor_of(site)
        later = timezone.now() + timedelta(days=8)
        monkeypatch.setattr(timezone, "now", lambda: later)
        found = visitors_of(site.visitor_policy, Employee.objects.none())
        assert found.lines == []
        assert found.once == 0

    def test_another_sites_visitors_are_on_its_own_page(
        self, admin_client: Client, site: Site
    ) -> None:
        elsewhere = SiteFactory.create(name="Yard")
        switched_on(elsewhere)
        came(elsewhere, 1, 2)
        visitor = visitor_of(elsewhere)
        assert str(visitor) not in text_of(admin_client, f"{PAGE}?site={site.pk}")
        assert str(visitor) in text_of(admin_client, f"{PAGE}?site={elsewhere.pk}")

    @pytest.mark.parametrize("wanted", ["", "0", "-1", "x", "9" * 40])
    def test_a_site_that_is_none_shows_the_first(
        self, admin_client: Client, site: Site, wanted: str
    ) -> None:
        assert admin_client.get(PAGE, {"site": wanted}).context["site_row"] == site

    def test_no_vector_leaves_the_server(self, admin_client: Client, site: Site) -> None:
        came(site, 1, 3)
        visitor_of(site)
        context = admin_client.get(PAGE).context
        row = Visit.objects.first()
        assert row is not None
        assert str(row.embedding)[:40] not in str(context)
        assert "embedding" not in text_of(admin_client)


class TestWhoIsNear:
    @pytest.fixture
    def asha(self, site: Site) -> Employee:
        came(site, 1, 3)
        asha: Employee = EmployeeFactory.create(site=site, name="Asha Rao", consented=True)
        visitor_of(site, nearest=asha, nearest_score=0.55)
        return asha

    def test_somebody_who_is_badly_enrolled_is_named_and_linked(
        self, client: Client, asha: Employee
    ) -> None:
        login_of(client, "HR")
        page = text_of(client)
        assert "Perhaps no stranger: looks like" in page
        link = reverse("admin:accesscontrol_employee_change", args=[asha.pk]) + "#enrolment"
        assert link in page

    def test_not_to_whoever_may_not_see_employees(self, client: Client, asha: Employee) -> None:
        login_of(client, "Site manager")
        group = Group.objects.get(name="Site manager")
        group.permissions.remove(group.permissions.get(codename="view_employee"))
        page = text_of(client)
        assert "Asha" not in page
        assert "an enrolled person whom you may not see" in page

    def test_not_where_strangers_are_as_near(self, admin_client: Client, asha: Employee) -> None:
        Visitor.objects.update(nearest_score=0.45)
        page = text_of(admin_client)
        assert "Asha" not in page
        assert "Perhaps no stranger" not in page


class TestActing:
    def test_dismissed_is_gone_with_a_word_about_coming_again(
        self, client: Client, site: Site
    ) -> None:
        came(site, 1, 3)
        visitor = visitor_of(site)
        login_of(client, "HR")
        assert "counted as a new unknown visitor" in text_of(client, url("dismiss", visitor))
        client.post(url("dismiss", visitor))
        assert not Visit.objects.exists()
        assert AuditEntry.objects.get(action="dismiss_visitor").actor == "user:hr"
        assert client.post(url("dismiss", visitor)).status_code == 404

    def test_enrol_leads_to_the_form_of_that_site_and_makes_no_template(
        self, client: Client, site: Site
    ) -> None:
        came(site, 1, 3)
        visitor = visitor_of(site)
        login_of(client, "HR")
        assert "only with their consent" in text_of(client, url("enrol", visitor))
        answer = client.post(url("enrol", visitor))
        form = reverse("admin:accesscontrol_employee_add")
        assert answer["Location"] == f"{form}?site={site.pk}"
        assert f'value="{site.pk}" selected' in text_of(client, answer["Location"])
        assert AuditEntry.objects.get(action="enrol_visitor").actor == "user:hr"
        assert not Template.objects.exists()
        assert not Employee.objects.exists()
        assert Visit.objects.count() == 3

    def test_a_number_of_people_is_kept(self, client: Client, site: Site) -> None:
        login_of(client, "Site manager")
        client.post(url("people", site), {"people": "4"})
        assert VisitorPolicy.objects.get().people == 4
        client.post(url("people", site), {"people": ""})
        assert VisitorPolicy.objects.get().people is None

    @pytest.mark.parametrize("people", ["0", "-1", "501", "x", "4.5"])
    def test_a_number_that_is_none_is_refused_with_a_message(
        self, admin_client: Client, site: Site, people: str
    ) -> None:
        answer = admin_client.post(url("people", site), {"people": people}, follow=True)
        assert [str(m) for m in answer.context["messages"]]
        assert VisitorPolicy.objects.get().people is None


def test_the_hours_plot_says_what_it_shows() -> None:
    hours = [0] * 24
    hours[8], hours[17] = 3, 1
    assert summary(hours) == "Visits by hour of the day: 8:00 3, 17:00 1"
    drawn = plot(hours)
    assert drawn.count("gh-bar") == 2
    assert summary(hours) in drawn
    assert plot([0] * 24).count("gh-bar") == 0


def test_hours_are_those_of_the_sites_clock(site: Site) -> None:
    yesterday = timezone.now().astimezone(UTC) - timedelta(days=1)
    at = datetime(yesterday.year, yesterday.month, yesterday.day, 3, 45, tzinfo=UTC)
    refused(site, unit(1), at)
    visitor_of(site)
    (line,) = visitors_of(site.visitor_policy, Employee.objects.none()).lines
    assert line.hours[9] == 1, "03:45 UTC is 09:15 in Kolkata"
