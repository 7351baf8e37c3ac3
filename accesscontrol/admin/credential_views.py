"""The part of an employee's page about the ways in besides the face, and about look-alikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from unfold.widgets import UnfoldAdminTextInputWidget

from accesscontrol import credentials, look_alikes, pins, throttling
from accesscontrol.admin.base import acting_user, require_permission, visible_rows
from accesscontrol.admin.confirmation import Confirmation
from accesscontrol.credentials import LABEL_MAX, LONGEST_BADGE, CredentialError
from accesscontrol.keyring import KeyringError
from accesscontrol.look_alikes import LookAlikeError
from accesscontrol.models import Badge, Employee, Kiosk

ENROLS = ("view_employee", "add_enrolmentphoto")
"""Whoever may enrol faces looks after PINs and badges, too."""


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Routes below the employees' part of the admin; each view checks its own permission."""
    view = site.admin_view
    name = "accesscontrol_employee_{}".format
    return [
        path("<int:pk>/pin/", view(set_pin), name=name("pin")),
        path("<int:pk>/pin/random/", view(set_random_pin), name=name("random_pin")),
        path("<int:pk>/pin/revoke/", view(revoke_pin), name=name("revoke_pin")),
        path("<int:pk>/badges/", view(add_badge), name=name("badge")),
        path("<int:pk>/badges/<int:badge>/revoke/", view(revoke_badge), name=name("revoke_badge")),
        path("<int:pk>/sign-in/lift/", view(lift_lock), name=name("lift_lock")),
        path("<int:pk>/two-people/<int:other>/", view(two_people), name=name("two_people")),
        path("<int:pk>/two-people/<int:other>/end/", view(end_pair), name=name("end_pair")),
    ]


def credentials_context(request: HttpRequest, object_id: str) -> dict[str, Any]:
    """What the template of the employee's page shows, for whom may enrol; else nothing."""
    employee = Employee.objects.filter(pk=object_id).first() if object_id.isdigit() else None
    may = acting_user(request).has_perms([f"accesscontrol.{name}" for name in ENROLS])
    if employee is None or not may:
        return {}
    held = credentials.held(employee)
    visible = visible_rows(request, Employee.objects.all())
    resembling = look_alikes.resembling(employee, visible)
    try:
        stopped = throttling.lockouts(throttling.subjects_of(employee))
    except KeyringError as error:
        messages.warning(request, str(error))
        stopped = []
    return {
        "ways_in": {
            "pin": held.pin,
            "badges": held.badges,
            "lockouts": stopped,
            "resembling": resembling,
            "to_judge": [like.person for like in resembling if like.is_to_judge],
            "label_max": LABEL_MAX,
            "badge_max": LONGEST_BADGE * 2,
        }
    }


class PinForm(forms.Form):
    """A PIN that the employee chose, typed once: it is shown, as they stand beside."""

    pin = forms.CharField(
        label=gettext_lazy("PIN"),
        min_length=pins.SHORTEST,
        max_length=pins.LONGEST,
        help_text=gettext_lazy(
            "Six to twelve digits, without a pattern and without the employee's number. It is "
            "kept so that nobody can read it again."
        ),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )


@sensitive_post_parameters("pin")
@require_http_methods(["GET", "POST"])
def set_pin(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, *ENROLS)
    employee = get_object_or_404(Employee, pk=pk)
    form = PinForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            credentials.set_pin(employee, form.cleaned_data["pin"], by=acting_user(request))
        except (CredentialError, KeyringError) as error:
            form.add_error("pin", str(error))
        else:
            messages.success(request, _("The PIN is set."))
            return _to_page(pk)
    return Confirmation(
        title=_("PIN"),
        question=_("Set a PIN for %(employee)s") % {"employee": employee},
        consequences=_meaning(employee),
        button=_("Set this PIN"),
        back=_page(pk),
        danger=False,
        form=form,
    ).response(request)


@dataclass(frozen=True, slots=True)
class ShownOnce(Confirmation):
    """A page that says a PIN which cannot be said again."""

    pin: str = ""


@never_cache
@require_http_methods(["GET", "POST"])
def set_random_pin(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, *ENROLS)
    employee = get_object_or_404(Employee, pk=pk)
    if request.method == "GET":
        return Confirmation(
            title=_("Random PIN"),
            question=_("Make a random PIN for %(employee)s?") % {"employee": employee},
            consequences=(*_meaning(employee), _("It is shown once, on the next page.")),
            button=_("Make a random PIN"),
            back=_page(pk),
            danger=False,
        ).response(request)
    try:
        pin = credentials.set_random_pin(employee, by=acting_user(request))
    except (CredentialError, KeyringError) as error:
        messages.error(request, str(error))
        return _to_page(pk)
    return ShownOnce(
        title=_("Random PIN"),
        question=_("The PIN of %(employee)s") % {"employee": employee},
        consequences=(
            _("Hand it over in person or in a closed letter. It cannot be shown again."),
            _("At the kiosk: “No face? Use your PIN or badge”, then the number %(number)s.")
            % {"number": employee.number},
        ),
        button="",
        back=_page(pk),
        danger=False,
        template="admin/accesscontrol/employee/pin_once.html",
        pin=pin,
    ).response(request)


