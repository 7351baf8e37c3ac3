"""A site's policy on pictures of faces: its default, its form, and what the checks say of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accesscontrol import checks, pad, sites
from accesscontrol.models import AuditEntry, PadPolicy, Site
from tests.accesscontrol.test_admin_site import values
from tests.factories import SiteFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def models_dir(tmp_path: Path, settings: object) -> Path:
    """Where the models would be; none are."""
    settings.MODELS_DIR = tmp_path  # type: ignore[attr-defined]
    return tmp_path


def install(models_dir: Path) -> None:
    (models_dir / "manifest.json").write_text(json.dumps({"models": {"minifasnet": {}}}))


def warnings() -> list[str | None]:
    found = checks.database_is_fit(None, databases=["default"])
    return [message.id for message in found]


def test_without_the_model_a_new_site_has_it_off(models_dir: Path) -> None:
    assert sites.new_site("Berlin", None).pad_policy == PadPolicy.OFF


def test_with_the_model_a_new_site_has_it_on(models_dir: Path) -> None:
    install(models_dir)
    assert sites.new_site("Berlin", None).pad_policy == PadPolicy.PASSIVE


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"models": null}', '{"models": {}}'])
def test_a_manifest_that_does_not_name_it_is_no_model(models_dir: Path, manifest: str) -> None:
    (models_dir / "manifest.json").write_text(manifest)
    assert not pad.is_installed()


def test_the_command_takes_a_policy_and_says_what_off_means(
    models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(models_dir)
    call_command("add_site", "--name", "Demo", "--pad", "off")
    assert Site.objects.get().pad_policy == PadPolicy.OFF
    assert "photos are accepted" in capsys.readouterr().err


def test_the_form_offers_the_default_saves_the_choice_and_leaves_a_trace(
    admin_client: Client, models_dir: Path
) -> None:
    install(models_dir)
    page = admin_client.get(reverse("admin:accesscontrol_site_add")).content.decode()
    assert '<option value="passive" selected' in page
    site = SiteFactory.create()
    change = reverse("admin:accesscontrol_site_change", args=[site.pk])
    answer = admin_client.post(change, values(site, pad_policy="passive"))
    assert answer.status_code == 302
    site.refresh_from_db()
    assert site.pad_policy == PadPolicy.PASSIVE
    assert AuditEntry.objects.filter(action="change_site").exists()


def test_the_form_says_when_the_model_is_missing(admin_client: Client, models_dir: Path) -> None:
    add = reverse("admin:accesscontrol_site_add")
    assert pad.INSTALL in admin_client.get(add).content.decode()
    install(models_dir)
    assert "is not installed on this machine" not in admin_client.get(add).content.decode()


def test_the_checks_name_sites_that_accept_photos(models_dir: Path) -> None:
    site = SiteFactory.create(name="Berlin")
    assert warnings() == ["gatehouse.W009"]
    Site.objects.update(is_active=False)
    assert warnings() == []
    Site.objects.update(is_active=True, pad_policy=PadPolicy.PASSIVE)
    install(models_dir)
    assert warnings() == []
    assert site.pk


def test_the_checks_name_sites_that_accept_nobody_for_want_of_the_model(models_dir: Path) -> None:
    SiteFactory.create(pad_policy=PadPolicy.PASSIVE)
    assert warnings() == ["gatehouse.W010"]


def test_no_other_policy_can_be_written() -> None:
    site = SiteFactory.create()
    with pytest.raises(IntegrityError, match="site_pad_policy"), transaction.atomic():
        Site.objects.filter(pk=site.pk).update(pad_policy="sometimes")
