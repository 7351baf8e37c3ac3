"""A strict site's kiosk: real frames of a portrait that is turned, in software, as it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import redis

from accesscontrol.admin.why import why
from accesscontrol.frames import FrameOutlet, now_ms
from accesscontrol.models import Decision, Outcome, PadPolicy, Punch, Site
from recognition import challenge
from recognition.challenge import REACTION_MS
from recognition.evaluate.turning import FLAT, HEAD, Surface, as_at_a_kiosk, turned
from recognition.pipeline import Pipeline
from recognition.tasks import model_facts
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.test_worker_pad import pair_that_says, pipeline_with
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture

pytestmark = pytest.mark.django_db

Message = dict[str, Any]
ANGLES = {"LEFT": (38, 0), "UP": (0, 31), "AHEAD": (0, 0)}
MOST_FRAMES = 200


@pytest.fixture
def site(db: None) -> Site:
    return SiteFactory.create(pad_policy=PadPolicy.STRICT)


@pytest.fixture
def screen(site: Site, valkey: redis.Redis) -> Iterator[Screen]:
    opened = Screen(kiosk_at(site))
    yield opened
    opened.close()


@pytest.fixture
def recogniser(
    site: Site, outlet: FrameOutlet, pipeline: Pipeline, portraits: dict[str, Pixels]
) -> Recogniser:
    with_pair = pipeline_with(pipeline, pair_that_says(0.2))
    made = Recogniser(with_pair, outlet, model_facts(with_pair))
    ThresholdFactory.create(site=site, model_version=made.version(), value=0.75)
    enrol_face(EmployeeFactory.create(site=site, name="Barack"), portraits["obama3.jpg"], pipeline)
    return made


Views = dict[tuple[str, int], bytes]
WHOLE = 2


def views(pipeline: Pipeline, portrait: Pixels, surface: Surface) -> Views:
    """Frames of the portrait on a surface, by what it was asked to do, and how far it has come."""
    face = pipeline.analyse_pixels([portrait])[0].faces[0]
    shown, points = as_at_a_kiosk(portrait, face.points)
    seen = {
        (movement, part): turned(
            shown, points, surface, yaw=yaw * part / WHOLE, pitch=pitch * part / WHOLE, distance=8
        )
        for movement, (yaw, pitch) in ANGLES.items()
        for part in range(1, WHOLE + 1)
    }
    # No face is the same on both sides: mirrored, it turns as far to the one as to the other.
    for part in range(1, WHOLE + 1):
        seen["RIGHT", part] = np.ascontiguousarray(seen["LEFT", part][:, ::-1])
    return {key: picture(pixels) for key, pixels in seen.items()}


class Person:
    """Stands before the kiosk, reads what it shows and does what `heeds` makes of it."""

    def __init__(
        self,
        screen: Screen,
        recogniser: Recogniser,
        frames: Views,
        heeds: Callable[[str], str] = str,
    ) -> None:
        self.screen, self.recogniser, self.frames, self.heeds = screen, recogniser, frames, heeds
        self.prompts: list[str] = []
        self.told: list[Message] = []
        self.read: list[str] = []
        self._since_ms = 0
        self._held = ("AHEAD", WHOLE)

    def _moves(self, movement: str) -> None:
        """A frame's way towards this; from one side to the other through looking ahead."""
        held, part = self._held
        if held == movement:
            self._held = (held, min(part + 1, WHOLE))
        elif held == "AHEAD" or part == 1:
            self._held = (movement, 1)
        else:
            self._held = (held, part - 1)

    def stands(self, until: Outcome) -> Decision:
        """Until this decision has fallen; on a busy machine they may be lost, and tried anew."""
        for _ in range(MOST_FRAMES):
            understood = self.prompts and now_ms() - self._since_ms > REACTION_MS
            movement = self.heeds(self.prompts[-1]) if understood else "AHEAD"
            self._moves(movement)
            self.screen.show(self.frames[self._held])
            self.recogniser.drain()
            self._reads(self.screen.heard())
            found = Decision.objects.filter(outcome=until).first()
            if found:
                return found
        ends = [decision.evidence["challenge"] for decision in Decision.objects.all()]
        raise AssertionError(f"not {until}: {ends}")

    def _reads(self, messages: list[Message]) -> None:
        self.told += messages
        for message in messages:
            if message["type"] == "decision":
                self.read = [movement for movement in self.prompts if movement != "AHEAD"]
                self.prompts.clear()
            if message["type"] == "prompt" and [message["movement"]] != self.prompts[-1:]:
                self.prompts.append(message["movement"])
                self._since_ms = now_ms()


def the_other(movement: str) -> str:
    return {"LEFT": "RIGHT", "RIGHT": "LEFT", "UP": "LEFT"}.get(movement, movement)


