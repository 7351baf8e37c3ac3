"""Sites' thresholds under the new model: none is forgotten, and none is lowered unseen."""

# mypy: allow-untyped-calls
from __future__ import annotations

import pytest

from accesscontrol import budgets, change_thresholds, model_change, thresholds
from accesscontrol.budgets import Budget
from accesscontrol.change_thresholds import Kind, overview, same_rate, solve
from accesscontrol.model_change import ModelChangeError
from accesscontrol.models import ModelChange, ModelVersion, Site, Threshold
from recognition.survey import survey_site
from tests.factories import ModelVersionFactory, SiteFactory, ThresholdFactory, UserFactory
from tests.galleries import CALIBRATION, fill_gallery

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

BUDGET = Budget(wrong_a_year=1, walk_ups=10_000)


@pytest.fixture
def models() -> tuple[ModelVersion, ModelVersion]:
    old = ModelVersionFactory.create(name="old", calibration=CALIBRATION)
    shifted = {rate: value + 0.1 for rate, value in CALIBRATION["thresholds"].items()}
    calibration = {"thresholds": shifted, "impostor": {"mean": 0.05, "sd": 0.16}}
    new = ModelVersionFactory.create(name="new", calibration=calibration, is_active=False)
    return old, new


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    return site


def budgeted(site: Site, old: ModelVersion) -> Threshold:
    fill_gallery(site, old, 10)
    survey_site(site, old)
    known = budgets.ground(site, old)
    plan = budgets.solve(known, BUDGET)
    by = UserFactory.create()
    return budgets.put_into_force(known, plan, margin=0.05, reason="a budget", by=by)


def kind_of(change: ModelChange) -> tuple[Kind, bool]:
    (found,) = overview(change)
    return found.kind, found.after is not None


def test_a_site_at_the_default_gets_the_new_models_default(
    site: Site, models: tuple[ModelVersion, ModelVersion]
) -> None:
    old, new = models
    thresholds.set_default(site, old)
    change = model_change.start(new, None)
    assert kind_of(change) == (Kind.DEFAULT, True)
    row = thresholds.in_force(site.pk, new.pk)
    assert row is not None
    assert row.value == 0.72


def test_a_budget_is_solved_for_the_new_templates_once_they_are_surveyed(
    site: Site, models: tuple[ModelVersion, ModelVersion]
) -> None:
    old, new = models
    before = budgeted(site, old)
    change = model_change.start(new, None)
    assert kind_of(change) == (Kind.BUDGET, False)
    assert "has still to survey" in solve(change, own=True, by=None)[0]
    fill_gallery(site, new, 10, alike=0.3, seed=2)
    survey_site(site, new)
    assert solve(change, own=False, by=None) == []
    assert kind_of(change) == (Kind.BUDGET, True)
    row = thresholds.in_force(site.pk, new.pk)
    assert row is not None
    assert (row.budget, row.model_version) == (before.budget, new)
    assert "same budget" in row.reason
    assert solve(change, own=False, by=None) == []
    assert Threshold.objects.filter(model_version=new).count() == 1, "once is enough"


def test_the_switch_waits_for_it_and_says_so(
    site: Site, models: tuple[ModelVersion, ModelVersion]
) -> None:
    old, new = models
    budgeted(site, old)
    model_change.start(new, None)
    with pytest.raises(ModelChangeError, match=f"{site}: a worker has still to survey"):
        model_change.switch(None)


def test_a_threshold_of_its_own_is_solved_by_a_person_only(
    site: Site, models: tuple[ModelVersion, ModelVersion]
) -> None:
    old, new = models
    ThresholdFactory.create(site=site, model_version=old, value=0.56)
    change = model_change.start(new, None)
    assert solve(change, own=False, by=None) == []
    assert kind_of(change) == (Kind.OWN, False)
    with pytest.raises(ModelChangeError, match="a threshold of its own"):
        model_change.switch(None)
    by = UserFactory.create()
    assert model_change.solve_thresholds(by) == []
    row = thresholds.in_force(site.pk, new.pk)
    assert row is not None
    assert row.value == pytest.approx(0.66, abs=1e-3)
    assert row.set_by == by
    assert kind_of(change) == (Kind.OWN, True)


def test_the_new_models_default_does_not_stand_in_for_a_budget_or_an_own_one(
    site: Site, models: tuple[ModelVersion, ModelVersion]
) -> None:
    old, new = models
    ThresholdFactory.create(site=site, model_version=old, value=0.7)
    thresholds.set_default(site, new)
    change = model_change.start(new, None)
    assert kind_of(change) == (Kind.OWN, False)


def test_a_person_may_choose_the_new_threshold_instead_of_the_budget(
    site: Site, models: tuple[ModelVersion, ModelVersion]
) -> None:
    old, new = models
    budgeted(site, old)
    ThresholdFactory.create(site=site, model_version=new, value=0.8)
    change = model_change.start(new, None)
    assert kind_of(change) == (Kind.BUDGET, True)


def test_a_closed_site_asks_for_nothing(models: tuple[ModelVersion, ModelVersion]) -> None:
    SiteFactory.create(is_active=False)
    assert overview(model_change.start(models[1], None)) == []


@pytest.mark.parametrize(("before", "after"), [(0.36, 0.46), (0.5, 0.6), (0.62, 0.72)])
def test_the_same_rate_is_where_the_calibrations_say_so(
    models: tuple[ModelVersion, ModelVersion], before: float, after: float
) -> None:
    assert same_rate(*models, before) == pytest.approx(after, abs=1e-3)


def test_the_same_rate_rises_with_the_threshold_beyond_what_was_measured(
    models: tuple[ModelVersion, ModelVersion],
) -> None:
    values = [same_rate(*models, value) for value in (0.1, 0.4, 0.62, 0.7, 0.8)]
    assert values == sorted(values)
    assert all(0 < value < 1 for value in values)


def test_a_gallery_that_no_threshold_can_keep_apart_is_said_and_holds_the_switch_up(
    site: Site, models: tuple[ModelVersion, ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = models
    budgeted(site, old)
    change = model_change.start(new, None)
    fill_gallery(site, new, 12, alike=0.9, seed=3)
    survey_site(site, new)
    monkeypatch.setattr(budgets, "HIGHEST_THRESHOLD", 0.7)
    (trouble,) = solve(change, own=True, by=None)
    assert "No threshold keeps to this budget" in trouble
    (found,) = change_thresholds.overview(change)
    assert found.wants
