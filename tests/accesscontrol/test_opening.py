"""When people may enter: a site's days and hours, on its own clock."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from accesscontrol.admission import Denial
from accesscontrol.models import Outcome, Site
from accesscontrol.opening import is_open
from tests.constraints import refused
from tests.factories import SiteFactory
from tests.presentations import door

WORKDAYS = "12345"


def site(
    days: str = WORKDAYS, opens: str = "07:00", closes: str = "19:00", zone: str = "Europe/Berlin"
) -> Site:
    return Site(
        time_zone=zone,
        open_days=days,
        opens_at=time.fromisoformat(opens) if opens else None,
        closes_at=time.fromisoformat(closes) if closes else None,
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestIsOpen:
    def test_a_site_without_hours_is_always_open(self) -> None:
        always = Site(time_zone="Asia/Kolkata")
        assert all(is_open(always, utc("2026-11-22") + timedelta(hours=h)) for h in range(168))

    @pytest.mark.parametrize(
        ("at", "expected"),
        [
            ("2026-11-23 05:59:59", False),  # Monday, 06:59:59 in Berlin
            ("2026-11-23 06:00:00", True),
            ("2026-11-23 17:59:59", True),
            ("2026-11-23 18:00:00", False),
            ("2026-11-22 12:00:00", False),  # Sunday
            ("2026-07-20 05:00:00", True),  # summer time
        ],
    )
    def test_by_the_clock_on_the_sites_wall(self, at: str, *, expected: bool) -> None:
        assert is_open(site(), utc(at)) is expected

    def test_the_day_is_the_sites_not_that_of_utc(self) -> None:
        auckland = site(opens="", closes="", zone="Pacific/Auckland")
        assert is_open(auckland, utc("2026-11-22 12:00")), "Monday there"
        assert not is_open(auckland, utc("2026-11-27 12:00")), "Saturday there"

    @pytest.mark.parametrize(
        ("at", "expected"),
        [
            ("2026-11-27 20:59", False),  # Friday, 21:59 in Berlin
            ("2026-11-27 21:00", True),
            ("2026-11-28 04:59", True),  # Saturday morning: of Friday's night
            ("2026-11-28 05:00", False),
            ("2026-11-28 21:30", False),
            ("2026-11-23 04:00", False),  # Monday morning: Sunday's night is none
        ],
    )
    def test_a_night_is_of_the_day_on_which_it_begins(self, at: str, *, expected: bool) -> None:
        assert is_open(site(opens="22:00", closes="06:00"), utc(at)) is expected

    def test_the_hour_that_is_there_twice_counts_twice(self) -> None:
        night = site("1234567", "02:00", "03:00")
        open_minutes = [
            minute
            for minute in range(24 * 60)
            if is_open(night, utc("2026-10-24 22:00") + timedelta(minutes=minute))
        ]
        assert len(open_minutes) == 120

    def test_the_hour_that_is_skipped_is_none(self) -> None:
        night = site("1234567", "02:00", "03:00")
        start = utc("2026-03-28 23:00")
        assert not any(is_open(night, start + timedelta(minutes=m)) for m in range(24 * 60))


@pytest.mark.django_db
class TestRows:
    @pytest.mark.parametrize("days", ["", "8", "21", "11", "x"])
    def test_days_are_weekdays_in_order_each_once(self, days: str) -> None:
        with refused("site_open_days"):
            SiteFactory.create(open_days=days)

    @pytest.mark.parametrize(
        ("opens", "closes"), [(time(7), None), (None, time(7)), (time(7), time(7))]
    )
    def test_hours_have_two_ends(self, opens: time | None, closes: time | None) -> None:
        with refused("site_hours_have_two_ends"):
            SiteFactory.create(opens_at=opens, closes_at=closes)


@pytest.mark.django_db
class TestAtTheDoor:
    CLOSED: dict[str, Any] = {"opens_at": time(7), "closes_at": time(8), "time_zone": "UTC"}
    NOON = utc("2026-11-23 12:00")

    def test_outside_the_hours_nobody_is_let_in(self) -> None:
        recorded = door(**self.CLOSED).walk_up(self.NOON)
        assert recorded.decision.outcome == Outcome.NOT_ALLOWED
        assert recorded.decision.evidence["denied"] == Denial.HOURS
        assert recorded.punch is None

    def test_within_the_hours_they_are(self) -> None:
        recorded = door(**self.CLOSED).walk_up(utc("2026-11-23 07:30"))
        assert recorded.decision.outcome == Outcome.ACCEPTED
        assert recorded.decision.evidence["denied"] is None

    def test_whoever_is_inside_can_leave_at_any_time(self) -> None:
        entrance = door(**self.CLOSED)
        assert entrance.walk_up(utc("2026-11-23 07:30")).punch is not None
        leaving = entrance.walk_up(self.NOON)
        assert leaving.punch is not None
        assert leaving.punch.direction == "OUT"
        assert entrance.walk_up(self.NOON + timedelta(hours=1)).punch is None, "and not come back"

    def test_an_exit_knows_no_hours(self) -> None:
        recorded = door(direction="OUT", **self.CLOSED).walk_up(self.NOON)
        assert recorded.punch is not None
