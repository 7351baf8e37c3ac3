"""A site's threshold page: solve for a budget, see what it costs, replay, put into force."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from accesscontrol import surveys
from accesscontrol.groups import ensure_groups
from accesscontrol.models import AuditEntry, GallerySurvey, ModelVersion, PadPolicy, Site, Threshold
from recognition.survey import survey_all, survey_site
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    ModelVersionFactory,
    SiteFactory,
    ThresholdFactory,
    UserFactory,
)
from tests.galleries import CALIBRATION, fill_gallery

pytestmark = pytest.mark.django_db

BUDGET = {"wrong_a_year": "1", "walk_ups": "20000", "strangers": "50", "margin": "0.05"}


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create(calibration=CALIBRATION)
    return version


@pytest.fixture
def site(version: ModelVersion) -> Site:
    site: Site = SiteFactory.create(name="Berlin")
    ThresholdFactory.create(site=site, model_version=version, value=0.62)
    fill_gallery(site, version, 12, photos=2)
    survey_site(site, version)
    return site


def page(site: Site, **asked: Any) -> str:
    address = reverse("admin:accesscontrol_site_threshold", args=[site.pk])
    return f"{address}?{urlencode(asked)}" if asked else address


def shown(text: str) -> str:
    """The threshold that the page would put into force."""
    found = re.search(r'name="shown" value="([0-9.]+)"', text)
    assert found, "no proposal"
    return found.group(1)


def member(client: Client, *permissions: str) -> None:
    user = UserFactory.create(staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)


def test_it_says_what_is_in_force_and_from_what(admin_client: Client, site: Site) -> None:
    text = admin_client.get(page(site)).content.decode()
    assert "Gallery of 12 people, 24 templates" in text
    assert "1 in 1,000,000 comparisons" in text
    assert "12 people who each walk up 4 times on 250 days make 12,000 walk-ups a year" in text
    assert "<svg" in text
    assert "unknown: there are none" in text


def test_a_budget_is_solved_shown_and_put_into_force(admin_client: Client, site: Site) -> None:
    address = page(site, **BUDGET)
    text = admin_client.get(address).content.decode()
    value = shown(text)
    assert Threshold.objects.count() == 1, "looking changes nothing"
    answer = admin_client.post(address, {"action": "set", "reason": "agreed", "shown": value})
    assert answer.status_code == 302
    row = Threshold.objects.filter(site=site).first()
    assert row is not None
    assert (row.value, row.budget, row.reason) == (float(value), 1, "agreed")
    assert row.basis["budget"]["walk_ups"] == 20_000
    assert row.set_by is not None
    assert AuditEntry.objects.filter(action="set_threshold", actor="user:admin").exists()
    assert "agreed" in admin_client.get(page(site)).content.decode()


def test_a_lower_one_is_proposed_when_the_gallery_allows_it(
    admin_client: Client, site: Site, version: ModelVersion
) -> None:
    alike = fill_gallery(site, version, 20, alike=0.4, seed=1)
    survey_site(site, version)
    address = page(site, **BUDGET)
    value = shown(admin_client.get(address).content.decode())
    admin_client.post(address, {"action": "set", "reason": "agreed", "shown": value})
    assert "For its budget" not in admin_client.get(page(site)).content.decode()
    for employee in alike:
        employee.is_active = False
        employee.save()
    survey_all(version)
    text = admin_client.get(page(site)).content.decode()
    assert "For its budget the threshold would now be" in text
    link = re.search(r'class="gh-link" href="([^"]+)"', text)
    assert link is not None
    lower = shown(admin_client.get(unescape(link.group(1))).content.decode())
    assert float(lower) < float(value)
    assert Threshold.objects.count() == 2


def test_an_own_threshold_shows_its_cost_and_is_put_into_force(
    admin_client: Client, site: Site
) -> None:
    address = page(site, threshold="0.5", margin="0.04")
    text = admin_client.get(address).content.decode()
    assert "Wrong acceptances a year, at most" in text
    admin_client.post(address, {"action": "set", "reason": "a pilot", "shown": shown(text)})
    row = Threshold.objects.filter(site=site).first()
    assert row is not None
    assert (row.value, row.margin, row.budget) == (0.5, 0.04, None)
    assert row.basis["kind"] == "own"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"threshold": "0.3", "margin": "0.05"}, "too low for a door"),
        ({"threshold": "1", "margin": "0.05"}, "between 0 and 1"),
        ({"threshold": "nan", "margin": "0.05"}, "Enter a number"),
        ({"threshold": "0.7", "margin": "-1"}, "A margin lies"),
        ({**BUDGET, "wrong_a_year": "0"}, "greater than or equal"),
        ({**BUDGET, "walk_ups": "-1"}, "greater than or equal"),
        ({**BUDGET, "strangers": "101"}, "less than or equal to 100"),
        ({**BUDGET, "margin": "1"}, "A margin lies"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    admin_client: Client, site: Site, asked: dict[str, str], message: str
) -> None:
    address = page(site, **asked)
    text = admin_client.get(address).content.decode()
    assert message in text
    assert 'name="shown"' not in text
    admin_client.post(address, {"action": "set", "reason": "x", "shown": asked.get("threshold", 0)})
    assert Threshold.objects.count() == 1


def test_it_needs_a_reason(admin_client: Client, site: Site) -> None:
    address = page(site, **BUDGET)
    value = shown(admin_client.get(address).content.decode())
    answer = admin_client.post(address, {"action": "set", "reason": "  ", "shown": value})
    assert "This field is required" in answer.content.decode()
    assert Threshold.objects.count() == 1


def test_what_has_changed_since_it_was_shown_is_shown_again(
    admin_client: Client, site: Site, version: ModelVersion
) -> None:
    address = page(site, **BUDGET)
    value = shown(admin_client.get(address).content.decode())
    fill_gallery(site, version, 20, alike=0.5, seed=1)
    survey_site(site, version)
    answer = admin_client.post(
        address, {"action": "set", "reason": "x", "shown": value}, follow=True
    )
    assert "look once more" in answer.content.decode()
    assert Threshold.objects.count() == 1


def test_the_replay_counts_and_flags_the_dangerous_ones(admin_client: Client, site: Site) -> None:
    DecisionFactory.create(site=site, score=0.55, second_score=0.1)
    asha = EmployeeFactory.create(site=site, name="Asha Rao")
    DecisionFactory.create(site=site, accepted=True, employee=asha, score=0.65)
    lower = admin_client.get(page(site, threshold="0.5", margin="0.05")).content.decode()
    assert "Some who were refused would come in" in lower
    higher = admin_client.get(page(site, threshold="0.7", margin="0.05")).content.decode()
    assert "Some who were refused would come in" not in higher
    assert "(1 person)" in higher
    assert "Asha Rao" in higher


def test_names_and_decisions_are_only_for_who_may_see_them(client: Client, site: Site) -> None:
    asha = EmployeeFactory.create(site=site, name="Asha Rao")
    decision = DecisionFactory.create(site=site, accepted=True, employee=asha, score=0.65)
    own = page(site, threshold="0.7", margin="0.05")
    link = reverse("admin:accesscontrol_decision_change", args=[decision.pk])
    member(client, "view_site", "view_threshold")
    text = client.get(own).content.decode()
    assert "(1 person)" in text
    assert link not in text
    member(client, "view_site", "view_threshold", "view_decision")
    text = client.get(own).content.decode()
    assert link in text
    assert "Asha Rao" not in text


def test_who_may_only_look_changes_nothing(client: Client, site: Site) -> None:
    member(client, "view_site", "view_threshold")
    address = page(site, **BUDGET)
    text = client.get(address).content.decode()
    assert "Put into force" not in text
    value = "0.5"
    assert client.post(address, {"action": "set", "reason": "x", "shown": value}).status_code == 403
    assert client.post(page(site), {"action": "survey"}).status_code == 403
    answer = client.post(page(site), {"action": "pad", "pad_policy": "passive"})
    assert answer.status_code == 403
    assert Threshold.objects.count() == 1


@pytest.mark.parametrize("permissions", [("view_site",), ("view_threshold",), ()])
def test_who_may_not_see_thresholds_gets_nothing(
    client: Client, site: Site, permissions: tuple[str, ...]
) -> None:
    member(client, *permissions)
    assert client.get(page(site)).status_code == 403


def test_a_site_manager_may_set_it(client: Client, site: Site) -> None:
    ensure_groups()
    user = UserFactory.create(staff=True)
    user.groups.add(Group.objects.get(name="Site manager"))
    client.force_login(user)
    address = page(site, **BUDGET)
    value = shown(client.get(address).content.decode())
    client.post(address, {"action": "set", "reason": "mine to say", "shown": value})
    assert Threshold.objects.count() == 2


@pytest.mark.parametrize("policy", PadPolicy.values)
def test_the_policy_against_pictures_is_set_here_too(
    admin_client: Client, site: Site, policy: str
) -> None:
    offered = re.findall(
        r'<input type="radio" name="pad_policy" value="([^"]*)"',
        admin_client.get(page(site)).content.decode(),
    )
    assert offered == PadPolicy.values
    admin_client.post(page(site), {"action": "pad", "pad_policy": policy})
    site.refresh_from_db()
    assert site.pad_policy == policy
    entry = AuditEntry.objects.filter(action="change_site").get()
    assert (entry.actor, entry.detail["pad_policy"]) == ("user:admin", policy)


def test_a_policy_that_there_is_not_is_refused(admin_client: Client, site: Site) -> None:
    before = site.pad_policy
    admin_client.post(page(site), {"action": "pad", "pad_policy": "sometimes"})
    site.refresh_from_db()
    assert site.pad_policy == before


def test_it_says_what_each_policy_protects_from_and_costs(admin_client: Client, site: Site) -> None:
    text = unescape(admin_client.get(page(site)).content.decode())
    assert "0 of 105 frames taken for a face (at most 2.8 % with 95 % confidence)" in text
    assert "0 of 170 frames refused" in text
    assert text.count("not evaluated") >= 6
    assert "needs PIN or badge" in text


def test_it_says_how_the_survey_stands(admin_client: Client, version: ModelVersion) -> None:
    site = SiteFactory.create()
    assert "has not been surveyed yet" in admin_client.get(page(site)).content.decode()
    fill_gallery(site, version, 2)
    surveys.claim(site, version)
    assert "A survey is running" in admin_client.get(page(site)).content.decode()
    survey_site(site, version)
    fill_gallery(site, version, 1, seed=1)
    GallerySurvey.objects.update(started_at=None)
    survey_site(site, version)
    fill_gallery(site, version, 1, seed=2)
    assert "It has changed since" in admin_client.get(page(site)).content.decode()


def test_a_button_wakes_a_worker(admin_client: Client, site: Site, valkey: Any) -> None:
    answer = admin_client.post(page(site), {"action": "survey"}, follow=True)
    assert "A worker has been told" in answer.content.decode()
    assert b"survey_galleries" in valkey.lrange("enrolment", 0, -1)[0]


def test_without_a_model_or_a_calibration_it_says_so(admin_client: Client) -> None:
    site = SiteFactory.create()
    assert "No face model" in admin_client.get(page(site)).content.decode()
    ModelVersionFactory.create(calibration={})
    text = admin_client.get(page(site)).content.decode()
    assert "evaluate calibrate" in text
    assert "Photos held before the camera" in text
    answer = admin_client.post(page(site, **BUDGET), {"action": "set", "reason": "x", "shown": 1})
    assert answer.status_code in {200, 302}
    assert not Threshold.objects.exists()
