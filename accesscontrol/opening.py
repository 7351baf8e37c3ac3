"""When people may enter a site, on the site's own clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from accesscontrol.models import Site


def is_open(site: Site, at: datetime) -> bool:
    """Whether people may enter at this moment (UTC). Without hours a day of the site is whole.

    Hours that end earlier than they begin go on over midnight and are of the day on which they
    begin. The clock is the one on the wall: in the night that it is put back an hour of it is
    there twice, and both count.
    """
    local = at.astimezone(site.zone)
    today, yesterday = (local - timedelta(days=days) for days in (0, 1))
    if site.opens_at is None or site.closes_at is None:
        return _is_open_day(site, today)
    time = local.time()
    if site.opens_at < site.closes_at:
        return _is_open_day(site, today) and site.opens_at <= time < site.closes_at
    if time >= site.opens_at:
        return _is_open_day(site, today)
    return _is_open_day(site, yesterday) and time < site.closes_at


def _is_open_day(site: Site, day: datetime) -> bool:
    return str(day.isoweekday()) in site.open_days
