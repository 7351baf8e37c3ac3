"""Budgets: wrong acceptances a year, what they are spread over, and the row that comes of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accesscontrol import budgets, thresholds
from accesscontrol.budgets import Budget
from accesscontrol.models import ModelVersion, Outcome, Site, Threshold
from accesscontrol.score_tail import TailError
from accesscontrol.thresholds import ThresholdError
from recognition.survey import survey_site
from tests.factories import (
    DecisionFactory,
    KioskFactory,
    ModelVersionFactory,
    SiteFactory,
    ThresholdFactory,
    UserFactory,
)
from tests.galleries import CALIBRATION, fill_gallery

pytestmark = pytest.mark.django_db


@pytest.fixture
def version() -> ModelVersion:
    version: ModelVersion = ModelVersionFactory.create(calibration=CALIBRATION)
    return version


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    return site


def test_a_budget_is_spread_over_the_walk_ups_of_strangers() -> None:
    assert Budget(1, 100_000).fpir == pytest.approx(1e-5)
    assert Budget(1, 100_000, strangers=10).fpir == pytest.approx(1e-4)
    assert Budget(1000, 10).fpir == budgets.HIGHEST_FPIR, "never more than that"


@pytest.mark.parametrize(
    "budget",
    [
        Budget(0, 100),
        Budget(-1, 100),
        Budget(float("nan"), 100),
        Budget(float("inf"), 100),
        Budget(1, 0),
        Budget(1, 100, strangers=0),
        Budget(1, 100, strangers=101),
    ],
)
def test_a_budget_that_is_none_is_refused(budget: Budget) -> None:
    with pytest.raises(ThresholdError):
        _ = budget.fpir


def test_walk_ups_are_counted_from_decisions_where_there_are_enough(site: Site) -> None:
    assert budgets.walk_ups_a_year(site, 50) == 50 * 4 * 250
    kiosk = KioskFactory.create(site=site, paired=True)
    now = timezone.now()
    for number in range(60):
        outcome = Outcome.NO_MATCH if number % 10 == 0 else Outcome.LOW_QUALITY
        DecisionFactory.create(
            site=site, kiosk=kiosk, outcome=outcome, at=now - timedelta(days=number % 10 + 0.01)
        )
    counted = budgets.traffic(site)
    assert (counted.decisions, counted.refused, counted.enough) == (60, 6, True)
    assert counted.a_year == pytest.approx(60 * 365 / 9, rel=0.01)
    assert budgets.walk_ups_a_year(site, 50) == counted.a_year


def test_a_few_days_are_not_a_year(site: Site) -> None:
    DecisionFactory.create(site=site)
    assert not budgets.traffic(site).enough


def test_the_row_keeps_who_when_why_and_from_what(site: Site, version: ModelVersion) -> None:
    fill_gallery(site, version, 12, photos=2)
    survey_site(site, version)
    known, rosa = budgets.ground(site, version), UserFactory.create(username="rosa")
    plan = budgets.solve(known, Budget(2, 50_000, strangers=20))
    row = budgets.put_into_force(known, plan, margin=0.05, reason="agreed", by=rosa)
    assert (row.set_by, row.reason, row.budget) == (rosa, "agreed", 2)
    basis = Threshold.objects.get(pk=row.pk).basis
    assert (basis["kind"], basis["people"], basis["templates"]) == ("budget", 12, 24)
    assert basis["budget"] == {
        "wrong_a_year": 2, "walk_ups": 50_000, "strangers": 20, "fpir": 2e-4,
    }  # fmt: skip
    assert basis["tail"]["confidence"] == 0.95
    assert basis["own_templates_below"] == [0, 24]
    assert basis["fpir_at_most"] <= 2e-4 * 1.001
    assert basis["estimate"] < row.value
    assert budgets.budget_of(row) == plan.budget
    assert budgets.kept_budget(site, version) == plan.budget


def test_smaller_budgets_and_more_walk_ups_ask_for_more(site: Site, version: ModelVersion) -> None:
    fill_gallery(site, version, 8)
    survey_site(site, version)
    known = budgets.ground(site, version)
    solved = [budgets.solve(known, Budget(n, 10_000)).threshold for n in (100, 10, 1, 0.1)]
    assert solved == sorted(solved)
    assert budgets.solve(known, Budget(1, 10**6)).threshold > solved[2]


def test_a_gallery_without_a_survey_goes_by_the_calibration(
    site: Site, version: ModelVersion
) -> None:
    known = budgets.ground(site, version)
    assert known.measured is None
    plan = budgets.solve(known, Budget(1, 1000))
    calibrated = thresholds.for_false_match_rate(version, "1e-3")
    assert calibrated is not None
    assert plan.threshold > calibrated


def test_no_budget_leads_below_the_models_1_in_100(site: Site, version: ModelVersion) -> None:
    version.calibration = {
        **CALIBRATION, "thresholds": {**CALIBRATION["thresholds"], "1e-2": 0.41999},
    }  # fmt: skip
    version.save()
    fill_gallery(site, version, 200, alike=0)
    survey_site(site, version)
    plan = budgets.solve(budgets.ground(site, version), Budget(10**6, 1))
    assert plan.threshold >= 0.4199


def test_an_own_threshold_below_the_models_1_in_100_is_refused(
    site: Site, version: ModelVersion
) -> None:
    with pytest.raises(ThresholdError, match=r"too low for a door: below 0\.36"):
        thresholds.set_threshold(site, version, value=0.359, margin=0.05, reason="x", by=None)
    assert not Threshold.objects.exists()
    thresholds.set_threshold(site, version, value=0.36, margin=0.05, reason="x", by=None)


def test_a_budget_that_no_threshold_keeps_says_so(site: Site, version: ModelVersion) -> None:
    fill_gallery(site, version, 5, alike=0.999)
    survey_site(site, version)
    with pytest.raises(ThresholdError, match="No threshold keeps to this budget"):
        budgets.solve(budgets.ground(site, version), Budget(1e-6, 10**6))


def test_a_model_without_a_calibration_has_nothing_to_solve_from(site: Site) -> None:
    with pytest.raises(TailError, match="evaluate calibrate"):
        budgets.ground(site, ModelVersionFactory.create(calibration={}))


@pytest.mark.parametrize("budget", [0, -1, float("nan"), float("inf")])
def test_a_budget_that_is_none_cannot_be_stored(site: Site, budget: float) -> None:
    with pytest.raises(IntegrityError, match="threshold_budget"), transaction.atomic():
        ThresholdFactory.create(site=site, budget=budget)


def test_a_row_is_never_changed(site: Site) -> None:
    row = ThresholdFactory.create(site=site, budget=1, basis={"kind": "budget"})
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        Threshold.objects.filter(pk=row.pk).update(budget=2)
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        row.delete()
