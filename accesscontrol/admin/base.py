"""What the admin's modules share: typed base classes, coloured labels, times on a site's clock."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html

from accesscontrol.models import User

if TYPE_CHECKING:
    DomainAdmin = admin.ModelAdmin
else:
    from unfold.admin import ModelAdmin

    class DomainAdmin(ModelAdmin):
        """Unfold's ModelAdmin, which a type checker knows as Django's."""

        compressed_fields = False

        def __class_getitem__(cls, _model: object) -> type[DomainAdmin]:
            return cls


Row = TypeVar("Row", bound=models.Model)
Column = TypeVar("Column", bound=Callable[..., Any])


class ReadOnlyAdmin(DomainAdmin[Row]):
    """Rows that are written elsewhere: they can be looked at, whatever permissions say."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Row | None = None) -> bool:
        return False


def label(
    colours: Mapping[str, str], *, description: Any, ordering: str | None = None
) -> Callable[[Column], Column]:
    """Show a column as coloured labels; it returns (key of `colours`, text)."""

    def decorate(column: Column) -> Column:
        admin.display(description=description, ordering=ordering)(column)
        column.label = dict(colours)  # type: ignore[attr-defined]  # read by unfold
        return column

    return decorate


def acting_user(request: HttpRequest) -> User:
    """The login behind a request that `admin_view` let in."""
    return cast(User, request.user)


def require_permission(request: HttpRequest, *names: str) -> None:
    """Raise PermissionDenied unless the user has these permissions of ours."""
    if not acting_user(request).has_perms([f"accesscontrol.{name}" for name in names]):
        raise PermissionDenied


def visible_rows(request: HttpRequest, rows: models.QuerySet[Row]) -> models.QuerySet[Row]:
    """Those of the rows that the user may see: as their own list in the admin decides."""
    registered = admin.site.get_model_admin(rows.model)
    if not registered.has_view_permission(request):
        return rows.none()
    return rows.filter(pk__in=registered.get_queryset(request).values("pk"))


def clock_cell(zone: str, at: datetime | None) -> str:
    """The same for a table: on one line, the offset quieter."""
    date_and_time, _, offset = on_the_clock_of(zone, at).rpartition(" ")
    if not offset.startswith("UTC"):
        return offset
    return format_html(
        '<span class="gh-time">{} <span class="gh-quiet">{}</span></span>', date_and_time, offset
    )


def on_the_clock_of(zone: str, at: datetime | None) -> str:
    """2026-11-22 14:57:09 UTC+01:00, or a dash."""
    if at is None:
        return "–"  # noqa: RUF001  a typographic dash for readers
    local = at.astimezone(zoneinfo.ZoneInfo(zone))
    text = local.isoformat(sep=" ", timespec="seconds")
    return f"{text[:19]} UTC{text[19:]}"
