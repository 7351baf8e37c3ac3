"""Surveys of galleries by a worker: when, of what, and what becomes of the site's threshold."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accesscontrol import budgets, sites, surveys, thresholds
from accesscontrol.budgets import Budget
from accesscontrol.models import AuditEntry, GallerySurvey, ModelVersion, Site, Threshold
from recognition.pair_scores import pair_scores
from recognition.survey import survey_all, survey_site
from tests.factories import ModelVersionFactory, SiteFactory, ThresholdFactory, UserFactory
from tests.galleries import CALIBRATION, fill_gallery

pytestmark = pytest.mark.django_db

BUDGET = Budget(wrong_a_year=1, walk_ups=10_000)


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create(calibration=CALIBRATION)
    return version


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    return site


def solved(site: Site, version: ModelVersion, budget: Budget = BUDGET) -> Threshold:
    known = budgets.ground(site, version)
    plan = budgets.solve(known, budget)
    by = UserFactory.create()
    return budgets.put_into_force(known, plan, margin=0.05, reason="a budget", by=by)


def test_a_gallery_is_compared_with_itself(site: Site, version: ModelVersion) -> None:
    fill_gallery(site, version, 6, photos=2, alike=0.3)
    fill_gallery(SiteFactory.create(), version, 2, alike=0.9)
    assert survey_site(site, version)
    survey = GallerySurvey.objects.get()
    measured = surveys.measured_of(survey)
    assert (survey.people, survey.templates, measured.with_several) == (6, 12, 6)
    assert measured.impostors.counts.sum() == pytest.approx(6 * 5, abs=0.1)
    middle = np.average(np.arange(len(measured.nearest)), weights=measured.impostors.counts)
    assert middle * 0.001 - 1 == pytest.approx(0.3, abs=0.1), "the other site's are not in it"
    assert measured.genuine.sum() == 12


def test_who_is_admitted_from_another_site_belongs_to_the_gallery(
    site: Site, version: ModelVersion
) -> None:
    fill_gallery(site, version, 4)
    guest, _ = fill_gallery(SiteFactory.create(), version, 2)
    assert survey_site(site, version)
    sites.admit(guest, site, None)
    assert surveys.state(site, version).stale
    assert survey_site(site, version)
    assert GallerySurvey.objects.get().people == 5


def test_one_that_has_not_changed_is_not_done_again(site: Site, version: ModelVersion) -> None:
    employees = fill_gallery(site, version, 4)
    assert survey_site(site, version)
    assert not survey_site(site, version)
    employees[0].is_active = False
    employees[0].save()
    assert surveys.state(site, version).stale
    assert survey_site(site, version)
    assert GallerySurvey.objects.get().people == 3


def test_one_under_way_is_left_to_its_worker_until_that_is_gone(
    site: Site, version: ModelVersion
) -> None:
    fill_gallery(site, version, 3)
    assert surveys.claim(site, version) is not None
    assert surveys.state(site, version).running
    assert not survey_site(site, version)
    long_ago = timezone.now() - surveys.GIVEN_UP_AFTER - timedelta(seconds=1)
    GallerySurvey.objects.update(started_at=long_ago)
    assert survey_site(site, version)


def test_a_gallery_that_changes_meanwhile_is_stale_afterwards(
    site: Site, version: ModelVersion
) -> None:
    fill_gallery(site, version, 3)
    stamp = surveys.claim(site, version)
    assert stamp is not None
    fill_gallery(site, version, 1, seed=1)
    found = pair_scores(np.eye(3, 192, dtype=np.float32), np.arange(3))
    measured = surveys.Measured(3, 3, found.impostors, found.genuine, found.nearest, 0)
    surveys.finish(site, version, stamp, measured)
    assert surveys.state(site, version).stale


@pytest.mark.parametrize("people", [0, 1, 2])
def test_too_few_people_are_no_trouble(site: Site, version: ModelVersion, people: int) -> None:
    fill_gallery(site, version, people)
    assert survey_site(site, version)
    assert surveys.state(site, version).measured
    assert budgets.ground(site, version).tail.people == people


def test_a_result_without_its_gallery_cannot_be_stored(site: Site, version: ModelVersion) -> None:
    with pytest.raises(IntegrityError, match="survey_finished_with"), transaction.atomic():
        GallerySurvey.objects.create(site=site, model_version=version, finished_at=timezone.now())


def test_a_gallery_that_grew_alike_raises_the_solved_threshold_by_itself(
    site: Site, version: ModelVersion
) -> None:
    fill_gallery(site, version, 12)
    survey_site(site, version)
    before = solved(site, version)
    fill_gallery(site, version, 30, alike=0.4, seed=1)
    survey_all(version)
    now = thresholds.in_force(site.pk, version.pk)
    assert now is not None
    assert now.value > before.value
    assert (now.budget, now.margin, now.set_by) == (before.budget, before.margin, None)
    assert "12 people then, 42 now" in now.reason
    assert now.basis["people"] == 42
    assert AuditEntry.objects.filter(action="set_threshold", actor="command").exists()


def test_it_is_never_lowered_by_itself(site: Site, version: ModelVersion) -> None:
    alike = fill_gallery(site, version, 30, alike=0.4)
    survey_site(site, version)
    before = solved(site, version)
    for employee in alike[2:]:
        employee.is_active = False
        employee.save()
    fill_gallery(site, version, 12, seed=1)
    survey_all(version)
    assert thresholds.in_force(site.pk, version.pk) == before
    known = budgets.ground(site, version)
    assert budgets.solve(known, BUDGET).threshold < before.value, "the page proposes it"


def test_a_worker_that_died_after_the_survey_is_made_up_for(
    site: Site, version: ModelVersion
) -> None:
    fill_gallery(site, version, 12)
    survey_site(site, version)
    before = solved(site, version)
    fill_gallery(site, version, 30, alike=0.4, seed=1)
    survey_site(site, version)
    assert thresholds.in_force(site.pk, version.pk) == before
    survey_all(version)
    now = thresholds.in_force(site.pk, version.pk)
    assert now is not None
    assert now.value > before.value
    survey_all(version)
    assert thresholds.in_force(site.pk, version.pk) == now, "once is enough"


def test_one_that_a_person_chose_stays(site: Site, version: ModelVersion) -> None:
    chosen = ThresholdFactory.create(site=site, model_version=version, value=0.5)
    fill_gallery(site, version, 20, alike=0.5)
    survey_all(version)
    assert thresholds.in_force(site.pk, version.pk) == chosen


def test_a_budget_goes_over_to_a_new_model(site: Site, version: ModelVersion) -> None:
    fill_gallery(site, version, 10)
    survey_site(site, version)
    solved(site, version)
    ModelVersion.objects.update(is_active=False)
    new = ModelVersionFactory.create(calibration=CALIBRATION)
    first = thresholds.set_default(site, new)
    assert first is not None
    fill_gallery(site, new, 25, alike=0.6, seed=1)
    survey_all(new)
    now = thresholds.in_force(site.pk, new.pk)
    assert now is not None
    assert now.value > first.value
    assert now.budget == 1
    assert "new model" in now.reason


def test_a_gallery_that_no_threshold_can_keep_apart_changes_nothing(
    site: Site, version: ModelVersion
) -> None:
    fill_gallery(site, version, 10)
    survey_site(site, version)
    before = solved(site, version)
    fill_gallery(site, version, 5, alike=0.999, seed=1)
    survey_all(version)
    assert thresholds.in_force(site.pk, version.pk) == before
