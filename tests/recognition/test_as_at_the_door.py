"""The library and its commands find, judge and say what the product does."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accesscontrol import decisions, quality, thresholds
from accesscontrol.decisions import Candidate, Evidence, Policy
from accesscontrol.gallery import Probe, nearest
from accesscontrol.matching import DEFAULT_FALSE_MATCH_RATE, Match
from accesscontrol.models import ModelVersion, Outcome, Refusal, Site, Template
from recognition.identification import LOWEST_QUALITY, identify
from recognition.portraits import ADVICE, Flaw
from recognition.search import Gallery, Vectors
from recognition.types import Shortfall
from recognition.verification import OperatingPoint
from tests.enrolled import rotated, template, turned, unit
from tests.factories import EmployeeFactory, ModelVersionFactory, SiteFactory

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.django_db
class TestTheDatabase:
    @pytest.fixture
    def version(self) -> ModelVersion:
        version: ModelVersion = ModelVersionFactory.create()
        return version

    def test_a_search_in_memory_finds_what_a_sites_search_finds(
        self, version: ModelVersion
    ) -> None:
        site: Site = SiteFactory.create()
        people: dict[str, list[Vectors]] = {}
        for number in range(12):
            employee = EmployeeFactory.create(site=site, consented=True)
            own = unit(number)
            views = [turned(own, 0.8, 1_000 + 10 * number + view) for view in range(1 + number % 3)]
            people[str(employee.pk)] = views
            for view in views:
                template(employee, view, version=version)
        probes = [turned(unit(number), 0.7, 5_000 + number) for number in range(15)]
        rotation = Template.objects.values_list("rotation_id", flat=True)[0]
        stored = nearest([Probe(site.pk, rotated(probe)) for probe in probes], version, rotation)
        found = Gallery.of(people).nearest(np.stack(probes))
        for in_database, in_memory in zip(stored, found, strict=True):
            assert [str(one.employee_id) for one in in_database] == [one.name for one in in_memory]
            for one, other in zip(in_database, in_memory, strict=True):
                assert one.score == pytest.approx(other.score, abs=2e-3)  # halfvec's rounding

    def test_a_new_site_begins_where_identification_does(self, version: ModelVersion) -> None:
        row = thresholds.set_default(SiteFactory.create(), version)
        point = OperatingPoint.at(version.calibration, DEFAULT_FALSE_MATCH_RATE)
        assert row is not None
        assert row.value == pytest.approx(point.threshold, abs=1e-4)
        assert row.margin == point.margin


SCORES = st.lists(st.integers(0, 40).map(lambda n: n / 41), max_size=4)


@given(scores=SCORES, shown=st.sampled_from([0.1, 0.24, LOWEST_QUALITY, 0.26, 0.9]))
@settings(max_examples=300, deadline=None)
def test_a_picture_is_judged_as_a_walk_up_that_shows_as_much(
    scores: list[float], shown: float
) -> None:
    point = OperatingPoint("1e-6", 0.5, 0.1)
    rows = [np.array([s, math.sqrt(1 - s * s)], np.float32) for s in scores]
    people = {str(number): [row] for number, row in enumerate(rows)}
    (found,) = identify(Gallery.of(people), np.array([[1, 0]], np.float32), [shown], point)
    candidates = [Candidate(number, float(row[0])) for number, row in enumerate(rows)]
    policy = Policy(1, 1, point.threshold, point.margin, 3, 40.0, LOWEST_QUALITY)
    evidence = Evidence(uuid.UUID(int=1), 9, 90.0, shown, NOW, NOW, NOW)
    verdict = decisions.decide(evidence, candidates, policy, NOW)
    assert Outcome(found.outcome) is verdict.outcome
    assert (found.name is not None) is verdict.accepted
    if verdict.accepted and verdict.best:
        assert found.name == str(verdict.best.employee_id)


def test_every_word_of_a_search_is_an_outcome() -> None:
    assert {Outcome(word) for word in Match} <= set(Outcome)


@pytest.mark.parametrize("flaw", ADVICE)
def test_photos_are_advised_on_in_the_words_that_hr_reads(flaw: Flaw | Shortfall) -> None:
    refusal = Refusal(flaw) if isinstance(flaw, Flaw) else quality.REFUSED[flaw]
    assert ADVICE[flaw] == str(refusal.label)


def test_every_flaw_and_shortfall_has_an_advice() -> None:
    assert set(ADVICE) == {*Flaw, *Shortfall}
