"""The page of a site's unknown visitors, and what can be done there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accesscontrol import visitors
from accesscontrol.admin.base import (
    acting_user,
    clock_cell,
    require_permission,
    visible_rows,
)
from accesscontrol.admin.confirmation import Confirmation
from accesscontrol.admin.hours_plot import plot
from accesscontrol.admin.visitor_forms import PeopleForm, SwitchOnForm
from accesscontrol.models import Employee, Site, Visitor, VisitorPolicy
from accesscontrol.visitor_list import VisitorLine, visitors_of
from accesscontrol.visitors import VisitorError


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Routes of the visitors' part of the admin; each view checks its own permissions."""
    routes: tuple[tuple[str, Callable[..., HttpResponse], str], ...] = (
        ("", show_visitors, "changelist"),
        ("site/<int:pk>/on/", switch_on, "on"),
        ("site/<int:pk>/off/", switch_off, "off"),
        ("site/<int:pk>/people/", group_into, "people"),
        ("<int:pk>/dismiss/", dismiss, "dismiss"),
        ("<int:pk>/enrol/", enrol, "enrol"),
    )
    return [
        path(route, site.admin_view(view), name=f"accesscontrol_visitor_{name}")
        for route, view, name in routes
    ]


@require_GET
@never_cache
def show_visitors(request: HttpRequest) -> HttpResponse:
    """One site's unknown visitors; the first active site unless `site` names another."""
    require_permission(request, "view_site", "view_visitor")
    sites = list(_sites(request).filter(is_active=True))
    wanted = request.GET.get("site", "")
    site = next((s for s in sites if str(s.pk) == wanted), sites[0] if sites else None)
    policy = visitors.policy_of(site) if site else None
    user = acting_user(request)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Unknown visitors"),
        "sites": sites,
        "site_row": site,
        "policy": policy,
        "may": {
            "switch_on": user.has_perm("accesscontrol.add_visitorpolicy"),
            "change": user.has_perm("accesscontrol.change_visitorpolicy"),
            "switch_off": user.has_perm("accesscontrol.delete_visitorpolicy"),
            "dismiss": user.has_perm("accesscontrol.delete_visitor"),
            "enrol": user.has_perm("accesscontrol.add_employee"),
        },
    }
    if policy:
        context |= _kept(request, policy)
    return TemplateResponse(request, "admin/accesscontrol/visitor/visitors.html", context)


def _kept(request: HttpRequest, policy: VisitorPolicy) -> dict[str, Any]:
    found = visitors_of(policy, visible_rows(request, Employee.objects.all()))
    return {
        "found": found,
        "rows": [_row(line, policy.site) for line in found.lines],
        "since": clock_cell(policy.site.time_zone, policy.switched_on_at),
        "people_form": PeopleForm(initial={"people": policy.people}),
    }


def _row(line: VisitorLine, site: Site) -> dict[str, Any]:
    """What the template shows of a visitor, times on the site's clock."""
    first = line.first.astimezone(site.zone)
    counted = ngettext("%(n)d visit", "%(n)d visits", line.visits) % {"n": line.visits}
    return {
        "line": line,
        "summary": _("%(visits)s since %(day)s")
        % {"visits": counted, "day": f"{first:%A, %Y-%m-%d}"},
        "first": f"{first:%Y-%m-%d %H:%M}",
        "last": f"{line.last.astimezone(site.zone):%Y-%m-%d %H:%M}",
        "forgotten": f"{line.forgotten.astimezone(site.zone):%Y-%m-%d %H:%M}",
        "hours": plot(line.hours),
    }


