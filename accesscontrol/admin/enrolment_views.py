"""The enrolment part of an employee's page: consent, photos, and what became of them."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accesscontrol import enrolment
from accesscontrol.admin.base import acting_user, require_permission
from accesscontrol.admin.confirmation import Confirmation
from accesscontrol.crypto import SealError
from accesscontrol.enrolment import EnrolmentError
from accesscontrol.keyring import KeyringError
from accesscontrol.models import Consent, Employee, EnrolmentPhoto, PhotoStatus

logger = logging.getLogger(__name__)

CONSENT_LENGTH = 100
_SIGNATURES = ((b"\xff\xd8", "image/jpeg"), (b"\x89PNG", "image/png"), (b"RIFF", "image/webp"))


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Routes below the employees' part of the admin; each view checks its own permission."""
    view = site.admin_view
    name = "accesscontrol_employee_{}".format
    return [
        path("<int:pk>/consent/", view(give_consent), name=name("consent")),
        path("<int:pk>/consent/withdraw/", view(withdraw_consent), name=name("withdraw")),
        path("<int:pk>/photos/", view(upload_photos), name=name("upload")),
        path("<int:pk>/photos/state/", view(photo_state), name=name("photo_state")),
        path("<int:pk>/photos/<uuid:photo>/image/", view(photo_image), name=name("photo_image")),
        path("<int:pk>/photos/<uuid:photo>/delete/", view(delete_photo), name=name("photo_delete")),
    ]


def enrolment_context(request: HttpRequest, object_id: str) -> dict[str, Any]:
    """What the template of the employee's page shows, as far as the user may see it."""
    employee = Employee.objects.filter(pk=object_id).first() if object_id.isdigit() else None
    if employee is None:
        return {}
    user = acting_user(request)
    may = {
        action: user.has_perm(f"accesscontrol.{permission}")
        for action, permission in {
            "see_consent": "view_consent",
            "give": "add_consent",
            "withdraw": "change_consent",
            "see_photos": "view_enrolmentphoto",
            "upload": "add_enrolmentphoto",
            "delete": "delete_enrolmentphoto",
        }.items()
    }
    consents = list(Consent.objects.filter(employee=employee).select_related("recorded_by"))
    photos = EnrolmentPhoto.objects.filter(employee=employee).defer("sealed")
    return {
        "may": may,
        "employee": employee,
        "live_consent": next((c for c in consents if c.withdrawn_at is None), None),
        "past_consents": [c for c in consents if c.withdrawn_at],
        "photos": [(p, enrolment.advice_on(p)) for p in photos] if may["see_photos"] else [],
        "max_photos": enrolment.MAX_PHOTOS,
        "max_files": settings.DATA_UPLOAD_MAX_NUMBER_FILES,
        "max_megabytes": settings.PHOTO_MAX_BYTES // 2**20,
    }


@require_POST
def give_consent(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, "view_employee", "add_consent")
    employee = get_object_or_404(Employee, pk=pk)
    text = request.POST.get("text_version", "")[:CONSENT_LENGTH]
    try:
        enrolment.give_consent(employee, text_version=text, by=acting_user(request))
        messages.success(request, _("The consent is recorded. Now add photos."))
    except EnrolmentError as error:
        messages.error(request, str(error))
    return _to_page(pk)


@require_http_methods(["GET", "POST"])
def withdraw_consent(request: HttpRequest, pk: int) -> HttpResponse:
    require_permission(request, "view_employee", "change_consent")
    employee = get_object_or_404(Employee, pk=pk)
    if request.method == "GET":
        photos = EnrolmentPhoto.objects.filter(employee=employee).count()
        return Confirmation(
            title=_("Withdraw consent"),
            question=_("Withdraw the consent of %(employee)s?") % {"employee": employee},
            consequences=(
                ngettext(
                    "%(count)d photo and all templates made from photos are deleted for good.",
                    "%(count)d photos and all templates made from them are deleted for good.",
                    photos,
                )
                % {"count": photos},
                _("From then on this person is not recognised at any kiosk."),
                _(
                    "Punches and acceptances stay: they are the attendance record. Refusals do "
                    "not name this person any more."
                ),
                _("To enrol again, a new consent and new photos are needed."),
            ),
            button=_("Withdraw consent and delete photos"),
            back=_page(pk),
        ).response(request)
    try:
        count = enrolment.withdraw_consent(employee, by=acting_user(request))
        text = _("The consent is withdrawn; %(count)d photos were deleted.") % {"count": count}
        messages.success(request, text)
    except EnrolmentError as error:
        messages.error(request, str(error))
    return _to_page(pk)


