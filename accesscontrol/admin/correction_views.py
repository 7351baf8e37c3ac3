"""HR's word on a decision: "this was not me", "this was Asha"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accesscontrol import corrections
from accesscontrol.admin.base import acting_user, require_permission, visible_rows
from accesscontrol.admin.confirmation import Confirmation
from accesscontrol.corrections import REASON_MAX, CorrectionError, Marked
from accesscontrol.models import CandidateScore, Decision, Direction, Employee, Punch

MOST_FOUND = 20
SEARCH_LENGTH = 100


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Routes below the decisions' part of the admin; each view checks its own permission."""
    view = site.admin_view
    return [
        path("<int:pk>/not-me/", view(not_me), name="accesscontrol_decision_not_me"),
        path("<int:pk>/was/", view(was), name="accesscontrol_decision_was"),
    ]


class ReasonForm(forms.Form):
    """How HR knows; `after` is the correction that held when the page was made."""

    reason = forms.CharField(
        label=gettext_lazy("How do you know?"),
        max_length=REASON_MAX,
        help_text=gettext_lazy("Kept with the correction, for whoever asks later."),
        widget=UnfoldAdminTextInputWidget,
    )
    after = forms.IntegerField(required=False, widget=forms.HiddenInput)


class PersonForm(ReasonForm):
    """Whom it was, of the people that the user may see."""

    employee = forms.ChoiceField(
        label=gettext_lazy("Who was it?"), widget=UnfoldAdminRadioSelectWidget
    )
    direction = forms.ChoiceField(
        label=gettext_lazy("Direction of the punch"),
        required=False,
        choices=[("", gettext_lazy("as the kiosk would have punched")), *Direction.choices],
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ("employee", "direction", "reason", "after")

    def __init__(self, people: Sequence[Employee], *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        field = self.fields["employee"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  declared above
        field.choices = [(str(person.pk), str(person)) for person in people]


@dataclass(frozen=True, slots=True)
class PersonConfirmation(Confirmation):
    """With a search for people who were not among the nearest."""

    search: str = ""
    found: int = 0


@require_http_methods(["GET", "POST"])
def not_me(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, "view_decision", "view_employee", "add_correction")
    decision = _decision(request, pk)
    form = ReasonForm(request.POST or None, initial=_initial(decision))
    if request.method == "POST" and form.is_valid():
        marked = Marked(None, form.cleaned_data["reason"], after=form.cleaned_data["after"])
        if _correct(request, decision, marked, form):
            return redirect(_page(pk))
    punch = corrections.standing_punch(decision)
    wrong = punch.employee if punch else decision.employee
    return Confirmation(
        title=_("Somebody else"),
        question=_("Was this not %(person)s?") % {"person": wrong} if wrong else _("Not them?"),
        consequences=(
            *_cancelled(punch),
            _("If you know who it was, choose “Say who it was…” instead: it adds their punch."),
            _("The decision itself stays as it is, with who corrected it, when and why beside it."),
        ),
        button=_("It was somebody else"),
        back=_page(pk),
        form=form,
    ).response(request)


@require_http_methods(["GET", "POST"])
def was(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, "view_decision", "view_employee", "add_correction")
    decision = _decision(request, pk)
    search = request.GET.get("q", "").strip()[:SEARCH_LENGTH]
    visible = visible_rows(request, Employee.objects.admitted_to(decision.site_id))
    found = _search(visible, search)
    people = _offered(decision, visible, [*found, *_posted(request, visible)])
    only = {"employee": str(found[0].pk)} if len(found) == 1 else {}
    form = PersonForm(people, request.POST or None, initial=_initial(decision) | only)
    if request.method == "POST" and form.is_valid():
        chosen = next(p for p in people if str(p.pk) == form.cleaned_data["employee"])
        way = form.cleaned_data["direction"]
        marked = Marked(
            chosen,
            form.cleaned_data["reason"],
            Direction(way) if way else None,
            form.cleaned_data["after"],
        )
        if _correct(request, decision, marked, form):
            return redirect(_page(pk))
    return PersonConfirmation(
        title=_("Who was it?"),
        question=_("Say who this was"),
        consequences=(
            *_cancelled(corrections.standing_punch(decision)),
            _("A punch of the person is added at the time of this decision, marked as a "
              "correction; not if they have another one within the site's cool-down."),
            _("Later punches keep their direction: look at the person's day afterwards."),
            _("No template is changed by this: enrol a new photo if it happens again."),
        ),
        button=_("It was this person"),
        back=_page(pk),
        danger=False,
        form=form,
        template="admin/accesscontrol/decision/was.html",
        search=search,
        found=len(found),
    ).response(request)  # fmt: skip


def _decision(request: HttpRequest, pk: int) -> Decision:
    rows = visible_rows(request, Decision.objects.select_related("site", "employee"))
    return get_object_or_404(rows, pk=pk)


def _initial(decision: Decision) -> dict[str, Any]:
    held = corrections.holding(decision)
    return {"after": held.pk if held else None}


def _cancelled(punch: Punch | None) -> tuple[str, ...]:
    if punch is None:
        return (_("There is no punch to cancel."),)
    text = _("The punch of %(who)s, %(way)s at %(at)s, is cancelled: it stays in the log, "
             "marked so, and leaves the export.")  # fmt: skip
    at = f"{punch.local_at:%Y-%m-%d %H:%M:%S}"
    return (text % {"who": punch.employee, "way": punch.direction, "at": at},)


def _correct(request: HttpRequest, decision: Decision, marked: Marked, form: forms.Form) -> bool:
    try:
        corrections.correct_punch(decision, marked, by=acting_user(request))
    except CorrectionError as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, _("The correction is recorded."))
    return True


def _search(visible: QuerySet[Employee], search: str) -> list[Employee]:
    if not search:
        return []
    matching = Q(name__icontains=search) | Q(number__iexact=search)
    return list(visible.filter(matching).order_by("name", "number")[:MOST_FOUND])


def _posted(request: HttpRequest, visible: QuerySet[Employee]) -> list[Employee]:
    chosen = request.POST.get("employee", "")
    return list(visible.filter(pk=chosen)) if chosen.isdecimal() and len(chosen) < 19 else []


def _offered(
    decision: Decision, visible: QuerySet[Employee], more: Sequence[Employee]
) -> list[Employee]:
    """Who was found or chosen, then who was near, best first, each once."""
    scores = CandidateScore.objects.filter(decision=decision, employee__isnull=False)
    near = [pk for pk in scores.values_list("employee_id", flat=True) if pk is not None]
    if not near and decision.nearest_id is not None:
        near = [decision.nearest_id]
    seen = visible.in_bulk(near)
    offered = {person.pk: person for person in more}
    offered |= {pk: seen[pk] for pk in near if pk in seen and pk not in offered}
    return list(offered.values())


def _page(pk: int) -> str:
    return reverse("admin:accesscontrol_decision_change", args=[pk])
