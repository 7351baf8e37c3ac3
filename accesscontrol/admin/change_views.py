"""The page of a model change: how far it is, what is missing, and its steps, each confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from accesscontrol import (
    change_report,
    embedding_anew,
    model_change,
    model_versions,
    shadow_decisions,
)
from accesscontrol.admin.base import acting_user, require_permission, visible_rows
from accesscontrol.admin.confirmation import Confirmation
from accesscontrol.admin.shadow_plot import plot
from accesscontrol.embedding_anew import LeftOut
from accesscontrol.model_change import ModelChangeError, State
from accesscontrol.models import Employee, ModelChange, ModelVersion, User

TEMPLATE = "admin/accesscontrol/modelversion/change.html"
SHOWN = 200
"""People listed by name; the CSV has all of them."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a change: what its confirmation says, and what it does."""

    title: Promise
    button: Promise
    consequences: tuple[Promise, ...]
    do: Callable[[User], object]
    done: Promise
    danger: bool = False


_STEPS = {
    "switch": Step(
        gettext_lazy("Switch to the new model"),
        gettext_lazy("Switch"),
        (
            gettext_lazy("From this moment on the new model recognises, at every kiosk."),
            gettext_lazy("Whoever stands before a kiosk just now is looked at anew."),
            gettext_lazy("The old model's templates are kept up to date, so you can roll back."),
        ),
        lambda user: model_change.switch(user, leave_behind=True),
        gettext_lazy("The new model recognises from now on."),
    ),
    "roll_back": Step(
        gettext_lazy("Roll back to the old model"),
        gettext_lazy("Roll back"),
        (
            gettext_lazy("From this moment on the old model recognises again, at every kiosk."),
            gettext_lazy("The new model's templates stay; you can switch again."),
        ),
        model_change.roll_back,
        gettext_lazy("The old model recognises again."),
        danger=True,
    ),
    "finish": Step(
        gettext_lazy("Finish the change"),
        gettext_lazy("Finish and delete the old templates"),
        (
            gettext_lazy("The old model's templates are deleted for good."),
            gettext_lazy("The way back is then another change, which takes as long as this one."),
        ),
        model_change.finish,
        gettext_lazy("The change is finished; the old templates are being deleted."),
        danger=True,
    ),
    "cancel": Step(
        gettext_lazy("Cancel the change"),
        gettext_lazy("Cancel and delete the new templates"),
        (
            gettext_lazy("The new model's templates are deleted; the old one goes on as before."),
            gettext_lazy("What the new model was tried on stays in the record of decisions."),
        ),
        model_change.cancel,
        gettext_lazy("The change is cancelled; the new templates are being deleted."),
        danger=True,
    ),
    "try_again": Step(
        gettext_lazy("Try the failed photos again"),
        gettext_lazy("Try again"),
        (gettext_lazy("Photos that could not be used are embedded once more."),),
        model_change.try_again,
        gettext_lazy("The photos are embedded once more."),
    ),
}


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Routes below the face models' part of the admin; each view checks its own permission."""
    view = site.admin_view
    name = "accesscontrol_modelversion_{}".format
    return [
        path("change/", view(show_change), name=name("model_change")),
        path("change/left-out.csv", view(left_out_file), name=name("left_out")),
        path("change/solve/", view(solve_thresholds), name=name("solve")),
        path("change/<slug:step>/", view(take_step), name=name("step")),
        path("<int:pk>/change-to/", view(start_change), name=name("start_change")),
    ]


def page() -> str:
    """The page's address."""
    return reverse("admin:accesscontrol_modelversion_model_change")


@never_cache
@require_GET
def show_change(request: HttpRequest) -> HttpResponse:
    """The open change, or the models that one could be started to."""
    require_permission(request, "view_modelchange")
    user = acting_user(request)
    change = model_change.current()
    active = model_versions.active()
    context = {
        **admin.site.each_context(request),
        "title": _("Change of the face model"),
        "active": active,
        "others": ModelVersion.objects.exclude(pk=active.pk) if active else (),
        "past": ModelChange.objects.exclude(is_open=True).select_related("old", "new")[:10],
        "may_start": user.has_perm("accesscontrol.add_modelchange"),
        "may_change": user.has_perm("accesscontrol.change_modelchange"),
        "may_see_people": user.has_perm("accesscontrol.view_employee"),
    }
    if change is not None:
        context |= _open_context(request, model_change.state(change))
    return TemplateResponse(request, TEMPLATE, context)