@require_POST
def upload_photos(request: HttpRequest, pk: int) -> HttpResponse:
    """Take in what can be taken in and say, by file name, what cannot."""
    require_permission(request, "view_employee", "add_enrolmentphoto")
    employee = get_object_or_404(Employee, pk=pk)
    files = request.FILES.getlist("photos")
    if not files:
        messages.error(request, _("Choose one or more photos first."))
    taken = sum(_take_in(request, employee, file) for file in files)
    if taken:
        text = ngettext(
            "%(count)d photo was taken in; it is being checked.",
            "%(count)d photos were taken in; they are being checked.",
            taken,
        )
        messages.success(request, text % {"count": taken})
    return _to_page(pk)


def _take_in(request: HttpRequest, employee: Employee, file: UploadedFile[Any]) -> bool:
    name = file.name or _("photo")
    try:
        # One byte more than is allowed tells the verb that the file is too large.
        data = file.read(settings.PHOTO_MAX_BYTES + 1)
        enrolment.upload_photo(employee, file_name=name, data=data, by=acting_user(request))
    except (EnrolmentError, KeyringError) as error:
        text = str(error)
        messages.error(request, text if text.startswith(name) else f"{name}: {text}")
        return False
    return True


@require_GET
@never_cache
def photo_state(request: HttpRequest, pk: int) -> JsonResponse:
    """How the photos stand, for the page that waits for them."""
    require_permission(request, "view_employee", "view_enrolmentphoto")
    photos = EnrolmentPhoto.objects.filter(employee_id=pk).defer("sealed")
    listed = [
        {
            "id": str(photo.pk),
            "file": photo.file_name,
            "status": photo.status,
            "refusal": photo.refusal,
            "message": enrolment.advice_on(photo),
        }
        for photo in photos
    ]
    waiting = sum(photo["status"] == PhotoStatus.PENDING for photo in listed)
    return JsonResponse({"waiting": waiting, "photos": listed})


@require_GET
def photo_image(request: HttpRequest, pk: int, photo: UUID) -> HttpResponse:
    """The photo itself, unsealed for this one answer."""
    require_permission(request, "view_employee", "view_enrolmentphoto")
    row = get_object_or_404(EnrolmentPhoto, pk=photo, employee_id=pk)
    if row.sealed is None:
        raise Http404("The bytes of a refused photo are not kept.")
    try:
        data = enrolment.open_photo(row)
    except (SealError, KeyringError) as error:
        logger.error("photo %s cannot be opened: %s", photo, error)  # noqa: TRY400
        return HttpResponse(_("This photo cannot be opened. Tell IT."), status=500)
    kind = next((kind for mark, kind in _SIGNATURES if data.startswith(mark)), "image/jpeg")
    return HttpResponse(data, content_type=kind, headers={"Cache-Control": "no-store, private"})


@require_http_methods(["GET", "POST"])
def delete_photo(request: HttpRequest, pk: int, photo: UUID) -> HttpResponse:
    require_permission(request, "view_employee", "delete_enrolmentphoto")
    row = get_object_or_404(EnrolmentPhoto, pk=photo, employee_id=pk)
    if request.method == "GET":
        return Confirmation(
            title=_("Delete photo"),
            question=_("Delete the photo “%(photo)s”?") % {"photo": row},
            consequences=(
                _("The photo and the templates made from it are deleted for good."),
                _("Without any accepted photo the person is not recognised."),
            ),
            button=_("Delete photo"),
            back=_page(pk),
        ).response(request)
    enrolment.delete_photo(row, by=acting_user(request))
    messages.success(request, _("The photo “%(photo)s” was deleted.") % {"photo": row})
    return _to_page(pk)


def _page(pk: int) -> str:
    return reverse("admin:accesscontrol_employee_change", args=[pk]) + "#enrolment"


def _to_page(pk: int) -> HttpResponse:
    return redirect(_page(pk))
