"""A worker among faults: broken frames, a lost database, an emptied Valkey, many kiosks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import redis
from django.db import DatabaseError, close_old_connections, connection

from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Decision, Employee, Outcome, Punch, Site
from recognition.answers import BUSY
from recognition.pipeline import Pipeline
from recognition.tasks import model_facts
from recognition.types import Pixels
from recognition.worker import Recogniser
from tests.factories import EmployeeFactory, SiteFactory, ThresholdFactory
from tests.recognition.walk import Screen, enrol_face, kiosk_at, picture, walk_up

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def recogniser(pipeline: Pipeline, outlet: FrameOutlet) -> Recogniser:
    recogniser = Recogniser(pipeline, outlet, model_facts(pipeline))
    recogniser.version()
    return recogniser


def site_of(
    recogniser: Recogniser, name: str, pixels: Pixels, pipeline: Pipeline
) -> tuple[Site, Employee]:
    """A site at which one person is enrolled."""
    site = SiteFactory.create()
    ThresholdFactory.create(site=site, model_version=recogniser.version(), value=0.6)
    employee = EmployeeFactory.create(site=site, name=name)
    enrol_face(employee, pixels, pipeline)
    return site, employee


@pytest.fixture
def screen(
    recogniser: Recogniser, portraits: dict[str, Pixels], pipeline: Pipeline
) -> Iterator[Screen]:
    site, _ = site_of(recogniser, "Barack", portraits["obama.jpg"], pipeline)
    opened = Screen(kiosk_at(site))
    yield opened
    opened.close()


@pytest.fixture
def walk(portraits: dict[str, Pixels]) -> list[bytes]:
    return [picture(portraits["obama2.jpg"])] * 3


@contextlib.contextmanager
def every_punch(statement: str) -> Iterator[None]:
    """While inside, PostgreSQL runs this before it writes a punch."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {statement}; RETURN NEW; END $$;"
            "CREATE TRIGGER fault BEFORE INSERT ON accesscontrol_punch "
            "FOR EACH ROW EXECUTE FUNCTION fault()"
        )
    try:
        yield
    finally:
        close_old_connections()
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION fault CASCADE")


class TestDatabaseGone:
    def test_in_the_middle_of_a_decision_nobody_is_greeted_and_the_next_frame_works(
        self, screen: Screen, recogniser: Recogniser, walk: list[bytes]
    ) -> None:
        walk_up(screen, recogniser, walk[:1])
        screen.heard()
        with every_punch("PERFORM pg_terminate_backend(pg_backend_pid())"):
            screen.show(walk[0])
            with contextlib.suppress(DatabaseError):
                recogniser.drain()
        close_old_connections()  # as Celery does between two tasks
        heard = screen.heard()
        assert BUSY in heard
        assert not any(message["type"] == "decision" for message in heard)
        assert not Decision.objects.exists()
        assert not Punch.objects.exists()

        walk_up(screen, recogniser, walk[:1])
        assert Decision.objects.get().outcome == Outcome.ACCEPTED
        assert Punch.objects.count() == 1
        assert [told["employee"] for told in screen.decisions()] == ["Barack"]

    def test_before_the_frame_the_kiosk_is_told_and_let_go(
        self, screen: Screen, recogniser: Recogniser, walk: list[bytes], outlet: FrameOutlet
    ) -> None:
        walk_up(screen, recogniser, walk[:1])
        screen.show(walk[0])
        self.terminate()
        with contextlib.suppress(DatabaseError):
            recogniser.drain()
        assert BUSY in screen.heard()
        assert outlet.hold(screen.kiosk.pk, "another worker"), "the kiosk must be free"
        outlet.release(screen.kiosk.pk, "another worker")
        close_old_connections()
        walk_up(screen, recogniser, walk[:1])
        assert Punch.objects.count() == 1

    def test_while_it_closes_presentations_the_rest_is_made_up_for(
        self, screen: Screen, recogniser: Recogniser, walk: list[bytes]
    ) -> None:
        walk_up(screen, recogniser, walk[:1])
        screen.rest()
        self.terminate()
        with contextlib.suppress(DatabaseError):
            recogniser.drain()
        close_old_connections()
        assert not Decision.objects.exists()
        screen.heard()
        recogniser.drain()
        assert [message["type"] for message in screen.heard()] == ["decision", "rested"]

    def test_a_constraint_that_refuses_the_punch_leaves_no_decision(
        self, screen: Screen, recogniser: Recogniser, walk: list[bytes]
    ) -> None:
        with every_punch("RAISE EXCEPTION 'disk full'"):
            walk_up(screen, recogniser, walk)
            assert not Decision.objects.exists()
            assert screen.decisions() == []
        walk_up(screen, recogniser, walk[:1])
        assert Punch.objects.count() == 1

    def terminate(self) -> None:
        with connection.cursor() as cursor, contextlib.suppress(DatabaseError):
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