def _open_context(request: HttpRequest, state: State) -> dict[str, object]:
    visible = _visible(request, state.left_out)
    shadow = shadow_decisions.summary(state.change)
    return {
        "change": state.change,
        "state": state,
        "preparing": state.change.stage == ModelChange.Stage.PREPARING,
        "moving": bool(state.beside.waiting),
        "left_out": visible[:SHOWN],
        "more_left_out": max(0, len(visible) - SHOWN),
        "lacking": [site for site in state.sites if site.wants],
        "shadow": shadow,
        "agreement": [(kind.label, shadow.counts[kind]) for kind in shadow.counts],
        "plot": plot(state.change) if shadow.compared else "",
    }


def _visible(request: HttpRequest, people: list[LeftOut]) -> list[LeftOut]:
    """Those whom the reader may see."""
    rows = Employee.objects.filter(pk__in=[one.employee.pk for one in people])
    seen = set(visible_rows(request, rows).values_list("pk", flat=True))
    return [one for one in people if one.employee.pk in seen]


@never_cache
@require_GET
def left_out_file(request: HttpRequest) -> HttpResponse:
    """Who has to be enrolled anew, as CSV."""
    require_permission(request, "view_modelchange", "view_employee")
    change = model_change.current()
    people = embedding_anew.left_out(change.beside) if change else []
    text = change_report.left_out_csv(_visible(request, people))
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="enrol-anew.csv"'
    return response


@never_cache
@require_http_methods(["GET", "POST"])
def start_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Confirm and start a change to this model version."""
    require_permission(request, "view_modelchange", "add_modelchange")
    version = get_object_or_404(ModelVersion, pk=pk)
    if request.method == "GET":
        return Confirmation(
            title=_("Change of the face model"),
            question=_("Change to %(model)s?") % {"model": version},
            consequences=(
                _("Every enrolment photo is embedded under this model as well, in the background."),
                _("The model in use goes on recognising until you switch."),
                _("Nothing is lost by trying: you can cancel at any time."),
            ),
            button=_("Start"),
            back=page(),
            danger=False,
        ).response(request)
    try:
        model_change.start(version, acting_user(request))
        messages.success(request, _("The photos are being embedded."))
    except ModelChangeError as error:
        messages.error(request, str(error))
    return redirect(page())


@never_cache
@require_http_methods(["GET", "POST"])
def take_step(request: HttpRequest, step: str) -> HttpResponse:
    """Confirm a step by GET, take it by POST."""
    require_permission(request, "view_modelchange", "change_modelchange")
    wanted, change = _STEPS.get(step), model_change.current()
    if wanted is None or change is None:
        messages.warning(request, _("There is no such step now."))
        return redirect(page())
    if request.method == "GET":
        return _confirmation(wanted, change, step).response(request)
    try:
        wanted.do(acting_user(request))
        messages.success(request, str(wanted.done))
    except ModelChangeError as error:
        messages.error(request, str(error))
    return redirect(page())


def _confirmation(step: Step, change: ModelChange, name: str) -> Confirmation:
    asked = Confirmation(
        title=str(step.title),
        question=f"{step.title}: {change}",
        consequences=tuple(map(str, step.consequences)),
        button=str(step.button),
        back=page(),
        danger=step.danger,
    )
    if name not in ("switch", "roll_back"):
        return asked
    lost = [one for one in embedding_anew.left_out(change.beside) if one.known_now]
    if not lost:
        return asked
    words = _("People who are recognised now and would not be any more: %(count)d.")
    return replace(
        asked, consequences=(words % {"count": len(lost)}, *asked.consequences), danger=True
    )


@never_cache
@require_http_methods(["GET", "POST"])
def solve_thresholds(request: HttpRequest) -> HttpResponse:
    """Confirm and solve the thresholds that sites lack under the new model."""
    require_permission(request, "view_modelchange", "change_modelchange", "add_threshold")
    if request.method == "GET":
        return Confirmation(
            title=_("Thresholds under the new model"),
            question=_("Give every site the threshold that it lacks?"),
            consequences=(
                _("Where a budget is kept, it is solved for the site's own new templates."),
                _("Where a person chose it, it is the one with the same false match rate."),
                _("They mean something only after the switch; change them on each site's page."),
            ),
            button=_("Solve"),
            back=page(),
            danger=False,
        ).response(request)
    try:
        trouble = model_change.solve_thresholds(acting_user(request))
        for words in trouble:
            messages.warning(request, words)
        if not trouble:
            messages.success(request, _("Every site has its threshold under the new model."))
    except ModelChangeError as error:
        messages.error(request, str(error))
    return redirect(page())
