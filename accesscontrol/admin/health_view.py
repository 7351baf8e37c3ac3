"""The page of a gallery's health: proposals for re-enrolment, look-alikes, people never seen."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accesscontrol.admin.base import require_permission, visible_rows
from accesscontrol.gallery_health import LOOK_BACK, SETTLED_IN, gallery_health
from accesscontrol.models import Employee, Site


@require_GET
@never_cache
def show_gallery_health(request: HttpRequest) -> HttpResponse:
    """One site's gallery; the first active one unless `site` names another."""
    require_permission(request, "view_employee", "view_decision")
    sites = list(Site.objects.filter(is_active=True))
    wanted = request.GET.get("site", "")
    site = next((s for s in sites if str(s.pk) == wanted), sites[0] if sites else None)
    visible = visible_rows(request, Employee.objects.all())
    context = {
        **admin.site.each_context(request),
        "title": _("Gallery health"),
        "sites": sites,
        "site": site,
        "health": gallery_health(site, visible) if site else None,
        "look_back": LOOK_BACK.days,
        "settled_in": SETTLED_IN.days,
    }
    return TemplateResponse(request, "admin/accesscontrol/employee/health.html", context)
