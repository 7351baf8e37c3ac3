"""In or out, once in the cool-down: shifts, clocks and daylight saving."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest

from accesscontrol.models import Punch
from tests.factories import KioskFactory, PunchFactory
from tests.presentations import Door, door

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def directions(entrance: Door, *hours: float) -> list[str]:
    """The person walks up at these hours from the start; each punch's direction."""
    found = []
    for hour in hours:
        made = entrance.walk_up(START + timedelta(hours=hour)).punch
        assert made is not None
        found.append(str(made.direction))
    return found


class TestDirection:
    def test_in_and_out_take_turns(self) -> None:
        assert directions(door(), 0, 4, 5, 9, 24) == ["IN", "OUT", "IN", "OUT", "IN"]

    def test_a_night_shift_ends_with_out_on_the_next_day(self) -> None:
        assert directions(door(time_zone="Europe/Berlin"), 14, 23) == ["IN", "OUT"]

    def test_a_forgotten_out_does_not_turn_the_next_day_around(self) -> None:
        assert directions(door(longest_shift_h=16), 0, 24, 32) == ["IN", "IN", "OUT"]

    def test_the_longest_shift_itself_still_ends_with_out(self) -> None:
        assert directions(door(longest_shift_h=16), 0, 16) == ["IN", "OUT"]
        assert directions(door(longest_shift_h=16), 0, 16.001) == ["IN", "IN"]

    def test_a_shift_of_two_days_can_be_allowed(self) -> None:
        assert directions(door(longest_shift_h=48), 0, 47) == ["IN", "OUT"]

    def test_an_entrance_always_says_in(self) -> None:
        assert directions(door(direction="IN"), 0, 4, 8) == ["IN", "IN", "IN"]

    def test_an_exit_always_says_out(self) -> None:
        assert directions(door(direction="OUT"), 0, 4) == ["OUT", "OUT"]

    def test_a_turning_kiosk_goes_on_from_what_the_entrance_said(self) -> None:
        entrance = door()
        only_in = KioskFactory.create(site=entrance.site, paired=True, direction="IN")
        entrance.walk_up(START, kiosk=only_in)
        assert directions(entrance, 8) == ["OUT"]

    def test_other_peoples_punches_do_not_count(self) -> None:
        entrance = door()
        PunchFactory.create(at=START)
        assert directions(entrance, 1) == ["IN"]


class TestCoolDown:
    def test_it_ends_on_the_second(self) -> None:
        entrance = door(cool_down_s=300)
        entrance.walk_up(START)
        assert entrance.walk_up(START + timedelta(seconds=299.999)).repeat
        later = entrance.walk_up(START + timedelta(seconds=300))
        assert not later.repeat
        assert later.punch is not None
        assert later.punch.direction == "OUT"

    def test_a_repeat_does_not_prolong_it(self) -> None:
        entrance = door(cool_down_s=300)
        entrance.walk_up(START)
        entrance.walk_up(START + timedelta(seconds=200))
        assert not entrance.walk_up(START + timedelta(seconds=400)).repeat

    def test_of_zero_seconds_lets_every_walk_up_punch(self) -> None:
        entrance = door(cool_down_s=0)
        for seconds in range(4):
            assert not entrance.walk_up(START + timedelta(seconds=seconds)).repeat
        assert Punch.objects.count() == 4

    def test_it_holds_at_the_other_doors_of_the_site(self) -> None:
        entrance = door()
        other = KioskFactory.create(site=entrance.site, paired=True)
        first = entrance.walk_up(START)
        second = entrance.walk_up(START + timedelta(seconds=1), kiosk=other)
        assert second.repeat
        assert second.punch == first.punch

    def test_a_longer_one_set_later_does_not_bring_two_punches_into_conflict(self) -> None:
        entrance = door(cool_down_s=10)
        entrance.walk_up(START)
        entrance.site.cool_down_s = 3600
        entrance.site.save()
        assert not entrance.walk_up(START + timedelta(seconds=20)).repeat


