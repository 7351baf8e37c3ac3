"""A frame that breaks the worker costs its own kiosk this frame, and the other kiosks nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError
from PIL import Image

from accesscontrol.frames import Frame, FrameOutlet
from accesscontrol.models import Decision, Outcome, Punch, Site
from recognition import isolation
from recognition.isolation import MOST_PIXELS, apart, portions
from recognition.pipeline import Networks, Pipeline
from recognition.tasks import model_facts
from recognition.types import FrameResult, Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture, walk_up

POISON = b"poison"


class Breakable(Pipeline):
    """The real pipeline, which a frame that ends in POISON breaks, and all others with it."""

    error: type[Exception] = MemoryError
    calls = 0

    def analyse(self, images: Sequence[bytes], **options: Any) -> list[FrameResult]:
        self.calls += 1
        if any(image.endswith(POISON) for image in images):
            raise self.error
        return super().analyse(images, **options)


@pytest.fixture
def breakable(pipeline: Pipeline) -> Breakable:
    networks = Networks(
        pipeline.detector,
        pipeline.embedder,
        pipeline.antispoofing,
        pipeline.pair,
        pipeline.second_embedder,
    )
    return Breakable(networks, pipeline.model, pipeline.device)


@pytest.fixture
def recogniser(breakable: Breakable, outlet: FrameOutlet, db: None) -> Recogniser:
    recogniser = Recogniser(breakable, outlet, model_facts(breakable))
    recogniser.version()
    return recogniser


@pytest.fixture
def site(recogniser: Recogniser, portraits: dict[str, Pixels], pipeline: Pipeline) -> Site:
    site: Site = SiteFactory.create()
    ThresholdFactory.create(site=site, model_version=recogniser.version(), value=0.6)
    enrol_face(EmployeeFactory.create(site=site), portraits["obama.jpg"], pipeline)
    return site


@pytest.fixture
def screens(site: Site) -> Iterator[list[Screen]]:
    opened = [Screen(kiosk_at(site)) for _ in range(5)]
    yield opened
    for screen in opened:
        screen.close()


@pytest.fixture
def frame(portraits: dict[str, Pixels]) -> bytes:
    return picture(portraits["obama2.jpg"])


class TestFrames:
    @pytest.mark.parametrize(
        "error", [MemoryError, RuntimeError, AttributeError, ZeroDivisionError]
    )
    def test_the_others_of_its_batch_are_recognised_as_if_it_were_not_there(
        self,
        screens: list[Screen],
        recogniser: Recogniser,
        breakable: Breakable,
        frame: bytes,
        error: type[Exception],
    ) -> None:
        breakable.error = error
        for _ in range(3):
            for screen in screens:
                screen.show(frame + POISON * (screen is screens[2]))
            recogniser.drain()
        for screen in screens[:2] + screens[3:]:
            heard = screen.heard()
            assert [told["type"] for told in heard] == ["faces", "decision", "faces", "faces"]
        assert {decision.frames for decision in Decision.objects.all()} == {2}, "none counts twice"
        assert {decision.outcome for decision in Decision.objects.all()} == {Outcome.ACCEPTED}
        assert Decision.objects.count() == 4

    def test_its_own_kiosk_is_told_and_goes_on_with_the_next(
        self, screens: list[Screen], recogniser: Recogniser, frame: bytes
    ) -> None:
        walk_up(screens[0], recogniser, [frame + POISON])
        (told,) = screens[0].heard()
        assert (told["type"], told["code"], told["seq"]) == ("frame_error", "INTERNAL", 1)
        assert not Decision.objects.exists()
        walk_up(screens[0], recogniser, [frame] * 3)
        assert Punch.objects.count() == 1

    def test_evidence_from_before_it_does_not_count(
        self, screens: list[Screen], recogniser: Recogniser, frame: bytes
    ) -> None:
        walk_up(screens[0], recogniser, [frame, frame + POISON, frame])
        assert not Decision.objects.exists()

    def test_only_broken_frames_leave_the_worker_alive(
        self, screens: list[Screen], recogniser: Recogniser, frame: bytes, outlet: FrameOutlet
    ) -> None:
        for screen in screens:
            screen.show(frame + POISON)
        recogniser.drain()
        for screen in screens:
            assert [told["code"] for told in screen.heard()] == ["INTERNAL"]
            assert outlet.hold(screen.kiosk.pk, "another worker"), "the kiosk must be free"
            outlet.release(screen.kiosk.pk, "another worker")


class TestPresentations:
    BROKEN = b'[{"id": 5}]'

    def test_broken_ones_are_begun_anew_and_spoil_no_other_kiosk(
        self, screens: list[Screen], recogniser: Recogniser, frame: bytes, outlet: FrameOutlet
    ) -> None:
        for _ in range(3):
            for screen in screens[:3]:
                screen.show(frame)
            outlet.save_tracks(screens[1].kiosk.pk, self.BROKEN, 1)
            recogniser.drain()
        assert len(screens[0].decisions()) == len(screens[2].decisions()) == 1
        assert screens[1].decisions() == []
        walk_up(screens[1], recogniser, [frame] * 3)
        assert len(screens[1].decisions()) == 1

    def test_broken_ones_do_not_keep_others_from_being_closed(
        self, screens: list[Screen], recogniser: Recogniser, frame: bytes, outlet: FrameOutlet
    ) -> None:
        for screen in screens[:3]:
            screen.show(frame)
        recogniser.drain()
        outlet.save_tracks(screens[1].kiosk.pk, self.BROKEN, 1)
        for screen in screens[:3]:
            screen.rest()
        recogniser.drain()
        for screen in screens[:3]:
            assert {"type": "rested"} in screen.heard()
        assert Decision.objects.count() == 2
        assert outlet.load_tracks(screens[1].kiosk.pk) is None


def test_a_clock_beyond_all_years_is_no_trouble(
    screens: list[Screen], recogniser: Recogniser, frame: bytes, outlet: FrameOutlet
) -> None:
    """The capture time is the kiosk's word: any number of 64 bits."""
    for captured_ms in (2**64 - 1, 0, 2**63, 253_402_300_799_999):
        shown = screens[0].show(frame)
        absurd = Frame(shown.kiosk_id, shown.sequence, captured_ms, shown.received_ms, frame)
        screens[0]._run(screens[0]._inlet.put(absurd))
        recogniser.drain()
    screens[0].rest()
    recogniser.drain()
    assert Decision.objects.get().outcome == Outcome.ACCEPTED


