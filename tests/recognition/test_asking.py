"""Who is asked to move their head, when, and what a kiosk is told: one person at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis

from accesscontrol.challenges import LastShown
from accesscontrol.models import Kiosk, Outcome, PadPolicy, Site
from recognition import asking, challenge
from recognition.carried import dump, load
from recognition.challenge import End, Movement
from recognition.placing import Likeness
from recognition.scene import Scene, asks_for_challenge, challenge_of
from recognition.tracking import Moment, Pose, Presentation, Sighting, Tracks, follow

LIKENESS = Likeness(0.5, 0.6)
ASHA, BEN = np.eye(2, 8, dtype=np.float32)
BEGIN = 1_000_000
PATIENCE_MS = 3_000


AT_EASE = Pose(0.0, 0.0, 0.05)
ASIDE = Pose(40.0, 0.0, 0.05)
POSES = {
    Movement.LEFT: Pose(30.0, 0.0, 0.05),
    Movement.RIGHT: Pose(-30.0, 0.0, 0.05),
    Movement.UP: Pose(0.0, 35.0, 0.05),
}


def sighting(of: Any, pose: Pose = AT_EASE, x: int = 0) -> Sighting:
    box = np.array([x, 10, x + 80, 110], dtype=np.float32)
    return Sighting(box, of, 0.8, pose=pose)


class Kiosks:
    """A kiosk before which frames come every 100 ms, as a worker sees it."""

    def __init__(self, shown: LastShown, site: Site | None = None) -> None:
        self.shown = shown
        self.kiosk = Kiosk(site=site or Site(pad_policy=PadPolicy.STRICT))
        self.at_ms = BEGIN
        self.scene = self._scene(Tracks())

    def _scene(self, tracks: Tracks) -> Scene:
        return Scene(self.kiosk, Moment(1, self.at_ms, self.at_ms), tracks)

    def sees(self, *people: Sighting, frames: int = 1) -> Sequence[Presentation]:
        for _ in range(frames):
            self.at_ms += 100
            moment = Moment(self.at_ms // 100, self.at_ms - 20, self.at_ms)
            self.scene = self._scene(follow(self.present, people, moment, LIKENESS))
            self._shows()
        return self.present

    def _shows(self) -> None:
        """As `asking.prompt`, but by this kiosk's clock."""
        for one in self.present:
            if one.challenge and challenge.is_due(one.challenge):
                asked = replace(one, challenge=challenge.prompted(one.challenge, self.at_ms))
                present = [asked if p.id == one.id else p for p in self.present]
                self.scene.tracks = replace(self.scene.tracks, present=present)

    @property
    def present(self) -> Sequence[Presentation]:
        return self.scene.tracks.present

    def ask(self, index: int = 0, person: int = 7) -> Presentation:
        asked = asking.ask(self.scene, self.present[index], person, self.shown)
        self._shows()
        return asked

    def is_over(self, index: int = 0, outcome: Outcome = Outcome.CHALLENGE) -> bool:
        return asking.is_over(self.scene, self.present[index], outcome, patience_ms=PATIENCE_MS)

    def obeys(self, of: Any, index: int = 0) -> None:
        """That person does what is asked, as long as anything is."""
        for _ in range(2 * challenge.STEPS + 1):
            going = self.present[index].challenge
            if going is None or not going.is_open:
                return
            self.follows(of, going.waits_for)

    def follows(self, of: Any, movement: Movement | None) -> None:
        if movement is None:
            self.sees(sighting(of), frames=2)
        else:
            self.sees(sighting(of), frames=4)
            self.sees(sighting(of, POSES[movement]), frames=2)


@pytest.fixture
def shown(valkey: redis.Redis) -> LastShown:
    return LastShown(valkey)


@pytest.fixture
def kiosk(shown: LastShown) -> Kiosks:
    return Kiosks(shown)


