"""A site's threshold: its budget, what it costs, the replay, and the detection of pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accesscontrol import budgets, model_versions, notify, pad, sites, thresholds
from accesscontrol.admin import pad_words
from accesscontrol.admin.base import acting_user, require_permission
from accesscontrol.admin.score_plot import Mark, plot
from accesscontrol.admin.threshold_forms import BudgetForm, OwnForm, PadForm, ReasonForm
from accesscontrol.admin.threshold_words import budget_words, cost_rows, survey_words
from accesscontrol.budgets import Budget, Ground, Plan
from accesscontrol.models import ModelVersion, Site, Threshold
from accesscontrol.replay import Replay, replay
from accesscontrol.score_tail import TailError
from accesscontrol.thresholds import ThresholdError

TEMPLATE = "admin/accesscontrol/site/threshold.html"
SAME = 5e-5
"""Thresholds are shown with four digits."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the address asks to be shown before it comes into force."""

    value: float
    margin: float
    budget: Budget
    plan: Plan | None
    """None where a person chose the threshold."""


@never_cache
@require_http_methods(["GET", "POST"])
def threshold_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show, preview by GET, put into force by POST; the preview's address says what it is of."""
    require_permission(request, "view_site", "view_threshold")
    site = get_object_or_404(Site, pk=pk)
    if request.method == "GET":
        return _page(request, site)
    match request.POST.get("action"):
        case "pad":
            return _save_pad(request, site)
        case "survey":
            require_permission(request, "add_threshold")
            notify.wake_survey()
            messages.info(request, _("A worker has been told to survey the gallery."))
            return redirect(page_of(site))
        case _:
            return _put(request, site)


def page_of(site: Site) -> str:
    """The address of a site's threshold page."""
    return reverse("admin:accesscontrol_site_threshold", args=[site.pk])


def _save_pad(request: HttpRequest, site: Site) -> HttpResponse:
    require_permission(request, "change_site")
    form = PadForm(request.POST, instance=site)
    if form.is_valid():
        sites.save_site(form.save(commit=False), acting_user(request))
        messages.success(request, _("The detection of pictures is saved."))
        return redirect(page_of(site))
    return _page(request, site, pad_form=form)


def _put(request: HttpRequest, site: Site) -> HttpResponse:
    """Put what the address proposes into force, if it still is what the page showed."""
    require_permission(request, "add_threshold")
    version, reason = model_versions.active(), ReasonForm(request.POST)
    if version is None or not reason.is_valid():
        return _page(request, site, reason=reason)
    try:
        known = budgets.ground(site, version)
        proposal, _forms = _proposal(request, known)
        if proposal is None:
            return _page(request, site, reason=reason)
        if abs(proposal.value - reason.cleaned_data["shown"]) > SAME:
            messages.warning(
                request, _("Gallery or decisions have changed meanwhile: look once more.")
            )
            return redirect(request.get_full_path())
        _append(known, proposal, reason.cleaned_data["reason"], request)
    except (TailError, ThresholdError) as error:
        messages.error(request, str(error))
        return redirect(request.get_full_path())
    messages.success(request, _("The threshold %.4f is in force.") % proposal.value)
    return redirect(page_of(site))


def _append(known: Ground, proposal: Proposal, reason: str, request: HttpRequest) -> None:
    user = acting_user(request)
    if proposal.plan:
        budgets.put_into_force(known, proposal.plan, margin=proposal.margin, reason=reason, by=user)
        return
    budgets.put_own(
        known,
        proposal.value,
        budget=proposal.budget,
        margin=proposal.margin,
        reason=reason,
        by=user,
    )


def _page(
    request: HttpRequest,
    site: Site,
    reason: ReasonForm | None = None,
    pad_form: PadForm | None = None,
) -> HttpResponse:
    user, version = acting_user(request), model_versions.active()
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Threshold of %(site)s") % {"site": site},
        "site_row": site,
        "back": reverse("admin:accesscontrol_site_change", args=[site.pk]),
        "page": page_of(site),
        "may_set": user.has_perm("accesscontrol.add_threshold"),
        "may_see_decisions": user.has_perm("accesscontrol.view_decision"),
        "may_see_people": user.has_perm("accesscontrol.view_employee"),
        "pad_form": pad_form or PadForm(instance=site),
        "pad_rows": pad_words.rows(),
        "pad_missing": "" if pad.is_installed() else pad.INSTALL,
        "may_change_site": user.has_perm("accesscontrol.change_site"),
        "threshold_history": Threshold.objects.filter(site=site).select_related(
            "model_version", "set_by"
        )[:50],
    }
    if version is None:
        context["trouble"] = _("No face model has been registered yet: start a worker first.")
    else:
        context |= _known_context(request, site, version, reason)
    return TemplateResponse(request, TEMPLATE, context)


