"""Calendar days as a site's own clock shows them, in UTC: on a daylight-saving night a day has 23,
25 or (Lord Howe) 23½ or 24½ hours, so bounds are computed with the zone, never by adding 24 h."""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q
from django.utils import timezone

from accesscontrol.models import Site


def bounds(zone: zoneinfo.ZoneInfo, first: date, last: date) -> tuple[datetime, datetime]:
    """The days `first` to `last`, both inclusive: from the first instant to the first one after.

    Where the clock jumps over midnight the day begins at the jump; where it shows midnight
    twice, at the first.
    """
    return _start(zone, first), _start(zone, last + timedelta(days=1))


def _start(zone: zoneinfo.ZoneInfo, day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def today(site: Site) -> date:
    """The date that the site's own clock shows now."""
    return timezone.now().astimezone(site.zone).date()


def within(field: str, first: date | None, last: date | None) -> Q:
    """Rows with a `site` whose `field` lies in these days on that site's own clock."""
    sites_of: dict[str, list[int]] = defaultdict(list)
    for pk, name in Site.objects.values_list("pk", "time_zone"):
        sites_of[name].append(pk)
    condition = Q(pk__in=[])
    for name, pks in sites_of.items():
        zone = zoneinfo.ZoneInfo(name)
        part = Q(site__in=pks)
        if first:
            part &= Q(**{f"{field}__gte": _start(zone, first)})
        if last:
            part &= Q(**{f"{field}__lt": _start(zone, last + timedelta(days=1))})
        condition |= part
    return condition