class TestServerClock:
    def test_a_small_step_back_makes_no_second_punch(self) -> None:
        entrance = door()
        first = entrance.walk_up(START)
        again = entrance.walk_up(START - timedelta(seconds=30))
        assert again.repeat
        assert again.punch == first.punch

    def test_after_a_step_back_of_an_hour_people_can_still_come_and_go(self) -> None:
        entrance = door()
        entrance.walk_up(START)
        earlier = entrance.walk_up(START - timedelta(hours=1))
        assert earlier.punch is not None
        assert not earlier.repeat
        assert Punch.objects.count() == 2

    def test_a_step_back_between_two_punches_finds_the_nearer_cooling_one(self) -> None:
        entrance = door()
        entrance.walk_up(START)
        entrance.walk_up(START + timedelta(hours=8))
        again = entrance.walk_up(START + timedelta(seconds=100))
        assert again.repeat
        assert again.punch is not None
        assert again.punch.at == START

    def test_a_punch_that_would_reach_into_a_later_one_is_a_repeat(self) -> None:
        entrance = door(cool_down_s=300)
        entrance.walk_up(START)
        assert entrance.walk_up(START - timedelta(seconds=299)).repeat
        assert not entrance.walk_up(START - timedelta(seconds=300)).repeat


class TestLocalTime:
    @pytest.mark.parametrize(
        ("zone", "utc", "local"),
        [
            ("Europe/Berlin", "2026-03-29T00:59Z", "2026-03-29T01:59:00+01:00"),
            ("Europe/Berlin", "2026-03-29T01:00Z", "2026-03-29T03:00:00+02:00"),
            ("Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T02:30:00+02:00"),
            ("Europe/Berlin", "2026-10-25T01:30Z", "2026-10-25T02:30:00+01:00"),
            ("America/New_York", "2026-03-08T07:00Z", "2026-03-08T03:00:00-04:00"),
            ("Australia/Lord_Howe", "2026-04-04T14:59Z", "2026-04-05T01:59:00+11:00"),
            ("Australia/Lord_Howe", "2026-04-04T15:00Z", "2026-04-05T01:30:00+10:30"),
            ("Asia/Kolkata", "2026-06-01T03:32Z", "2026-06-01T09:02:00+05:30"),
            ("Pacific/Chatham", "2026-06-01T12:00Z", "2026-06-02T00:45:00+12:45"),
        ],
    )  # fmt: skip
    def test_it_is_the_sites_with_its_offset(self, zone: str, utc: str, local: str) -> None:
        at = datetime.fromisoformat(utc)
        made = door(time_zone=zone).walk_up(at).punch
        assert made is not None
        made.refresh_from_db()
        assert made.at == at
        assert made.local_at.isoformat() == local

    def test_a_punch_keeps_the_zone_it_was_made_in(self) -> None:
        entrance = door(time_zone="Europe/Berlin")
        made = entrance.walk_up(START).punch
        assert made is not None
        entrance.site.time_zone = "Asia/Tokyo"
        entrance.site.save()
        made.refresh_from_db()
        assert made.local_at.tzinfo == zoneinfo.ZoneInfo("Europe/Berlin")

    @pytest.mark.parametrize(
        "evening",
        [datetime(2026, 3, 28, 21, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)],
        ids=["clock goes forward", "clock goes back"],
    )
    def test_a_night_shift_over_a_change_of_clock_has_the_hours_that_passed(
        self, evening: datetime
    ) -> None:
        shift = timedelta(hours=8)
        entrance = door(time_zone="Europe/Berlin")
        begun = entrance.walk_up(evening).punch
        ended = entrance.walk_up(evening + shift).punch
        assert begun is not None
        assert ended is not None
        assert (begun.direction, ended.direction) == ("IN", "OUT")
        assert (ended.at - begun.at) == shift
        walls = ended.local_at.replace(tzinfo=None) - begun.local_at.replace(tzinfo=None)
        assert abs(walls - shift) == timedelta(hours=1)
