"""Face models in the admin: what is known of each, and what is missing."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import ModelVersionFactory, SiteFactory

pytestmark = pytest.mark.django_db

COMMAND = "python -m recognition evaluate calibrate --embedder ours"


def page(client: Client, pk: int) -> str:
    return client.get(
        reverse("admin:accesscontrol_modelversion_change", args=[pk])
    ).content.decode()


def test_its_page_shows_the_measured_thresholds(admin_client: Client) -> None:
    text = page(admin_client, ModelVersionFactory.create(name="ours").pk)
    assert "LFW, 6,000 pairs" in text
    assert COMMAND not in text


def test_without_a_calibration_its_page_says_that_nobody_is_accepted_and_what_to_do(
    admin_client: Client,
) -> None:
    text = page(admin_client, ModelVersionFactory.create(name="ours", calibration={}).pk)
    assert "nobody is accepted" in text
    assert COMMAND in text


def test_without_a_calibration_a_sites_page_says_so_too(admin_client: Client) -> None:
    ModelVersionFactory.create(name="ours", calibration={})
    site = SiteFactory.create()
    address = reverse("admin:accesscontrol_site_change", args=[site.pk])
    text = admin_client.get(address).content.decode()
    assert "has no calibration" in text
    assert COMMAND in text
