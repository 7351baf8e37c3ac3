"""The new model tried on walk-ups: it says what it would have decided, and touches nothing."""

# mypy: allow-untyped-calls
from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from accesscontrol import enrolment, model_change, shadow_decisions
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Employee, ModelChange, Outcome, ShadowDecision, Site
from recognition import shadow
from recognition.pipeline import Pipeline
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, PhotoFactory, ThresholdFactory
from tests.recognition.changing import change_to, enrol, jpeg, site_with_threshold, worker
from tests.recognition.walk import Screen, kiosk_at, picture, walk_up
from tests.services import until

pytestmark = pytest.mark.django_db

Agreement = ShadowDecision.Agreement


@pytest.fixture
def recogniser(
    pipeline: Pipeline, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch
) -> Recogniser:
    return worker(pipeline, outlet, monkeypatch)


@pytest.fixture
def site(recogniser: Recogniser) -> Site:
    return site_with_threshold(recogniser.version())


@pytest.fixture
def barack(site: Site, portraits: dict[str, Pixels]) -> Employee:
    return enrol(site, "Barack", jpeg(portraits["obama.jpg"]))


@pytest.fixture
def change(recogniser: Recogniser, barack: Employee) -> ModelChange:
    started = change_to("mobilefacenet")
    recogniser.drain()
    until(lambda: recogniser._model.has(started.new), "it is loaded", 30)
    return started


@pytest.fixture
def screen(site: Site, valkey: redis.Redis) -> Iterator[Screen]:
    opened = Screen(kiosk_at(site))
    yield opened
    opened.close()


def past(screen: Screen, recogniser: Recogniser, image: Pixels) -> Decision:
    """Somebody walks past; what was decided."""
    walk_up(screen, recogniser, [picture(image)] * 4)
    screen.rest()
    recogniser.drain()
    return Decision.objects.latest("pk")


def test_an_acceptance_and_a_refusal_are_compared(
    screen: Screen, recogniser: Recogniser, change: ModelChange, portraits: dict[str, Pixels]
) -> None:
    accepted = past(screen, recogniser, portraits["obama2.jpg"])
    refused = past(screen, recogniser, portraits["biden.jpg"])
    assert (accepted.outcome, refused.outcome) == (Outcome.ACCEPTED, Outcome.NO_MATCH)
    first, second = (one.shadow for one in (accepted, refused))
    assert (first.agreement, second.agreement) == (Agreement.SAME, Agreement.NEITHER)
    for decision, row in ((accepted, first), (refused, second)):
        assert row.model_version == row.threshold_row.model_version == change.new
        assert decision.model_version == change.old, "what decided is the model in use"
        assert row.frames == decision.frames
        assert row.score != decision.score
    summary = shadow_decisions.summary(change)
    assert (summary.compared, summary.agreeing, summary.falsely_rejected) == (2, 2, 0)


def test_nothing_is_tried_before_every_photo_is_through(
    screen: Screen,
    recogniser: Recogniser,
    change: ModelChange,
    portraits: dict[str, Pixels],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadow, "WANTED_FOR_S", 0.0)
    PhotoFactory.create(employee=EmployeeFactory.create(consented=True), accepted=True)
    past(screen, recogniser, portraits["obama2.jpg"])
    assert not ShadowDecision.objects.exists(), "somebody would be missing from the new gallery"


def test_a_would_be_false_reject_is_counted(
    screen: Screen, recogniser: Recogniser, change: ModelChange, portraits: dict[str, Pixels]
) -> None:
    ThresholdFactory.create(site=screen.kiosk.site, model_version=change.new, value=0.95)
    decision = past(screen, recogniser, portraits["obama2.jpg"])
    assert decision.outcome == Outcome.ACCEPTED
    assert decision.shadow.agreement == Agreement.ONLY_OLD
    assert shadow_decisions.summary(change).falsely_rejected == 1


def test_whatever_fails_in_it_touches_no_decision(
    screen: Screen,
    recogniser: Recogniser,
    change: ModelChange,
    portraits: dict[str, Pixels],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(shadow, "embed_again", break_down)
    assert past(screen, recogniser, portraits["obama2.jpg"]).outcome == Outcome.ACCEPTED
    monkeypatch.undo()
    monkeypatch.setattr(shadow_decisions, "record", break_down)
    assert past(screen, recogniser, portraits["obama2.jpg"]).outcome == Outcome.ACCEPTED
    assert not ShadowDecision.objects.exists()


def test_while_other_frames_wait_nothing_is_tried(
    screen: Screen,
    recogniser: Recogniser,
    change: ModelChange,
    portraits: dict[str, Pixels],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recogniser._shadowing, "waiting", lambda: 2)
    past(screen, recogniser, portraits["obama2.jpg"])
    assert not ShadowDecision.objects.exists()


@pytest.mark.parametrize("stop", ["share", "enough", "switched"])
def test_it_ends_by_share_by_number_and_by_the_switch(
    screen: Screen,
    recogniser: Recogniser,
    change: ModelChange,
    portraits: dict[str, Pixels],
    monkeypatch: pytest.MonkeyPatch,
    stop: str,
) -> None:
    monkeypatch.setattr(shadow, "WANTED_FOR_S", 0.0)
    if stop == "share":
        ModelChange.objects.update(shadow_percent=0)
    elif stop == "enough":
        monkeypatch.setattr(shadow_decisions, "ENOUGH", 0)
    else:
        model_change.switch(None)
    assert past(screen, recogniser, portraits["obama2.jpg"]).outcome == Outcome.ACCEPTED
    assert not ShadowDecision.objects.exists()


def test_a_walk_up_of_which_it_missed_a_frame_is_not_compared(
    screen: Screen,
    recogniser: Recogniser,
    change: ModelChange,
    portraits: dict[str, Pixels],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recogniser._shadowing, "waiting", lambda: 2)
    walk_up(screen, recogniser, [picture(portraits["biden.jpg"])])
    monkeypatch.setattr(recogniser._shadowing, "waiting", lambda: 0)
    past(screen, recogniser, portraits["biden.jpg"])
    assert not ShadowDecision.objects.exists()


def test_it_names_nobody_so_a_withdrawal_leaves_nobody_in_it(
    screen: Screen,
    recogniser: Recogniser,
    change: ModelChange,
    portraits: dict[str, Pixels],
    barack: Employee,
) -> None:
    past(screen, recogniser, portraits["biden.jpg"])
    enrolment.withdraw_consent(barack, by=None)
    row = ShadowDecision.objects.get()
    assert not [field for field in row._meta.fields if field.name in {"employee", "nearest"}]
