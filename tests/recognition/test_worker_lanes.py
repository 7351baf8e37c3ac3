"""Who stands before a kiosk: near enough, in its zone, and not rather before the next one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Employee, Outcome, Punch, Site
from recognition.pipeline import Pipeline
from recognition.tasks import model_facts
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture, walk_up

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
def barack(site: Site, portraits: dict[str, Pixels], pipeline: Pipeline) -> Employee:
    employee: Employee = EmployeeFactory.create(site=site, name="Barack")
    enrol_face(employee, portraits["obama.jpg"], pipeline)
    return employee


@pytest.fixture
def near(portraits: dict[str, Pixels]) -> bytes:
    return picture(portraits["obama2.jpg"])


@pytest.fixture
def left(portraits: dict[str, Pixels]) -> bytes:
    """The person in the left half of the picture, and smaller than in `near`."""
    wall = portraits["obama2.jpg"][:1, :1]
    return picture(portraits["obama2.jpg"], *[wall] * 3)


class Opened:
    def __init__(self) -> None:
        self.screens: list[Screen] = []

    def __call__(self, site: Site, **fields: Any) -> Screen:
        self.screens.append(Screen(kiosk_at(site, **fields)))
        return self.screens[-1]


@pytest.fixture
def screen_at(valkey: redis.Redis) -> Iterator[Opened]:
    opened = Opened()
    yield opened
    for screen in opened.screens:
        screen.close()


def rest(screen: Screen, recogniser: Recogniser) -> None:
    screen.rest()
    recogniser.drain()


class TestZone:
    def test_faces_outside_are_neither_decided_nor_shown(
        self, screen_at: Opened, site: Site, recogniser: Recogniser, barack: Employee, left: bytes
    ) -> None:
        screen = screen_at(site, zone_left=60)
        walk_up(screen, recogniser, [left] * 3)
        assert [message["faces"] for message in screen.heard()] == [[], [], []]
        rest(screen, recogniser)
        assert not Decision.objects.exists()

    def test_faces_inside_are_decided(
        self, screen_at: Opened, site: Site, recogniser: Recogniser, barack: Employee, left: bytes
    ) -> None:
        walk_up(screen_at(site, zone_right=60), recogniser, [left] * 3)
        assert Punch.objects.get().employee == barack

    def test_of_two_people_only_the_one_inside_stands_before_the_kiosk(
        self,
        screen_at: Opened,
        site: Site,
        recogniser: Recogniser,
        barack: Employee,
        portraits: dict[str, Pixels],
    ) -> None:
        both = picture(portraits["biden.jpg"], portraits["obama2.jpg"])
        screen = screen_at(site, zone_left=50)
        walk_up(screen, recogniser, [both] * 3)
        rest(screen, recogniser)
        assert Decision.objects.get().employee == barack


class TestNearAndFar:
    def test_whoever_does_not_come_near_enough_is_asked_to_come_closer(
        self, screen_at: Opened, site: Site, recogniser: Recogniser, barack: Employee, left: bytes
    ) -> None:
        screen = screen_at(site, deciding_face=400)
        walk_up(screen, recogniser, [left] * 3)
        assert not Decision.objects.exists(), "they may still come closer"
        rest(screen, recogniser)
        assert Decision.objects.get().outcome == Outcome.TOO_FAR
        assert [told["reason"] for told in screen.decisions()] == ["Please come closer."]
        assert not Punch.objects.exists()

    def test_whoever_comes_nearer_is_decided_then(
        self,
        screen_at: Opened,
        site: Site,
        recogniser: Recogniser,
        barack: Employee,
        left: bytes,
        near: bytes,
    ) -> None:
        screen = screen_at(site, deciding_face=100)
        walk_up(screen, recogniser, [left] * 3)
        assert not Decision.objects.exists()
        walk_up(screen, recogniser, [near] * 2)
        assert Punch.objects.get().employee == barack


class TestTwoKiosksSeeTheSamePerson:
    def test_only_the_one_that_sees_them_larger_decides(
        self,
        screen_at: Opened,
        site: Site,
        recogniser: Recogniser,
        barack: Employee,
        left: bytes,
        near: bytes,
    ) -> None:
        beside, before = screen_at(site), screen_at(site)
        for _ in range(3):
            beside.show(left)
            before.show(near)
            recogniser.drain()
        assert Decision.objects.get().kiosk == before.kiosk
        assert [told["outcome"] for told in before.decisions()] == ["ACCEPTED"]
        rest(beside, recogniser)
        assert beside.decisions() == [], "whoever stands elsewhere is answered there"
        assert Decision.objects.get(kiosk=beside.kiosk).outcome == Outcome.AT_OTHER_KIOSK
        assert Punch.objects.count() == 1

    def test_the_screen_beside_does_not_show_whom_the_other_decides(
        self,
        screen_at: Opened,
        site: Site,
        recogniser: Recogniser,
        barack: Employee,
        left: bytes,
        near: bytes,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("accesscontrol.lanes.SAME_MOMENT_MS", 60_000)
        beside, before = screen_at(site), screen_at(site)
        walk_up(before, recogniser, [near])
        walk_up(beside, recogniser, [left])
        monkeypatch.setattr("recognition.deciding.PATIENCE_MS", 0)
        walk_up(beside, recogniser, [left])
        assert Decision.objects.get().outcome == Outcome.AT_OTHER_KIOSK
        first, second = (message["faces"] for message in beside.heard())
        assert [face["state"] for face in first] == ["looking"]
        assert second == []

    def test_each_at_their_own_kiosk_are_both_decided(
        self,
        screen_at: Opened,
        site: Site,
        recogniser: Recogniser,
        barack: Employee,
        near: bytes,
        portraits: dict[str, Pixels],
        pipeline: Pipeline,
    ) -> None:
        enrol_face(EmployeeFactory.create(site=site, name="Joe"), portraits["biden.jpg"], pipeline)
        one, other, joe = screen_at(site), screen_at(site), picture(portraits["biden.jpg"])
        for _ in range(2):
            one.show(near)
            other.show(joe)
            recogniser.drain()
        assert [told["employee"] for told in one.decisions()] == ["Barack"]
        assert [told["employee"] for told in other.decisions()] == ["Joe"]

    def test_kiosks_of_other_sites_are_no_neighbours(
        self,
        screen_at: Opened,
        site: Site,
        recogniser: Recogniser,
        barack: Employee,
        left: bytes,
        near: bytes,
    ) -> None:
        elsewhere = SiteFactory.create()
        walk_up(screen_at(elsewhere), recogniser, [near] * 2)
        walk_up(screen_at(site), recogniser, [left] * 3)
        assert Punch.objects.get().employee == barack