@require_http_methods(["GET", "POST"])
def switch_on(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep unknown visitors at a site, or for another number of days."""
    require_permission(request, "view_site", "view_visitor")
    site = get_object_or_404(_sites(request), pk=pk)
    policy = visitors.policy_of(site)
    needed = "change_visitorpolicy" if policy else "add_visitorpolicy"
    require_permission(request, needed)
    known = {"retention_days": policy.retention_days, "purpose": policy.purpose} if policy else None
    form = SwitchOnForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        try:
            visitors.switch_on(
                site,
                retention_days=form.cleaned_data["retention_days"],
                purpose=form.cleaned_data["purpose"],
                by=acting_user(request),
            )
        except VisitorError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, _("It is recorded, with your name."))
            return redirect(_page(site))
    return Confirmation(
        title=_("Unknown visitors"),
        question=_("Keep the faces of unknown visitors at %(site)s?") % {"site": site},
        consequences=_meaning(),
        button=_("Change") if policy else _("Switch on"),
        back=_page(site),
        danger=policy is None,
        form=form,
    ).response(request)


def _meaning() -> tuple[str, ...]:
    """What whoever switches it on has to know."""
    return (
        _("Of each person who is refused because nobody enrolled looks like them, a face "
          "vector is kept for the days below: numbers, encoded with this installation's "
          "secret. No picture is kept."),
        _("This is biometric data of people who have not consented. In many countries it is "
          "forbidden or tightly bound (in the EU: GDPR, article 9). Ask before you switch it "
          "on; without a clear purpose leave it off."),
        _("Former employees who withdrew consent cannot be told from strangers: nothing of "
          "them is kept to tell them by. They will be among the visitors if they come."),
        _("Visits go by themselves after these days, when the person is enrolled, and when "
          "the face model changes. Switching off deletes all of them at once."),
    )  # fmt: skip


@require_http_methods(["GET", "POST"])
def switch_off(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, "view_site", "view_visitor", "delete_visitorpolicy")
    site = get_object_or_404(_sites(request), pk=pk)
    if request.method == "POST":
        count = visitors.switch_off(site, by=acting_user(request))
        text = ngettext("Off. %(n)d visit was deleted.", "Off. %(n)d visits were deleted.", count)
        messages.success(request, text % {"n": count})
        return redirect(_page(site))
    return Confirmation(
        title=_("Unknown visitors"),
        question=_("Keep no unknown visitors at %(site)s any more?") % {"site": site},
        consequences=(
            _("Every visit and every visitor kept at this site is deleted now, for good."),
            _("Decisions stay: that somebody was refused, when and where."),
        ),
        button=_("Switch off and delete"),
        back=_page(site),
    ).response(request)


@require_POST
def group_into(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, "view_site", "view_visitor", "change_visitorpolicy")
    site = get_object_or_404(_sites(request), pk=pk)
    form = PeopleForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(map(str, form.errors["people"])))
        return redirect(_page(site))
    try:
        visitors.group_into(site, form.cleaned_data["people"], by=acting_user(request))
    except VisitorError as error:
        messages.error(request, str(error))
    else:
        messages.info(request, _("A worker groups them anew: look again in a minute."))
    return redirect(_page(site))


@require_http_methods(["GET", "POST"])
def dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, "view_site", "view_visitor", "delete_visitor")
    visitor = _visitor(request, pk)
    back = _page(visitor.policy.site)
    if request.method == "POST":
        visitors.dismiss(visitor, by=acting_user(request))
        messages.success(request, _("%(visitor)s is forgotten.") % {"visitor": visitor})
        return redirect(back)
    return Confirmation(
        title=_("Dismiss"),
        question=_("Forget %(visitor)s?") % {"visitor": visitor},
        consequences=(
            _("All of their visits and face vectors are deleted now."),
            _("Nothing is kept to know them by: if they come again, they are counted as a new "
              "unknown visitor, from one."),
            _("Decisions stay: that somebody was refused, when and where."),
        ),
        button=_("Forget"),
        back=back,
    ).response(request)  # fmt: skip


@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, "view_site", "view_visitor", "add_employee")
    visitor = _visitor(request, pk)
    site = visitor.policy.site
    if request.method == "POST":
        visitors.begin_enrolment(visitor, by=acting_user(request))
        query = urlencode({"site": site.pk})
        return redirect(f"{reverse('admin:accesscontrol_employee_add')}?{query}")
    return Confirmation(
        title=_("Enrol"),
        question=_("Enrol %(visitor)s as an employee?") % {"visitor": visitor},
        consequences=(
            _("Speak with the person first: they are enrolled only with their consent, and with "
              "photos taken for it. Nothing of what was kept here becomes a template."),
            _("You go on to the form for a new employee of this site. If they are enrolled "
              "already, open their page instead and add a better photo."),
            _("When a photo of them is accepted, the visits that it matches are deleted by "
              "themselves."),
        ),
        button=_("Go on to the form"),
        back=_page(site),
        danger=False,
    ).response(request)  # fmt: skip


def _sites(request: HttpRequest) -> Any:
    return visible_rows(request, Site.objects.all())


def _visitor(request: HttpRequest, pk: int) -> Visitor:
    rows = Visitor.objects.select_related("policy__site").filter(policy__site__in=_sites(request))
    return get_object_or_404(rows, pk=pk)


def _page(site: Site) -> str:
    return f"{reverse('admin:accesscontrol_visitor_changelist')}?{urlencode({'site': site.pk})}"
