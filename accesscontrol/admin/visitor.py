"""Unknown visitors: a page for each site instead of a list of rows."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern

from accesscontrol.admin import visitor_views
from accesscontrol.admin.base import ReadOnlyAdmin
from accesscontrol.models import Visitor


@admin.register(Visitor)
class VisitorAdmin(ReadOnlyAdmin[Visitor]):
    """Only its own pages: no row is opened, changed or deleted but by what they offer."""

    def get_urls(self) -> list[URLPattern]:
        return visitor_views.urls(self.admin_site)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)
