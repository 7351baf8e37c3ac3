"""What a worker leaves behind for whoever asks later why: candidates, frames, times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from accesscontrol.explanation import explain
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import CandidateScore, Decision, Employee, Outcome
from recognition.pipeline import Pipeline
from recognition.tasks import model_facts
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture, walk_up

pytestmark = pytest.mark.django_db


@pytest.fixture
def screen(valkey: redis.Redis, db: None) -> Iterator[Screen]:
    opened = Screen(kiosk_at(SiteFactory.create()))
    yield opened
    opened.close()


@pytest.fixture
def decision(
    screen: Screen, outlet: FrameOutlet, pipeline: Pipeline, portraits: dict[str, Pixels]
) -> Decision:
    """One of the two enrolled people walked up."""
    recogniser = Recogniser(pipeline, outlet, model_facts(pipeline))
    site = screen.kiosk.site
    ThresholdFactory.create(site=site, model_version=recogniser.version(), value=0.6)
    for name, file in (("Joe", "biden.jpg"), ("Barack", "obama.jpg")):
        employee = EmployeeFactory.create(site=site, name=name, consented=True)
        enrol_face(employee, portraits[file], pipeline)
    walk_up(screen, recogniser, [picture(portraits["obama2.jpg"])] * 6)
    screen.rest()
    recogniser.drain()
    return Decision.objects.get()


def test_everybody_near_is_kept_with_their_score(decision: Decision) -> None:
    rows = CandidateScore.objects.filter(decision=decision).select_related("employee")
    assert [row.employee and row.employee.name for row in rows] == ["Barack", "Joe"]
    assert [row.score for row in rows] == [decision.score, decision.second_score]


def test_each_face_that_was_evidence_is_kept_as_a_few_numbers(decision: Decision) -> None:
    trail = decision.evidence["trail"]
    assert len(trail) == decision.frames
    for after_ms, quality, width, pad in trail:
        assert 0 <= after_ms < 60_000
        assert 0 < quality <= 1
        assert width > 40
        assert pad is None
    assert str(decision.evidence).count(",") < 100, "and no vector"


def test_every_stage_is_there_to_be_shown(decision: Decision) -> None:
    assert decision.outcome == Outcome.ACCEPTED
    shown = explain(decision, Employee.objects.all())
    names = [stage.name for stage in shown.stages]
    assert names[2:6] == [
        "waited for a worker",
        "decoded and analysed",
        "gallery searched",
        "decided and written",
    ]
    assert sum(stage.ms for stage in shown.stages[2:6]) <= shown.stages[-1].ms + 5
    assert shown.candidates[0].reaches
