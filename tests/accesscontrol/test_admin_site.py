"""Sites in the admin: the threshold beside what it means."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accesscontrol import thresholds
from accesscontrol.models import AuditEntry, ModelVersion, Site, Threshold
from tests.factories import (
    ModelVersionFactory,
    PhotoFactory,
    SiteFactory,
    ThresholdFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def values(site: Site, **changes: Any) -> dict[str, Any]:
    fields = {
        "name": site.name,
        "slug": site.slug,
        "time_zone": site.time_zone,
        "is_active": "on",
        "cool_down_s": site.cool_down_s,
        "longest_shift_h": site.longest_shift_h,
        "pad_policy": site.pad_policy,
    }
    return fields | changes


@pytest.fixture
def site() -> Site:
    return ThresholdFactory.create(value=0.62, margin=0.05).site


def change(site: Site) -> str:
    return reverse("admin:accesscontrol_site_change", args=[site.pk])


def test_a_new_site_gets_the_default_threshold_of_the_active_model(admin_client: Client) -> None:
    ModelVersionFactory.create()
    fields = values(Site(name="Köln", slug="koeln", time_zone="Europe/Berlin"))
    answer = admin_client.post(reverse("admin:accesscontrol_site_add"), fields)
    assert answer.status_code == 302
    assert Threshold.objects.get().value == 0.62
    assert AuditEntry.objects.filter(action="add_site", actor="user:admin").exists()


def test_saving_without_a_change_sets_no_new_threshold(admin_client: Client, site: Site) -> None:
    admin_client.post(change(site), values(site, cool_down_s=60))
    site.refresh_from_db()
    assert site.cool_down_s == 60
    assert Threshold.objects.count() == 1


def test_an_unknown_time_zone_is_refused(admin_client: Client, site: Site) -> None:
    answer = admin_client.post(change(site), values(site, time_zone="Europe/Atlantis"))
    assert answer.status_code == 200
    assert Site.objects.get().time_zone == site.time_zone


def test_a_threshold_cannot_be_smuggled_in_past_its_own_page(client: Client, site: Site) -> None:
    user = UserFactory.create(staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_site", "change_site"]))
    client.force_login(user)
    text = client.get(change(site)).content.decode()
    assert 'name="threshold"' not in text
    assert reverse("admin:accesscontrol_site_threshold", args=[site.pk]) not in text
    client.post(change(site), values(site, threshold=0.1, reason="let me in", cool_down_s=1))
    site.refresh_from_db()
    assert site.cool_down_s == 1
    assert Threshold.objects.count() == 1


def test_the_page_leads_to_the_thresholds(admin_client: Client, site: Site) -> None:
    text = admin_client.get(change(site)).content.decode()
    assert reverse("admin:accesscontrol_site_threshold", args=[site.pk]) in text
    assert "for a test" in text, "the history is there"


def test_the_page_says_what_the_threshold_means_here(admin_client: Client, site: Site) -> None:
    PhotoFactory.create(employee__site=site, accepted=True)
    text = admin_client.get(change(site)).content.decode()
    assert "At 0.62 about 1 in 1,000,000 comparisons of two different people is wrong" in text
    assert "with 1 enrolled person about 1 in 1,000,000 strangers" in text


def test_without_a_threshold_the_page_says_that_nobody_is_accepted(admin_client: Client) -> None:
    ModelVersionFactory.create()
    site = SiteFactory.create()
    assert "nobody is accepted here" in admin_client.get(change(site)).content.decode()


def test_without_a_model_the_page_opens_and_says_so(admin_client: Client) -> None:
    site = SiteFactory.create()
    assert "No face model" in admin_client.get(change(site)).content.decode()


@pytest.mark.parametrize(
    ("value", "people", "sentence"),
    [
        (
            0.62,
            1000,
            (
                "about 1 in 1,000,000 comparisons of two different people is wrong; with "
                "1,000 enrolled people about 1 in 1,000 strangers is taken for somebody."
            ),
        ),
        (
            0.8,
            0,
            (
                "fewer than 1 in 1,000,000 comparisons of two different people is wrong. "
                "Nobody is enrolled here yet."
            ),
        ),
        (0.5, 1000, "with 1,000 enrolled people about 1 in 11 strangers"),  # FPIR 9.5 %
        (0.2, 5, "more than 1 in 1,000 comparisons of two different people are wrong"),
    ],
)
def test_a_threshold_is_put_into_words(value: float, people: int, sentence: str) -> None:
    assert sentence in thresholds.meaning(ModelVersionFactory.create(), value, people)


def test_a_model_without_calibration_is_not_made_up_for() -> None:
    version = ModelVersion(name="own", version="1", calibration={})
    assert "without a calibration" in thresholds.meaning(version, 0.6, 10)


class TestHours:
    def test_days_and_hours_are_saved_and_on_record(self, admin_client: Client) -> None:
        site = SiteFactory.create()
        fields = values(site, open_days=["1", "5", "3"], opens_at="07:00", closes_at="19:30")
        admin_client.post(change(site), fields)
        site.refresh_from_db()
        assert (site.open_days, str(site.opens_at)) == ("135", "07:00:00")
        recorded = AuditEntry.objects.get(action="change_site").detail
        assert (recorded["open_days"], recorded["closes_at"]) == ("135", "19:30:00")

    def test_no_day_ticked_is_every_day(self, admin_client: Client) -> None:
        site = SiteFactory.create(open_days="12345")
        admin_client.post(change(site), values(site))
        site.refresh_from_db()
        assert site.open_days == "1234567"

    def test_one_end_alone_is_refused_with_a_reason(self, admin_client: Client) -> None:
        site = SiteFactory.create()
        answer = admin_client.post(change(site), values(site, opens_at="07:00"))
        assert "from which and until which" in answer.content.decode()
        site.refresh_from_db()
        assert site.opens_at is None