@require_http_methods(["GET", "POST"])
def revoke_pin(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, *ENROLS)
    employee = get_object_or_404(Employee, pk=pk)
    if request.method == "GET":
        return Confirmation(
            title=_("Revoke PIN"),
            question=_("Revoke the PIN of %(employee)s?") % {"employee": employee},
            consequences=(_("From then on nobody signs in with it, at any kiosk."),),
            button=_("Revoke PIN"),
            back=_page(pk),
        ).response(request)
    try:
        credentials.revoke_pin(employee, by=acting_user(request))
        messages.success(request, _("The PIN is revoked."))
    except CredentialError as error:
        messages.error(request, str(error))
    return _to_page(pk)


@require_POST
def add_badge(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, *ENROLS)
    employee = get_object_or_404(Employee, pk=pk)
    number = request.POST.get("number", "")[: LONGEST_BADGE * 2]
    label = request.POST.get("label", "")[:LABEL_MAX]
    try:
        credentials.add_badge(employee, number, label=label, by=acting_user(request))
        messages.success(request, _("The badge is added."))
    except (CredentialError, KeyringError) as error:
        messages.error(request, str(error))
    return _to_page(pk)


@require_http_methods(["GET", "POST"])
def revoke_badge(request: HttpRequest, pk: int, badge: int) -> HttpResponse:
    require_permission(request, *ENROLS)
    row = get_object_or_404(Badge.objects.select_related("employee"), pk=badge, employee_id=pk)
    if request.method == "GET":
        return Confirmation(
            title=_("Revoke badge"),
            question=_("Revoke “%(badge)s” of %(employee)s?")
            % {"badge": row, "employee": row.employee},
            consequences=(
                _("From then on nobody signs in with it, at any kiosk."),
                _("It can be given to somebody else afterwards."),
            ),
            button=_("Revoke badge"),
            back=_page(pk),
        ).response(request)
    try:
        credentials.revoke_badge(row, by=acting_user(request))
        messages.success(request, _("The badge is revoked."))
    except CredentialError as error:
        messages.error(request, str(error))
    return _to_page(pk)


@require_POST
def lift_lock(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, *ENROLS)
    employee = get_object_or_404(Employee, pk=pk)
    if throttling.lift_of_employee(employee, by=acting_user(request)):
        messages.success(request, _("The lock is lifted: the PIN can be tried again."))
    return _to_page(pk)


LIFTS = ("view_kiosk", "add_enrolmentphoto")
"""Of a kiosk: those who know whether it was a guest or a broken reader."""


def may_lift(request: HttpRequest) -> bool:
    return acting_user(request).has_perms([f"accesscontrol.{name}" for name in LIFTS])


@require_POST
def lift_kiosk_lock(request: HttpRequest, pk: UUID) -> HttpResponse:
    require_permission(request, *LIFTS)
    kiosk = get_object_or_404(Kiosk, pk=pk)
    if throttling.lift_of_kiosk(kiosk, by=acting_user(request)):
        messages.success(request, _("The lock is lifted: PINs and badges are looked at again."))
    return redirect("admin:accesscontrol_kiosk_change", pk)


@require_http_methods(["GET", "POST"])
def two_people(request: HttpRequest, pk: int, other: int) -> HttpResponse:
    """Keep that two who look alike are two; only for people whom the user may see."""
    require_permission(request, *ENROLS)
    visible = visible_rows(request, Employee.objects.all())
    one, second = get_object_or_404(visible, pk=pk), get_object_or_404(visible, pk=other)
    if request.method == "GET":
        return Confirmation(
            title=_("Two people"),
            question=_("Are %(one)s and %(other)s two different people?")
            % {"one": one, "other": second},
            consequences=(
                _("Look at both people's photos first: the same person enrolled twice is no pair."),
                _("Where a kiosk cannot tell them apart it asks for the PIN or badge, and takes "
                  "only one of these two. Nobody else is asked."),
                _("Both need a PIN or a badge of their own, and not the same PIN."),
            ),
            button=_("These are two people"),
            back=_page(pk),
            danger=False,
        ).response(request)  # fmt: skip
    try:
        look_alikes.confirm_two_people(one, second, by=acting_user(request))
        messages.success(request, _("Kept: the kiosk asks for the PIN where both are near."))
    except LookAlikeError as error:
        messages.error(request, str(error))
    return _to_page(pk)


@require_http_methods(["GET", "POST"])
def end_pair(request: HttpRequest, pk: int, other: int) -> HttpResponse:
    require_permission(request, *ENROLS)
    visible = visible_rows(request, Employee.objects.all())
    one, second = get_object_or_404(visible, pk=pk), get_object_or_404(visible, pk=other)
    if request.method == "GET":
        return Confirmation(
            title=_("End the pair"),
            question=_("Stop asking %(one)s and %(other)s for a PIN?")
            % {"one": one, "other": second},
            consequences=(_("Whoever a kiosk cannot tell from the other one is refused."),),
            button=_("End the pair"),
            back=_page(pk),
        ).response(request)
    look_alikes.end_pair(one, second, by=acting_user(request))
    return _to_page(pk)


def _meaning(employee: Employee) -> tuple[str, ...]:
    ended = _("The PIN that there is now ends.") if credentials.held(employee).pin else ""
    texts = (
        _("With their number and this PIN they enter, and are punched, as with their face."),
        _("No consent and no photo is needed for it."),
        ended,
    )
    return tuple(text for text in texts if text)


def _page(pk: int) -> str:
    return reverse("admin:accesscontrol_employee_change", args=[pk]) + "#ways-in"


def _to_page(pk: int) -> HttpResponse:
    return redirect(_page(pk))
