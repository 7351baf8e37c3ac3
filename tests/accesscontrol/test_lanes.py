"""Neighbouring lanes: a person whom two kiosks see at once stands before one of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
import redis
from django.utils import timezone

from accesscontrol.decisions import Recorded
from accesscontrol.lanes import SAME_MOMENT_MS, Lane, Lanes
from accesscontrol.models import Decision, Kiosk, Outcome, Punch
from tests.concurrency import at_once, errors
from tests.factories import KioskFactory
from tests.presentations import Door, door

HERE, THERE = uuid.UUID(int=1), uuid.UUID(int=2)
NOW = 1_700_000_000_000


class TestTellingEachOther:
    @pytest.fixture
    def lanes(self, valkey: redis.Redis) -> Lanes:
        return Lanes(valkey)

    def test_alone_nobody_is_nearer(self, lanes: Lanes) -> None:
        assert lanes.nearer(1, 7, Lane(HERE, 0.1, NOW)) is None
        assert lanes.nearer(1, 7, Lane(HERE, 0.1, NOW + 100)) is None

    def test_whoever_sees_them_larger_is_nearer(self, lanes: Lanes) -> None:
        lanes.nearer(1, 7, Lane(HERE, 0.1, NOW))
        assert lanes.nearer(1, 7, Lane(THERE, 0.2, NOW)) is None
        assert lanes.nearer(1, 7, Lane(HERE, 0.1, NOW)) == THERE

    def test_it_follows_a_person_who_walks_from_one_to_the_other(self, lanes: Lanes) -> None:
        lanes.nearer(1, 7, Lane(HERE, 0.2, NOW))
        assert lanes.nearer(1, 7, Lane(THERE, 0.1, NOW)) == HERE
        lanes.nearer(1, 7, Lane(HERE, 0.05, NOW + 500))
        assert lanes.nearer(1, 7, Lane(THERE, 0.1, NOW + 600)) is None

    def test_of_two_that_see_them_alike_neither_is_nearer(self, lanes: Lanes) -> None:
        for kiosk, share in [(HERE, 0.1), (THERE, 0.114), (HERE, 0.1)]:
            assert lanes.nearer(1, 7, Lane(kiosk, share, NOW)) is None

    def test_another_person_or_site_is_another_matter(self, lanes: Lanes) -> None:
        lanes.nearer(1, 7, Lane(THERE, 0.9, NOW))
        assert lanes.nearer(1, 8, Lane(HERE, 0.1, NOW)) is None
        assert lanes.nearer(2, 7, Lane(HERE, 0.1, NOW)) is None

    def test_what_was_seen_a_moment_ago_does_not_count(self, lanes: Lanes) -> None:
        lanes.nearer(1, 7, Lane(THERE, 0.9, NOW))
        assert lanes.nearer(1, 7, Lane(HERE, 0.1, NOW + SAME_MOMENT_MS)) == THERE
        assert lanes.nearer(1, 7, Lane(HERE, 0.1, NOW + SAME_MOMENT_MS + 1)) is None

    def test_nothing_is_kept_for_long(self, lanes: Lanes, valkey: redis.Redis) -> None:
        lanes.nearer(1, 7, Lane(HERE, 0.1, NOW))
        assert 0 < valkey.pttl("lanes:1:7") <= SAME_MOMENT_MS


@pytest.mark.django_db
class TestOnRecord:
    """Asked once more under the lock on the employee, whatever became of Redis."""

    def walk_up(self, entrance: Door, kiosk: Kiosk, share: float, after_s: float = 0) -> Recorded:
        at = timezone.now() + timedelta(seconds=after_s)
        return entrance.walk_up(at, kiosk=kiosk, face_share=share)

    def beside(self, entrance: Door) -> Kiosk:
        return KioskFactory.create(site=entrance.site, paired=True)

    def test_the_kiosk_that_saw_them_smaller_refuses(self) -> None:
        entrance = door()
        self.walk_up(entrance, entrance.kiosk, 0.2)
        late = self.walk_up(entrance, self.beside(entrance), 0.1, 0.3)
        assert (late.decision.outcome, late.punch) == (Outcome.AT_OTHER_KIOSK, None)
        assert late.decision.nearest == entrance.employee

    def test_the_kiosk_that_saw_them_larger_greets_and_does_not_punch_again(self) -> None:
        entrance = door()
        self.walk_up(entrance, entrance.kiosk, 0.1)
        late = self.walk_up(entrance, self.beside(entrance), 0.2, 0.3)
        assert (late.decision.outcome, late.repeat) == (Outcome.ACCEPTED, True)
        assert Punch.objects.count() == 1

    def test_a_while_later_they_may_stand_at_the_other(self) -> None:
        entrance = door()
        self.walk_up(entrance, entrance.kiosk, 0.2, -3)
        late = self.walk_up(entrance, self.beside(entrance), 0.1)
        assert late.decision.outcome == Outcome.ACCEPTED

    def test_the_same_kiosk_is_no_neighbour(self) -> None:
        entrance = door()
        self.walk_up(entrance, entrance.kiosk, 0.2)
        again = self.walk_up(entrance, entrance.kiosk, 0.1, 0.3)
        assert again.decision.outcome == Outcome.ACCEPTED


@pytest.mark.django_db(transaction=True)
def test_at_two_kiosks_in_the_same_moment_there_is_one_punch() -> None:
    entrance = door()
    beside = KioskFactory.create(site=entrance.site, paired=True)

    def at(kiosk: Kiosk, share: float) -> Callable[[], Recorded]:
        return lambda: entrance.walk_up(kiosk=kiosk, face_share=share)

    for number in range(10):
        results = at_once([at(entrance.kiosk, 0.2), at(beside, 0.1 + 0.02 * number)])
        assert not errors(results)
    assert Punch.objects.count() == 1
    assert Decision.objects.count() == 20
