"""A worker and its frames, with real faces: who is punched, who is refused, what is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis

from accesscontrol import assurance, kiosks
from accesscontrol.frames import FrameOutlet, now_ms
from accesscontrol.models import Decision, Employee, ModelVersion, Outcome, Punch, Site
from recognition import carried, deciding, tracking
from recognition.pipeline import Pipeline
from recognition.tasks import model_facts
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture, walk_up

pytestmark = pytest.mark.django_db


@pytest.fixture
def recogniser(pipeline: Pipeline, outlet: FrameOutlet) -> Recogniser:
    recogniser = Recogniser(pipeline, outlet, model_facts(pipeline))
    recogniser.version()
    return recogniser


@pytest.fixture
def version(recogniser: Recogniser) -> ModelVersion:
    return recogniser.version()


@pytest.fixture
def site(version: ModelVersion) -> Site:
    site: Site = SiteFactory.create()
    ThresholdFactory.create(site=site, model_version=version, value=0.6)
    return site


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


@pytest.fixture
def walk(portraits: dict[str, Pixels]) -> list[bytes]:
    """Three frames of the enrolled person, from another picture than the enrolled one."""
    return [picture(portraits["obama2.jpg"])] * 3


@pytest.fixture
def stranger(portraits: dict[str, Pixels]) -> list[bytes]:
    return [picture(portraits["biden.jpg"])] * 3


class TestWalkUp:
    def test_an_enrolled_person_gives_one_decision_and_one_punch(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        walk_up(screen, recogniser, walk * 2)
        screen.rest()
        recogniser.drain()
        decision = Decision.objects.get()
        assert (decision.outcome, decision.employee) == (Outcome.ACCEPTED, barack)
        assert decision.frames == assurance.FEWEST_FRAMES
        made = Punch.objects.get()
        assert (made.decision, made.employee, made.direction) == (decision, barack, "IN")
        (told,) = screen.decisions()
        assert (told["outcome"], told["employee"], told["direction"], told["seq"]) == (
            "ACCEPTED", "Barack", "IN", 2,
        )  # fmt: skip

    def test_one_frame_is_not_enough(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        walk_up(screen, recogniser, walk[:1])
        assert not Decision.objects.exists()
        screen.rest()
        recogniser.drain()
        assert Decision.objects.get().outcome == Outcome.LOW_QUALITY
        assert not Punch.objects.exists()

    def test_somebody_in_the_dark_is_told_what_to_do(
        self,
        screen: Screen,
        recogniser: Recogniser,
        barack: Employee,
        portraits: dict[str, Pixels],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(deciding, "LOWEST_QUALITY", 0.5)
        walk_up(screen, recogniser, [picture(portraits["obama2.jpg"] // 14)] * 3)
        screen.rest()
        recogniser.drain()
        decision = Decision.objects.get()
        assert decision.outcome == Outcome.LOW_QUALITY
        assert decision.evidence["shortfall"] == "TOO_DARK"
        assert decision.evidence["quality"] < decision.evidence["policy"]["lowest_quality"] == 0.5
        (told,) = screen.decisions()
        assert told["reason"] == "It is too dark. Please turn to the light."

    def test_a_stranger_gives_one_refusal_and_no_name(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, stranger: list[bytes]
    ) -> None:
        walk_up(screen, recogniser, stranger)
        assert not Decision.objects.exists(), "more frames could still tell more"
        screen.rest()
        recogniser.drain()
        decision = Decision.objects.get()
        assert (decision.outcome, decision.nearest) == (Outcome.NO_MATCH, barack)
        assert not Punch.objects.exists()
        (told,) = screen.decisions()
        assert (told["outcome"], told["employee"]) == ("NO_MATCH", None)

    def test_a_stranger_who_stays_is_refused_when_patience_ends(
        self,
        screen: Screen,
        recogniser: Recogniser,
        barack: Employee,
        stranger: list[bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(deciding, "PATIENCE_MS", 50)
        begun = now_ms() - 100
        for after in (0, 20, 40):
            screen.show(stranger[0], received_ms=begun + after)
            recogniser.drain()
        assert not Decision.objects.exists()
        screen.show(stranger[0], received_ms=begun + 60)
        recogniser.drain()
        assert Decision.objects.get().outcome == Outcome.NO_MATCH

    def test_somebody_still_there_is_tried_anew_and_not_at_once(
        self,
        screen: Screen,
        recogniser: Recogniser,
        barack: Employee,
        stranger: list[bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(deciding, "PATIENCE_MS", 50)
        monkeypatch.setattr(deciding, "RETRY_MS", 60)
        begun = now_ms() - 200
        for after in (0, 20, 40, 60, 80, 100):
            screen.show(stranger[0], received_ms=begun + after)
            recogniser.drain()
        assert Decision.objects.count() == 1
        for after in (120, 140, 160, 180):
            screen.show(stranger[0], received_ms=begun + after)
            recogniser.drain()
        first, second = Decision.objects.order_by("id")
        assert first.presentation != second.presentation
        assert {first.outcome, second.outcome} == {Outcome.NO_MATCH}

    def test_a_person_who_left_is_decided_without_a_word_from_the_kiosk(
        self,
        screen: Screen,
        recogniser: Recogniser,
        barack: Employee,
        stranger: list[bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        walk_up(screen, recogniser, stranger)
        assert not Decision.objects.exists()
        monkeypatch.setattr(tracking, "GONE_AFTER_MS", 1)
        recogniser.drain()
        assert Decision.objects.get().outcome == Outcome.NO_MATCH
        assert not any(message["type"] == "rested" for message in screen.heard())

    def test_somebody_back_within_the_cool_down_is_greeted_and_not_punched_again(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        for _ in range(2):
            walk_up(screen, recogniser, walk)
            screen.rest()
            recogniser.drain()
        assert Decision.objects.count() == 2
        assert Punch.objects.count() == 1
        assert [told["repeat"] for told in screen.decisions()] == [False, True]

    def test_two_people_at_once_are_two_presentations(
        self,
        screen: Screen,
        recogniser: Recogniser,
        barack: Employee,
        portraits: dict[str, Pixels],
    ) -> None:
        both = picture(portraits["obama2.jpg"], portraits["biden.jpg"])
        walk_up(screen, recogniser, [both] * 3)
        screen.rest()
        recogniser.drain()
        outcomes = sorted(Decision.objects.values_list("outcome", flat=True))
        assert outcomes == [Outcome.ACCEPTED, Outcome.NO_MATCH]
        assert Punch.objects.get().employee == barack


class TestScreen:
    def test_it_hears_where_the_faces_are_and_how_they_stand(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        walk_up(screen, recogniser, walk)
        faces = [message for message in screen.heard() if message["type"] == "faces"]
        assert [message["seq"] for message in faces] == [1, 2, 3]
        assert [message["faces"][0]["state"] for message in faces] == [
            "looking", "accepted", "accepted",
        ]  # fmt: skip
        assert all((m["width"], m["height"]) == (640, 480) for m in faces)
        assert all(len(m["faces"]) == 1 for m in faces)

    def test_it_hears_that_a_frame_could_not_be_read(
        self, screen: Screen, recogniser: Recogniser
    ) -> None:
        screen.show(b"\xff\xd8\xff garbage")
        recogniser.drain()
        (told,) = screen.heard()
        assert (told["type"], told["seq"], told["code"]) == ("frame_error", 1, "CORRUPT")

    def test_it_hears_that_it_rests_after_all_is_decided(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, stranger: list[bytes]
    ) -> None:
        walk_up(screen, recogniser, stranger)
        screen.rest()
        recogniser.drain()
        assert [message["type"] for message in screen.heard()][-2:] == ["decision", "rested"]

    def test_it_rests_even_if_nobody_came(self, screen: Screen, recogniser: Recogniser) -> None:
        screen.rest()
        recogniser.drain()
        assert screen.heard() == [{"type": "rested"}]

    def test_a_frame_without_a_face_has_none(self, screen: Screen, recogniser: Recogniser) -> None:
        screen.show(picture())
        recogniser.drain()
        (told,) = screen.heard()
        assert (told["type"], told["faces"]) == ("faces", [])


class TestRefusing:
    def decided(self, screen: Screen, recogniser: Recogniser, images: list[bytes]) -> str:
        walk_up(screen, recogniser, images)
        screen.rest()
        recogniser.drain()
        assert not Punch.objects.exists()
        return Decision.objects.get().outcome

    def test_a_site_without_employees(
        self, screen: Screen, recogniser: Recogniser, walk: list[bytes]
    ) -> None:
        assert self.decided(screen, recogniser, walk) == Outcome.EMPTY_GALLERY

    def test_a_site_without_a_threshold(
        self, recogniser: Recogniser, walk: list[bytes], portraits: Any, pipeline: Pipeline
    ) -> None:
        bare = SiteFactory.create()
        enrol_face(EmployeeFactory.create(site=bare), portraits["obama.jpg"], pipeline)
        screen = Screen(kiosk_at(bare))
        assert self.decided(screen, recogniser, walk) == Outcome.NOT_CALIBRATED
        screen.close()

    def test_a_model_that_is_not_the_active_one_any_more(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        ModelVersion.objects.update(is_active=False)
        assert self.decided(screen, recogniser, walk) == Outcome.NOT_CALIBRATED

    def test_an_employee_of_another_site(
        self, version: ModelVersion, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        elsewhere = SiteFactory.create()
        ThresholdFactory.create(site=elsewhere, model_version=version, value=0.6)
        screen = Screen(kiosk_at(elsewhere))
        assert self.decided(screen, recogniser, walk) == Outcome.EMPTY_GALLERY
        screen.close()

    def test_passers_by_narrower_than_the_kiosk_asks_for_are_nobody(
        self, site: Site, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        screen = Screen(kiosk_at(site, smallest_face=400))
        walk_up(screen, recogniser, walk)
        screen.rest()
        recogniser.drain()
        assert not Decision.objects.exists()
        screen.close()

    def test_a_closed_site(
        self, site: Site, screen: Screen, recogniser: Recogniser, walk: list[bytes]
    ) -> None:
        Site.objects.update(is_active=False)
        walk_up(screen, recogniser, walk)
        assert not Decision.objects.exists()
        assert screen.heard() == []


class TestShutOut:
    def test_a_revoked_kiosk_decides_nothing_and_hears_nothing(
        self, screen: Screen, recogniser: Recogniser, barack: Employee, walk: list[bytes]
    ) -> None:
        type(screen.kiosk).objects.update(revoked_at=screen.kiosk.paired_at)
        walk_up(screen, recogniser, walk)
        screen.rest()
        recogniser.drain()
        assert not Decision.objects.exists()
        assert screen.heard() == []

    def test_revoked_in_the_middle_of_a_walk_up_it_leaves_nothing_behind(
        self,
        screen: Screen,
        recogniser: Recogniser,
        barack: Employee,
        walk: list[bytes],
        outlet: FrameOutlet,
    ) -> None:
        walk_up(screen, recogniser, walk[:1])
        kiosks.revoke_kiosk(screen.kiosk, by=None)
        walk_up(screen, recogniser, walk)
        screen.rest()
        recogniser.drain()
        assert not Decision.objects.exists()
        assert outlet.load_tracks(screen.kiosk.pk) is None
        assert not Punch.objects.exists()


def test_nothing_of_a_face_lies_in_valkey(
    screen: Screen,
    recogniser: Recogniser,
    pipeline: Pipeline,
    walk: list[bytes],
    outlet: FrameOutlet,
    valkey: redis.Redis,
) -> None:
    walk_up(screen, recogniser, walk[:1])
    screen.show(walk[0])
    content: bytes = b"".join(valkey.dump(key) or b"" for key in valkey.scan_iter())
    face = pipeline.analyse([walk[0]])[0].faces[0]
    assert face.embedding is not None
    (presentation,) = carried.load(outlet.load_tracks(screen.kiosk.pk) or b"", recogniser._basis())
    assert abs(float(presentation.probe @ face.embedding)) < 0.5, "kept rotated"
    for vector in (face.embedding, presentation.total, presentation.probe):
        for dtype in ("<f4", "<f8", "<f2"):
            assert np.asarray(vector, dtype=dtype).tobytes()[:16] not in content
    assert b"\xff\xd8\xff" not in content
