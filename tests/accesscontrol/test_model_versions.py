"""Registering models: safe at every start, and never a switch by accident."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from accesscontrol import model_versions
from accesscontrol.model_versions import ModelFacts, ModelNameTakenError, register_model
from accesscontrol.models import AuditEntry, ModelVersion, Threshold
from tests.concurrency import at_once, errors
from tests.factories import CALIBRATION, SiteFactory

pytestmark = pytest.mark.django_db

FACTS = ModelFacts("mobilefacenet", "1", "a" * 64, 192, "MIT", dict(CALIBRATION))
SECOND = replace(FACTS, version="2", sha256="b" * 64)


def test_before_the_first_one_none_is_active() -> None:
    assert model_versions.active() is None


def test_the_first_one_becomes_the_active_one() -> None:
    version = register_model(FACTS)
    assert version == model_versions.active()
    assert (version.name, version.version, version.sha256) == ("mobilefacenet", "1", "a" * 64)
    assert (version.dimension, version.licence) == (192, "MIT")
    assert AuditEntry.objects.get().action == "register_model"


def test_it_gives_every_site_its_default_threshold() -> None:
    sites = SiteFactory.create_batch(3)
    register_model(FACTS)
    assert {row.site for row in Threshold.objects.all()} == set(sites)
    assert {row.value for row in Threshold.objects.all()} == {0.62}


def test_registering_again_changes_nothing() -> None:
    SiteFactory.create()
    first = register_model(FACTS)
    assert register_model(FACTS) == first
    assert ModelVersion.objects.count() == Threshold.objects.count() == 1
    assert AuditEntry.objects.filter(action="register_model").count() == 1


def test_a_site_that_came_between_gets_its_threshold_at_the_next_start() -> None:
    register_model(FACTS)
    site = SiteFactory.create()
    register_model(FACTS)
    assert Threshold.objects.get().site == site


def test_a_second_one_waits_for_a_deliberate_switch() -> None:
    first = register_model(FACTS)
    SiteFactory.create()
    second = register_model(SECOND)
    assert not second.is_active
    assert model_versions.active() == first
    assert not Threshold.objects.exists()


def test_other_weights_never_take_the_name_and_version_of_those_that_are_there() -> None:
    first = register_model(FACTS)
    with pytest.raises(ModelNameTakenError, match=r"mobilefacenet 1, .*another --version"):
        register_model(replace(FACTS, sha256="c" * 64))
    assert ModelVersion.objects.get() == first


def test_one_without_a_calibration_gives_no_threshold() -> None:
    SiteFactory.create()
    register_model(replace(FACTS, calibration={}))
    assert not Threshold.objects.exists()


def test_a_calibration_that_was_shipped_later_is_taken_up() -> None:
    site = SiteFactory.create()
    register_model(replace(FACTS, calibration={}))
    version = register_model(FACTS)
    version.refresh_from_db()
    assert version.calibration == CALIBRATION
    assert Threshold.objects.get().site == site


def test_a_calibration_that_is_in_use_stays() -> None:
    register_model(FACTS)
    other = replace(FACTS, calibration={"thresholds": {"1e-6": 0.1}})
    assert register_model(other).calibration == CALIBRATION


@pytest.mark.django_db(transaction=True)
def test_workers_that_start_at_once_register_it_once() -> None:
    SiteFactory.create_batch(2)
    results = at_once([functools.partial(register_model, FACTS)] * 8)
    assert not errors(results)
    assert len({version.pk for version in results}) == 1
    assert Threshold.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_first_ones_at_once_one_becomes_active() -> None:
    for _ in range(5):
        ModelVersion.objects.all().delete()
        results = at_once([functools.partial(register_model, facts) for facts in (FACTS, SECOND)])
        assert not errors(results)
        assert ModelVersion.objects.filter(is_active=True).count() == 1
        assert ModelVersion.objects.count() == 2