class TestValkeyEmptied:
    def test_in_the_middle_of_a_walk_up_the_person_begins_anew(
        self,
        screen: Screen,
        recogniser: Recogniser,
        walk: list[bytes],
        valkey: redis.Redis,
    ) -> None:
        walk_up(screen, recogniser, walk[:1])
        valkey.flushdb()
        walk_up(screen, recogniser, walk)
        assert Decision.objects.get().outcome == Outcome.ACCEPTED
        assert Punch.objects.count() == 1

    def test_after_the_decision_the_person_is_greeted_again_and_not_punched_again(
        self,
        screen: Screen,
        recogniser: Recogniser,
        walk: list[bytes],
        valkey: redis.Redis,
    ) -> None:
        walk_up(screen, recogniser, walk)
        valkey.flushdb()
        walk_up(screen, recogniser, walk)
        assert Decision.objects.count() == 2
        assert Punch.objects.count() == 1
        assert [told["repeat"] for told in screen.decisions()] == [False, True]

    def test_presentations_that_were_tampered_with_begin_anew(
        self, screen: Screen, recogniser: Recogniser, walk: list[bytes], valkey: redis.Redis
    ) -> None:
        walk_up(screen, recogniser, walk[:1])
        valkey.set(f"tracks:{screen.kiosk.pk}", b"planted")
        walk_up(screen, recogniser, walk)
        assert Decision.objects.get().frames == 2


class TestBatch:
    def test_a_garbage_frame_does_not_spoil_the_others(
        self, screen: Screen, recogniser: Recogniser, walk: list[bytes]
    ) -> None:
        bad = Screen(kiosk_at(screen.kiosk.site))
        for image in walk:
            bad.show(b"\xff\xd8\xff\xe0 no picture at all")
            screen.show(image)
            recogniser.drain()
        assert Punch.objects.count() == 1
        assert {message["type"] for message in bad.heard()} == {"frame_error"}
        assert len(screen.decisions()) == 1
        bad.close()

    def test_two_sites_in_one_batch_are_kept_apart(
        self,
        screen: Screen,
        recogniser: Recogniser,
        portraits: dict[str, Pixels],
        pipeline: Pipeline,
        walk: list[bytes],
    ) -> None:
        # The same face is enrolled there under another name.
        elsewhere, double = site_of(recogniser, "Joe", portraits["obama3.jpg"], pipeline)
        other = Screen(kiosk_at(elsewhere))
        for image in walk:
            screen.show(image)
            other.show(image)
            recogniser.drain()
        assert [told["employee"] for told in screen.decisions()] == ["Barack"]
        assert [told["employee"] for told in other.decisions()] == ["Joe"]
        assert Punch.objects.get(employee=double).site == elsewhere
        assert {decision.evidence["batch"] for decision in Decision.objects.all()} == {2}
        other.close()

    def test_frames_of_different_sizes_go_through_together(
        self, screen: Screen, recogniser: Recogniser, portraits: dict[str, Pixels]
    ) -> None:
        other = Screen(kiosk_at(screen.kiosk.site))
        for _ in range(3):
            screen.show(picture(portraits["obama2.jpg"]))
            other.show(picture(portraits["biden.jpg"], width=560, height=400))
            recogniser.drain()
        other.rest()
        recogniser.drain()
        assert [told["outcome"] for told in screen.decisions()] == ["ACCEPTED"]
        assert [told["outcome"] for told in other.decisions()] == ["NO_MATCH"]
        other.close()
