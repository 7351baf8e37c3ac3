"""Filters of several lists."""

# mypy: allow-subclassing-any
from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str

from accesscontrol import site_days


class SiteDayFilter(RangeDateFilter):
    """From and to, both inclusive, as days on the clock of each row's own site."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.title = _("day, on the site's clock")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first = parse_date_str(self.used_parameters.get(f"{self.field_path}_from") or "")
        last = parse_date_str(self.used_parameters.get(f"{self.field_path}_to") or "")
        if not (first or last):
            return queryset
        return queryset.filter(site_days.within(self.field_path, first, last))