def _known_context(
    request: HttpRequest, site: Site, version: ModelVersion, reason: ReasonForm | None
) -> dict[str, Any]:
    try:
        known = budgets.ground(site, version)
    except TailError as error:
        return {"trouble": str(error)}
    row = thresholds.in_force(site.pk, version.pk)
    trouble = ""
    try:
        proposal, forms = _proposal(request, known)
    except ThresholdError as error:
        (proposal, forms), trouble = (None, _forms_of(request, known)), str(error)
    asked = proposal.budget if proposal else _budget_now(known)
    marks = [Mark(row.value, _("in force"), "gh-now")] if row else []
    if proposal:
        marks.append(Mark(proposal.value, _("proposed"), "gh-new"))
    columns = [known.cost(mark.value, asked) for mark in marks]
    return {
        "trouble": trouble,
        "in_force": row,
        "meaning": thresholds.meaning(version, row.value, known.people) if row else "",
        "survey": survey_words(known.state),
        "can_survey": not known.state.running,
        "plot": plot(known, marks),
        "marks": marks,
        "costs": cost_rows(columns, known),
        "budget_words": budget_words(asked, known),
        "budget_form": forms[0],
        "own_form": forms[1],
        "proposal": proposal,
        "solved_anew": None if proposal or row is None else _solved_anew(known, row),
        "replay": _replay(site, version, proposal) if proposal else None,
        "reason_form": reason
        or (ReasonForm(initial={"shown": proposal.value}) if proposal else None),
    }


def _solved_anew(known: Ground, row: Threshold) -> dict[str, Any] | None:
    """What the budget kept asks for now, where that is another threshold, and its address."""
    if budgets.kept_budget(known.site, known.version) is None:
        return None
    budget = _budget_now(known)
    try:
        plan = budgets.solve(known, budget)
    except ThresholdError as error:
        return {"trouble": str(error)}
    if abs(plan.threshold - row.value) < budgets.RAISE_FROM:
        return None
    asked = {**asdict(budget), "margin": row.margin}
    return {"value": plan.threshold, "address": f"{page_of(known.site)}?{urlencode(asked)}"}


def _replay(site: Site, version: ModelVersion, proposal: Proposal) -> Replay:
    return replay(
        site.pk,
        version.pk,
        threshold=proposal.value,
        margin=proposal.margin,
        until=timezone.now(),
    )


def _proposal(
    request: HttpRequest, known: Ground
) -> tuple[Proposal | None, tuple[BudgetForm, OwnForm]]:
    """What the address asks for, or None, with the forms. Raises ThresholdError."""
    forms = _forms_of(request, known)
    budget_form, own_form = forms
    if budget_form.is_bound and budget_form.is_valid():
        budget = budget_form.budget
        plan = budgets.solve(known, budget)
        margin = budget_form.cleaned_data["margin"]
        thresholds.check(plan.threshold, margin)
        return Proposal(plan.threshold, margin, budget, plan), forms
    if own_form.is_bound and own_form.is_valid():
        value, margin = own_form.cleaned_data["threshold"], own_form.cleaned_data["margin"]
        thresholds.check_for_door(known.version, value)
        return Proposal(value, margin, _budget_now(known), None), forms
    return None, forms


def _forms_of(request: HttpRequest, known: Ground) -> tuple[BudgetForm, OwnForm]:
    """Both forms, that one bound whose fields the address has."""
    row = thresholds.in_force(known.site.pk, known.version.pk)
    margin = row.margin if row else thresholds.default_margin(known.version)
    asked = _budget_now(known)
    budget_form = BudgetForm(
        request.GET if "wrong_a_year" in request.GET else None,
        initial={
            "wrong_a_year": f"{asked.wrong_a_year:g}",
            "walk_ups": asked.walk_ups,
            "strangers": f"{asked.strangers:g}",
            "margin": margin,
        },
    )
    own_form = OwnForm(
        request.GET if "threshold" in request.GET else None,
        initial={"threshold": row.value if row else None, "margin": margin},
        prefix=None,
        auto_id="id_own_%s",
    )
    return budget_form, own_form


def _budget_now(known: Ground) -> Budget:
    """The budget kept, else one wrong acceptance a year, over the walk-ups as counted now."""
    kept = budgets.kept_budget(known.site, known.version)
    counted = budgets.traffic(known.site)
    if kept and not counted.enough:
        return kept
    walk_ups = budgets.walk_ups_a_year(known.site, known.people)
    return Budget(kept.wrong_a_year if kept else 1.0, walk_ups, kept.strangers if kept else 100.0)
