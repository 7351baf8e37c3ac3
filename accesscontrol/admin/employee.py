"""Employees, with their consent and enrolment photos."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, DateTimeField, Exists, IntegerField, OuterRef, QuerySet
from django.db.models.expressions import Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, RelatedDropdownFilter

from accesscontrol import sites
from accesscontrol.admin import credential_views, enrolment_views
from accesscontrol.admin.base import DomainAdmin, acting_user, clock_cell, label
from accesscontrol.admin.employee_filters import EnrolmentFilter
from accesscontrol.admin.employee_form import EmployeeForm
from accesscontrol.admin.health_view import show_gallery_health
from accesscontrol.models import Consent, Employee, EnrolmentPhoto, PhotoStatus, Punch

CONSENT_COLOURS = {"given": "success", "none": "warning", "withdrawn": "danger"}
CONSENT_TEXTS = {"given": _("given"), "none": _("none"), "withdrawn": _("withdrawn")}


def _photos(status: PhotoStatus) -> Coalesce:
    counted = (
        EnrolmentPhoto.objects.filter(employee=OuterRef("pk"), status=status)
        .order_by()
        .values("employee")
        .annotate(count=Count("pk"))
        .values("count")
    )
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


@admin.register(Employee)
class EmployeeAdmin(DomainAdmin[Employee]):
    list_display = ("name", "number", "site", "active", "consent", "photos", "last_punch")
    list_display_links = ("name", "number")
    list_filter = (
        ("site", RelatedDropdownFilter),
        ("is_active", BooleanRadioFilter),
        EnrolmentFilter,
    )
    list_filter_submit = True
    list_select_related = ("site",)
    list_per_page = 50
    search_fields = ("name", "number")
    form = EmployeeForm
    fields = (("site", "number"), ("name", "is_active"), "further_sites")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Employee]:
        consents = Consent.objects.filter(employee=OuterRef("pk"))
        punches = (
            Punch.objects.standing().filter(employee=OuterRef("pk")).order_by("-at").values("at")
        )
        return (
            super()
            .get_queryset(request)
            .annotate(
                consents_live=Exists(consents.filter(withdrawn_at__isnull=True)),
                consents_ever=Exists(consents),
                photos_accepted=_photos(PhotoStatus.ACCEPTED),
                photos_waiting=_photos(PhotoStatus.PENDING),
                photos_refused=_photos(PhotoStatus.REFUSED),
                last_punch_at=Subquery(punches[:1], output_field=DateTimeField()),
            )
        )

    @admin.display(description=_("active"), ordering="is_active", boolean=True)
    def active(self, employee: Employee) -> bool:
        return employee.is_active

    @label(CONSENT_COLOURS, description=_("consent"), ordering="consents_live")
    def consent(self, employee: Any) -> tuple[str, object]:
        ended = "withdrawn" if employee.consents_ever else "none"
        state = "given" if employee.consents_live else ended
        return state, CONSENT_TEXTS[state]

    @admin.display(description=_("photos"), ordering="photos_accepted")
    def photos(self, employee: Any) -> str:
        counts = (
            ("accepted", _("accepted"), employee.photos_accepted),
            ("waiting", _("waiting"), employee.photos_waiting),
            ("refused", _("refused"), employee.photos_refused),
        )
        shown = [count for count in counts if count[2]]
        if not shown:
            return format_html('<span class="gh-quiet">{}</span>', _("none"))
        return format_html_join(
            " ", '<span class="gh-count gh-{0}">{2} {1}</span>', ((c[0], c[1], c[2]) for c in shown)
        )

    @admin.display(description=_("last punch"), ordering="last_punch_at")
    def last_punch(self, employee: Any) -> str:
        return clock_cell(employee.site.time_zone, employee.last_punch_at)

    @admin.display(description=_("further sites"))
    def further_sites(self, employee: Employee) -> str:
        """For those who may look but not change."""
        names = [str(admission.site) for admission in employee.admissions.select_related("site")]
        return ", ".join(sorted(names)) or "–"  # noqa: RUF001  a typographic dash for readers

    def has_delete_permission(self, request: HttpRequest, obj: Employee | None = None) -> bool:
        return False  # punches point at the person; whoever leaves is made inactive

    def save_model(self, request: HttpRequest, obj: Employee, form: Any, change: bool) -> None:
        sites.save_employee(obj, acting_user(request))
        form.save_further_sites(obj, acting_user(request))

    def response_add(
        self, request: HttpRequest, obj: Employee, post_url_continue: str | None = None
    ) -> HttpResponse:
        if "_addanother" not in request.POST and "_popup" not in request.POST:
            # The next step, consent and photos, is on the person's own page.
            request.POST = request.POST.copy()  # type: ignore[assignment]
            request.POST["_continue"] = "1"  # type: ignore[misc]
        return super().response_add(request, obj, post_url_continue)

    def get_urls(self) -> list[URLPattern]:
        health = path(
            "health/",
            self.admin_site.admin_view(show_gallery_health),
            name="accesscontrol_employee_health",
        )
        parts = [*enrolment_views.urls(self.admin_site), *credential_views.urls(self.admin_site)]
        return [health, *parts, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = enrolment_views.enrolment_context(request, object_id)
        context |= credential_views.credentials_context(request, object_id)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )
