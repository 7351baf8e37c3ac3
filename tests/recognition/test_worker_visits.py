"""Unknown visitors at a kiosk, with real faces: who is kept, and who never is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import redis
from django.db import DatabaseError

from accesscontrol import visits
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Employee, Outcome, Punch, Site, Visit, VisitorPolicy
from recognition.pipeline import Pipeline
from recognition.tasks import model_facts
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.enrolled import rotated
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture, walk_up
from tests.refusals import PURPOSE

pytestmark = pytest.mark.django_db


@pytest.fixture
def recogniser(pipeline: Pipeline, outlet: FrameOutlet) -> Recogniser:
    return Recogniser(pipeline, outlet, model_facts(pipeline))


@pytest.fixture
def site(recogniser: Recogniser) -> Site:
    site: Site = SiteFactory.create()
    ThresholdFactory.create(site=site, model_version=recogniser.version(), value=0.85)
    return site


@pytest.fixture
def kept(site: Site) -> VisitorPolicy:
    """The site keeps unknown visitors."""
    return VisitorPolicy.objects.create(site=site, retention_days=3, purpose=PURPOSE)


@pytest.fixture
def barack(site: Site, portraits: dict[str, Pixels], pipeline: Pipeline) -> Employee:
    employee: Employee = EmployeeFactory.create(site=site, name="Barack")
    enrol_face(employee, portraits["obama.jpg"], pipeline)
    return employee


@pytest.fixture
def screen(site: Site, valkey: redis.Redis) -> Iterator[Screen]:
    opened = Screen(kiosk_at(site))
    yield opened
    opened.close()


def comes(screen: Screen, recogniser: Recogniser, portrait: Pixels) -> Decision:
    walk_up(screen, recogniser, [picture(portrait)] * 3)
    screen.rest()
    recogniser.drain()
    return Decision.objects.latest("id")


def test_a_stranger_is_kept_as_one_rotated_vector(
    screen: Screen, recogniser: Recogniser, barack: Employee, kept: VisitorPolicy,
    portraits: dict[str, Pixels], pipeline: Pipeline,
) -> None:  # fmt: skip
    decision = comes(screen, recogniser, portraits["biden.jpg"])
    assert decision.outcome == Outcome.NO_MATCH
    visit = Visit.objects.get()
    assert visit.decision == decision
    face = pipeline.analyse([picture(portraits["biden.jpg"])])[0].faces[0].embedding
    assert face is not None
    assert np.array(visit.embedding, np.float32) @ rotated(face) > 0.98


def test_where_it_is_off_nothing_is_kept(
    screen: Screen, recogniser: Recogniser, barack: Employee, portraits: dict[str, Pixels]
) -> None:
    assert comes(screen, recogniser, portraits["biden.jpg"]).outcome == Outcome.NO_MATCH
    assert not Visit.objects.exists()


def test_of_an_employee_nothing_is_kept(
    screen: Screen, recogniser: Recogniser, barack: Employee, kept: VisitorPolicy,
    portraits: dict[str, Pixels],
) -> None:  # fmt: skip
    assert comes(screen, recogniser, portraits["obama2.jpg"]).outcome == Outcome.ACCEPTED
    assert not Visit.objects.exists()


def test_of_an_employee_who_may_not_enter_now_nothing_is_kept(
    screen: Screen, recogniser: Recogniser, barack: Employee, kept: VisitorPolicy,
    portraits: dict[str, Pixels],
) -> None:  # fmt: skip
    Site.objects.update(open_days="1", opens_at="03:00", closes_at="03:01")
    assert comes(screen, recogniser, portraits["obama2.jpg"]).outcome == Outcome.NOT_ALLOWED
    assert not Visit.objects.exists()


def test_of_one_frame_of_an_employee_nothing_is_kept(
    screen: Screen, recogniser: Recogniser, barack: Employee, kept: VisitorPolicy,
    portraits: dict[str, Pixels],
) -> None:  # fmt: skip
    walk_up(screen, recogniser, [picture(portraits["obama2.jpg"])])
    screen.rest()
    recogniser.drain()
    assert Decision.objects.get().outcome == Outcome.LOW_QUALITY
    assert not Visit.objects.exists()


def test_trouble_with_keeping_touches_neither_decision_nor_answer(
    screen: Screen, recogniser: Recogniser, barack: Employee, kept: VisitorPolicy,
    portraits: dict[str, Pixels], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fails(*_: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(visits, "_keep", fails)
    assert comes(screen, recogniser, portraits["biden.jpg"]).outcome == Outcome.NO_MATCH
    (told,) = screen.decisions()
    assert told["outcome"] == "NO_MATCH"
    assert not Visit.objects.exists()
    comes(screen, recogniser, portraits["obama2.jpg"])
    assert Punch.objects.get().employee == barack
