"""A worker asks two look-alikes for the PIN, once, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from accesscontrol import credentials, look_alikes, sign_in
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Employee, Outcome, Punch, Site
from recognition import deciding
from recognition.pipeline import Pipeline
from recognition.tasks import model_facts
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.enrolled import template, turned
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.walk import Screen, kiosk_at, picture
from tests.sign_ins import OTHER_PIN, PIN, attempt, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def recogniser(pipeline: Pipeline, outlet: FrameOutlet) -> Recogniser:
    return Recogniser(pipeline, outlet, model_facts(pipeline))


@pytest.fixture
def site(recogniser: Recogniser) -> Site:
    site: Site = SiteFactory.create()
    ThresholdFactory.create(site=site, model_version=recogniser.version(), value=0.6)
    return site


@pytest.fixture
def screen(valkey: redis.Redis, site: Site) -> Iterator[Screen]:
    screen = Screen(kiosk_at(site))
    yield screen
    screen.close()


@pytest.fixture
def twins(site: Site, portraits: dict[str, Pixels], pipeline: Pipeline) -> list[Employee]:
    """Two people with almost the same template, each with a PIN; HR says that they are two."""
    face = pipeline.analyse_pixels([portraits["obama.jpg"]])[0].faces[0]
    assert face.embedding is not None
    people = [EmployeeFactory.create(site=site, name=name) for name in ("Asha", "Bela")]
    template(people[0], face.embedding)
    template(people[1], turned(face.embedding, 0.995, seed=2))
    for person, pin in zip(people, (PIN, OTHER_PIN), strict=True):
        credentials.set_pin(person, pin, by=None)
    look_alikes.confirm_two_people(*people, by=None)
    return people


def test_who_cannot_be_told_apart_is_asked_once_and_let_in_by_their_pin(
    screen: Screen,
    recogniser: Recogniser,
    twins: list[Employee],
    portraits: dict[str, Pixels],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deciding, "PATIENCE_MS", 1)
    monkeypatch.setattr(deciding, "RETRY_MS", 1)
    for _ in range(6):
        screen.show(picture(portraits["obama2.jpg"]))
        recogniser.drain()
    (asked,) = screen.decisions()
    assert (asked["outcome"], asked["ask_pin_ms"]) == ("AMBIGUOUS", 20_000)
    assert asked["employee"] is None
    tried = attempt(presentation=Decision.objects.get().presentation, pin=OTHER_PIN)
    message = sign_in.kiosk_message(tried, signed_in(screen.kiosk, tried))
    assert (message["outcome"], message["employee"]) == ("ACCEPTED", "Bela")
    assert Punch.objects.get().employee == twins[1]


def test_who_has_left_is_refused_without_being_asked(
    screen: Screen, recogniser: Recogniser, twins: list[Employee], portraits: dict[str, Pixels]
) -> None:
    for _ in range(4):
        screen.show(picture(portraits["obama2.jpg"]))
        recogniser.drain()
    screen.rest()
    recogniser.drain()
    assert Decision.objects.get().outcome == Outcome.AMBIGUOUS
    (told,) = screen.decisions()
    assert "ask_pin_ms" not in told
