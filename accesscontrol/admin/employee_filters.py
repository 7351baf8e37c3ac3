"""Employees by how far their enrolment is."""

# mypy: allow-subclassing-any
from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from accesscontrol.models import Consent, Employee, EnrolmentPhoto, PhotoStatus


class EnrolmentFilter(DropdownFilter):
    """Enrolled, without consent, without an accepted photo, with photos waiting or refused."""

    title = _("enrolment")
    parameter_name = "enrolment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("enrolled", _("enrolled")),
            ("no_consent", _("no consent")),
            ("no_photo", _("consent, but no accepted photo")),
            ("waiting", _("photos waiting")),
            ("refused", _("photos refused")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Employee]) -> QuerySet[Employee]:
        photos = EnrolmentPhoto.objects.filter(employee=OuterRef("pk"))
        live = Exists(Consent.objects.filter(employee=OuterRef("pk"), withdrawn_at__isnull=True))
        accepted = Exists(photos.filter(status=PhotoStatus.ACCEPTED))
        conditions = {
            "enrolled": live & accepted,
            "no_consent": ~live,
            "no_photo": live & ~accepted,
            "waiting": Exists(photos.filter(status=PhotoStatus.PENDING)),
            "refused": Exists(photos.filter(status=PhotoStatus.REFUSED)),
        }
        condition = conditions.get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)