def test_who_turns_as_asked_is_accepted_and_the_record_says_what_was_done(
    screen: Screen, recogniser: Recogniser, pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    frames = views(pipeline, portraits["obama.jpg"], HEAD)
    person = Person(screen, recogniser, frames)
    decision = person.stands(Outcome.ACCEPTED)
    assert Punch.objects.count() == 1
    kept = decision.evidence["challenge"]
    assert kept["fulfilled"] is True
    asked = [step["movement"] for step in kept["movements"]]
    assert len(asked) == challenge.STEPS
    for step in kept["movements"]:
        assert step["prompted_ms"] + REACTION_MS <= step["reached_ms"] < step["back_ms"]
    assert person.read == asked
    assert len(kept["poses"]) > 2 * challenge.STEPS
    assert "The person was asked to" in why(decision)
    states = {f["state"] for m in person.told if m["type"] == "faces" for f in m["faces"]}
    assert states == {"looking", "asked", "accepted"}


def test_who_turns_the_other_way_is_refused_and_told_of_another_way_in(
    screen: Screen, recogniser: Recogniser, pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    frames = views(pipeline, portraits["obama.jpg"], HEAD)
    person = Person(screen, recogniser, frames, heeds=the_other)
    decision = person.stands(Outcome.CHALLENGE)
    assert decision.employee is None
    assert not decision.evidence["challenge"]["fulfilled"]
    told = [message for message in person.told if message["type"] == "decision"][-1]
    assert (told["employee"], told["direction"]) == (None, None)
    assert "PIN or badge" in told["reason"]
    assert not Punch.objects.exists()
    assert "The person was asked to" in why(decision)


def test_a_flat_picture_that_is_turned_as_asked_is_refused(
    screen: Screen, recogniser: Recogniser, pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    frames = views(pipeline, portraits["obama.jpg"], FLAT)
    decision = Person(screen, recogniser, frames).stands(Outcome.CHALLENGE)
    assert not decision.evidence["challenge"]["fulfilled"]
    assert not Punch.objects.exists()


def test_who_walks_away_when_asked_is_refused(
    screen: Screen, recogniser: Recogniser, pipeline: Pipeline, portraits: dict[str, Pixels]
) -> None:
    frame = picture(portraits["obama.jpg"])
    for _ in range(6):
        screen.show(frame)
        recogniser.drain()
    assert any(message["type"] == "prompt" for message in screen.heard())
    screen.rest()
    recogniser.drain()
    decision = Decision.objects.get()
    assert decision.outcome == Outcome.CHALLENGE
    assert not Punch.objects.exists()
    assert "left before it was done" in why(decision)


def test_a_stranger_is_not_asked_anything(
    screen: Screen, recogniser: Recogniser, portraits: dict[str, Pixels]
) -> None:
    for _ in range(5):
        screen.show(picture(portraits["biden.jpg"]))
        recogniser.drain()
    screen.rest()
    recogniser.drain()
    assert all(message["type"] != "prompt" for message in screen.heard())
    assert Decision.objects.get().outcome == Outcome.NO_MATCH


def test_a_picture_that_passive_detection_sees_is_not_asked_anything(
    site: Site,
    screen: Screen,
    recogniser: Recogniser,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    portraits: dict[str, Pixels],
) -> None:
    with_pair = pipeline_with(pipeline, pair_that_says(0.97))
    sharp = Recogniser(with_pair, outlet, model_facts(with_pair))
    for _ in range(5):
        screen.show(picture(portraits["obama.jpg"]))
        sharp.drain()
    screen.rest()
    sharp.drain()
    assert all(message["type"] != "prompt" for message in screen.heard())
    assert Decision.objects.get().outcome == Outcome.PAD_FAILED


def test_another_worker_goes_on_where_the_first_died(
    site: Site,
    screen: Screen,
    recogniser: Recogniser,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    portraits: dict[str, Pixels],
) -> None:
    frames = views(pipeline, portraits["obama.jpg"], HEAD)
    with_pair = pipeline_with(pipeline, pair_that_says(0.2))
    second = Recogniser(with_pair, outlet, model_facts(with_pair))
    asked: list[Message] = []
    for worker in (recogniser, recogniser, recogniser, recogniser, second):
        screen.show(frames["AHEAD", WHOLE])
        worker.drain()
        asked += [message for message in screen.heard() if message["type"] == "prompt"]
    before, after = asked[-2:]
    assert after == before | {"seq": after["seq"]}, "the same challenge"
    assert Person(screen, second, frames).stands(Outcome.ACCEPTED).evidence["challenge"]


def test_what_valkey_lost_begins_anew(
    screen: Screen,
    recogniser: Recogniser,
    outlet: FrameOutlet,
    pipeline: Pipeline,
    portraits: dict[str, Pixels],
) -> None:
    frames = views(pipeline, portraits["obama.jpg"], HEAD)
    for _ in range(4):
        screen.show(frames["AHEAD", WHOLE])
        recogniser.drain()
    first = {m["presentation"] for m in screen.heard() if m["type"] == "prompt"}
    outlet.save_tracks(screen.kiosk.pk, None, 0)
    person = Person(screen, recogniser, frames)
    person.stands(Outcome.ACCEPTED)
    again = {m["presentation"] for m in person.told if m["type"] == "prompt"}
    assert first
    assert not first & again