class TestApart:
    def test_what_fails_alone_is_given_up_and_nothing_else(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        worked: list[int] = []
        given_up: list[int] = []

        def work(items: Sequence[int]) -> None:
            if {5, 6, 19} & set(items):
                raise RuntimeError("broken")
            worked.extend(items)

        with caplog.at_level(logging.WARNING):
            apart(range(20), work, given_up.append, passed_on=())
        assert given_up == [5, 6, 19]
        assert sorted(worked) == [number for number in range(20) if number not in given_up]
        assert sum(record.exc_info is not None for record in caplog.records) == 3

    def test_an_error_about_none_of_them_is_passed_on_at_once(self) -> None:
        calls: list[int] = []

        def work(items: Sequence[int]) -> None:
            calls.append(len(items))
            raise DatabaseError

        with pytest.raises(DatabaseError):
            apart(range(8), work, calls.append, passed_on=(DatabaseError,))
        assert calls == [8]


class TestPortions:
    def frame(self, width: int, height: int) -> Frame:
        buffer = BytesIO()
        Image.new("L", (width, height)).save(buffer, "PNG")
        return Frame(uuid4(), 1, 0, 0, buffer.getvalue())

    def test_usual_frames_go_together(self) -> None:
        frames = [self.frame(640, 480)] * 32
        assert portions(frames) == [frames]

    def test_large_ones_are_spread_in_their_order(self) -> None:
        frames = [self.frame(2000, 2000), self.frame(640, 480)] * 8
        found = portions(frames)
        assert [frame for batch in found for frame in batch] == frames
        for batch in found:
            assert sum(isolation._pixels(frame) for frame in batch) <= MOST_PIXELS
        assert len(found) <= 4

    def test_what_is_no_image_costs_nothing(self) -> None:
        broken = Frame(uuid4(), 1, 0, 0, b"garbage")
        assert portions([broken] * 1000) == [[broken] * 1000]

    def test_none_are_none(self) -> None:
        assert portions([]) == []