def test_who_looks_ahead_is_asked_and_the_kiosk_told_what_to_do(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    asked = kiosk.ask()
    assert asked.challenge is not None
    (told,) = asking.messages(kiosk.scene)
    assert told == {
        "type": "prompt",
        "presentation": str(asked.id),
        "seq": asked.sequence,
        "movement": str(asked.challenge.steps[0].movement),
        "step": 1,
        "steps": challenge.STEPS,
    }


def test_the_prompt_is_told_again_until_it_is_followed_then_to_look_ahead(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    asked = kiosk.ask().challenge
    assert asked is not None
    movement = asked.steps[0].movement
    for _ in range(3):
        kiosk.sees(sighting(ASHA))
        assert [told["movement"] for told in asking.messages(kiosk.scene)] == [str(movement)]
    kiosk.sees(sighting(ASHA, POSES[movement]), frames=2)
    assert [told["movement"] for told in asking.messages(kiosk.scene)] == ["AHEAD"]


def test_what_is_shown_counts_from_when_it_is_shown(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    asking.ask(kiosk.scene, kiosk.present[0], 7, kiosk.shown)
    asking.prompt(kiosk.scene)
    going = kiosk.present[0].challenge
    assert going is not None
    assert going.steps[0].prompted_ms > BEGIN
    assert going.steps[1].prompted_ms == 0


def test_who_obeys_has_fulfilled_it_and_the_kiosk_asks_no_more(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    kiosk.ask()
    kiosk.obeys(ASHA)
    proof = challenge_of(kiosk.present[0])
    assert proof is not None
    assert (proof.person, proof.done, proof.fulfilled) == (7, challenge.STEPS, True)
    assert asking.messages(kiosk.scene) == []
    assert kiosk.is_over()


def test_it_is_as_good_after_every_frame_is_carried_to_another_worker(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    kiosk.ask()
    for _ in range(2 * challenge.STEPS + 1):
        carried = load(dump(kiosk.present, "basis"), "basis")
        kiosk.scene.tracks = Tracks(carried)
        going = carried[0].challenge
        assert going is not None
        if not going.is_open:
            break
        kiosk.follows(ASHA, going.waits_for)
    proof = challenge_of(load(dump(kiosk.present, "basis"), "basis")[0])
    assert proof is not None
    assert proof.fulfilled


def test_what_a_worker_lost_begins_anew_and_is_not_accepted_by_default(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    kiosk.ask()
    kiosk.sees(sighting(ASHA), frames=4)
    kiosk.scene.tracks = Tracks()  # its state is gone
    (anew,) = kiosk.sees(sighting(ASHA))
    assert anew.challenge is None
    assert challenge_of(anew) is None


def test_two_people_are_asked_one_after_the_other(kiosk: Kiosks) -> None:
    both = (sighting(ASHA), sighting(BEN, x=300))
    kiosk.sees(*both, frames=3)
    assert kiosk.ask(0).challenge is not None
    assert kiosk.ask(1, person=8).challenge is None
    assert len(asking.messages(kiosk.scene)) == 1
    kiosk.sees(*both, frames=31)
    assert not kiosk.is_over(1), "who waits for their turn keeps their evidence"
    assert kiosk.is_over(1, Outcome.NO_MATCH), "but nobody waits in vain"
    kiosk.sees(*both, frames=40)
    first = kiosk.present[0].challenge
    assert first is not None
    assert first.end is End.EXPIRED
    assert kiosk.is_over(0)
    assert kiosk.ask(1, person=8).challenge is not None


def test_only_the_asked_persons_own_head_counts(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), sighting(BEN, x=300), frames=3)
    going = kiosk.ask(0).challenge
    assert going is not None
    assert going.waits_for is not None
    pose = POSES[going.waits_for]
    kiosk.sees(sighting(ASHA), sighting(BEN, x=300), frames=4)
    kiosk.sees(sighting(ASHA), sighting(BEN, pose, x=300), frames=4)
    after = kiosk.present[0].challenge
    assert after is not None
    assert (after.waits_for, after.held) == (going.waits_for, 0)


def test_another_face_in_the_same_place_does_not_count(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    going = kiosk.ask().challenge
    assert going is not None
    assert going.waits_for is not None
    pose = POSES[going.waits_for]
    kiosk.sees(sighting(ASHA), frames=4)
    kiosk.sees(sighting(BEN, pose), frames=3)
    after = kiosk.present[0].challenge
    assert after is not None
    assert (after.held, after.done) == (0, 0)
    kiosk.sees(sighting(BEN), frames=10)
    assert not any(one.challenge and one.challenge.fulfilled for one in kiosk.present)


def test_a_turned_face_that_looks_unlike_is_nobody_new_and_counts_for_nothing(
    kiosk: Kiosks,
) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    going = kiosk.ask().challenge
    assert going is not None
    assert going.waits_for is not None
    kiosk.sees(sighting(ASHA), frames=4)
    kiosk.sees(sighting(BEN, POSES[going.waits_for]), frames=10)
    (still,) = kiosk.present
    assert still.challenge is not None
    assert (still.challenge.held, still.challenge.waits_for) == (0, going.waits_for)
    kiosk.sees(sighting(BEN), frames=2)
    assert len(kiosk.present) == 2, "who looks ahead and unlike is somebody else"
    kiosk.sees(sighting(BEN, POSES[going.waits_for]), frames=70)
    assert not any(one.challenge and one.challenge.fulfilled for one in kiosk.present)


def test_who_looks_elsewhere_is_asked_when_they_look_ahead(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA, ASIDE), frames=3)
    assert kiosk.ask().challenge is None
    kiosk.sees(sighting(ASHA), frames=5)
    assert kiosk.ask().challenge is not None


def test_nobody_is_asked_twice_at_once(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA), frames=3)
    kiosk.ask()
    first = kiosk.present[0].challenge
    assert kiosk.ask().challenge is first


def test_the_next_at_this_kiosk_is_asked_something_else(shown: LastShown) -> None:
    kiosk = Kiosks(shown)
    before: list[str] = []
    for _ in range(12):
        kiosk.scene.tracks = Tracks()
        kiosk.sees(sighting(ASHA), frames=3)
        asked = kiosk.ask().challenge
        assert asked is not None
        movements = [str(step.movement) for step in asked.steps]
        assert movements != before
        assert shown.of(kiosk.kiosk.pk) == movements
        before = movements


def test_who_was_never_asked_is_refused_when_patience_ends(kiosk: Kiosks) -> None:
    kiosk.sees(sighting(ASHA, ASIDE), frames=20)
    assert not kiosk.is_over()
    kiosk.sees(sighting(ASHA, ASIDE), frames=12)
    assert kiosk.is_over()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (PadPolicy.OFF, False),
        (PadPolicy.PASSIVE, False),
        (PadPolicy.STRICT, True),
        ("of a later version", True),
    ],
)
def test_only_sites_that_ask_for_it_ask(shown: LastShown, policy: str, expected: bool) -> None:
    assert asks_for_challenge(Kiosks(shown, Site(pad_policy=policy)).kiosk) is expected
