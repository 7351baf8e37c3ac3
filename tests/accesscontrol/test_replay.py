"""Replay: stored decisions at another threshold are what `decide` would have said."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accesscontrol.decisions import Candidate, decide
from accesscontrol.models import Decision, ModelVersion, Outcome, Site, Threshold
from accesscontrol.replay import PERIOD, SHOWN, Replay, replay
from tests.accesscontrol.test_decide import EVIDENCE, NOW, POLICY
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    ModelVersionFactory,
    SiteFactory,
    ThresholdFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    return site


@pytest.fixture
def row(site: Site) -> Threshold:
    row: Threshold = ThresholdFactory.create(site=site, value=0.6, margin=0.05)
    return row


def at(row: Threshold, threshold: float, margin: float = 0.05) -> Replay:
    return replay(
        row.site_id,
        row.model_version_id,
        threshold=threshold,
        margin=margin,
        until=timezone.now(),
    )


def test_every_decision_comes_out_as_decide_would_have_it(site: Site, row: Threshold) -> None:
    draw, kiosk = random.Random(0), KioskFactory.create(site=site, paired=True)
    people = [EmployeeFactory.create(site=site) for _ in range(3)]
    expected: dict[tuple[str, str], int] = {}
    for _ in range(150):
        best = round(draw.uniform(0.4, 0.9), 2)
        second = None if draw.random() < 0.2 else round(best - draw.choice([0, 0.04, 0.05, 0.2]), 2)
        was, now = (verdict(best, second, limit, 0.05) for limit in (0.6, 0.7))
        DecisionFactory.create(
            site=site,
            kiosk=kiosk,
            outcome=was,
            score=best,
            second_score=second,
            employee=people[0] if was == Outcome.ACCEPTED else None,
            nearest=people[1],
        )
        if was != now:
            expected[was, now] = expected.get((was, now), 0) + 1
    result = at(row, 0.7)
    assert result.changes == expected
    assert result.decisions == 150
    assert result.unchanged == 150 - sum(expected.values())


def verdict(best: float, second: float | None, threshold: float, margin: float) -> Outcome:
    candidates = [Candidate(1, best)] + ([] if second is None else [Candidate(2, second)])
    policy = replace(POLICY, threshold=threshold, margin=margin)
    return decide(EVIDENCE, candidates, policy, NOW).outcome


def test_a_refusal_that_would_be_accepted_is_named(site: Site, row: Threshold) -> None:
    dangerous = DecisionFactory.create(site=site, score=0.55, second_score=0.2)
    DecisionFactory.create(site=site, score=0.3, second_score=0.2)
    result = at(row, 0.5)
    assert (result.newly_accepted, result.newly_refused) == (1, 0)
    assert list(result.accepted) == [dangerous]


def test_acceptances_that_would_be_refused_are_counted_without_names(
    site: Site, row: Threshold
) -> None:
    someone = EmployeeFactory.create(site=site)
    for _ in range(3):
        DecisionFactory.create(site=site, accepted=True, employee=someone, score=0.65)
    DecisionFactory.create(site=site, accepted=True, score=0.95)
    result = at(row, 0.7)
    assert (result.newly_refused, result.people_refused) == (3, 1)
    assert result.changes == {(Outcome.ACCEPTED, Outcome.NO_MATCH): 3}


@pytest.mark.parametrize(
    "outcome", [Outcome.LOW_QUALITY, Outcome.PAD_FAILED, Outcome.NOT_ALLOWED, Outcome.ERROR]
)
def test_what_was_refused_for_another_reason_stays_so(
    site: Site, row: Threshold, outcome: Outcome
) -> None:
    DecisionFactory.create(site=site, outcome=outcome, score=0.95, second_score=None)
    result = at(row, 0.5)
    assert (result.decisions, result.changes) == (1, {})


def test_other_sites_other_models_and_older_ones_do_not_count(site: Site, row: Threshold) -> None:
    DecisionFactory.create(score=0.55)
    DecisionFactory.create(site=site, score=0.55, at=timezone.now() - PERIOD - timedelta(hours=1))
    other: ModelVersion = ModelVersionFactory.create(is_active=False)
    foreign = ThresholdFactory.create(site=site, model_version=other)
    DecisionFactory.create(site=site, threshold_row=foreign, score=0.55)
    assert at(row, 0.5).decisions == 0


def test_a_smaller_margin_is_replayed_too(site: Site, row: Threshold) -> None:
    DecisionFactory.create(
        site=site, outcome=Outcome.AMBIGUOUS, score=0.8, second_score=0.77, nearest=None
    )
    assert at(row, 0.6).changes == {}
    assert at(row, 0.6, margin=0.02).changes == {(Outcome.AMBIGUOUS, Outcome.ACCEPTED): 1}


def test_lists_end_somewhere_and_nothing_is_written(site: Site, row: Threshold) -> None:
    kiosk = KioskFactory.create(site=site, paired=True)
    for _ in range(SHOWN + 2):
        DecisionFactory.create(site=site, kiosk=kiosk, score=0.55, second_score=None)
    before = list(Decision.objects.order_by("id").values())
    with CaptureQueriesContext(
        connection,
    ) as queries:
        result = at(row, 0.5)
    assert (result.newly_accepted, len(result.accepted)) == (SHOWN + 2, SHOWN)
    assert all(query["sql"].startswith("SELECT") for query in queries)
    assert list(Decision.objects.order_by("id").values()) == before
