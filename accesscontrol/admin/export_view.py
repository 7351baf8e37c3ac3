"""The attendance export in the admin: a small form, and the file itself, streamed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Any

from django import forms
from django.contrib import admin
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accesscontrol import audit, site_days
from accesscontrol.admin.base import acting_user, require_permission
from accesscontrol.export import (
    AttendanceQuery,
    ExportError,
    aiter_chunks,
    csv_chunks,
    write_xlsx,
)
from accesscontrol.models import Employee, Site

BLOCK = 1 << 16
CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def _day(**named: Any) -> forms.DateField:
    # The browser's own date picker: it works without scripts and in every language.
    return forms.DateField(
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        input_formats=["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"],
        **named,
    )


class ExportForm(forms.Form):
    """What to export; the names are those of the address."""

    site = forms.ModelChoiceField(
        Site.objects.all(), label=_("Site"), widget=UnfoldAdminSelectWidget
    )
    employee = forms.ModelChoiceField(
        Employee.objects.all(), label=_("employee"), required=False, widget=forms.HiddenInput
    )
    format = forms.ChoiceField(
        label=_("Format"),
        required=False,
        choices=[("csv", _("CSV (payroll, Excel)")), ("xlsx", _("Excel workbook"))],
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # `from` is a keyword, so it cannot be an attribute of the class.
        self.fields["from"] = _day(label=_("First day"))
        self.fields["to"] = _day(label=_("Last day"))
        self.order_fields(["site", "from", "to", "format", "employee"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            person: Employee | None = cleaned["employee"]
            try:
                cleaned["query"] = AttendanceQuery(
                    cleaned["site"],
                    cleaned["from"],
                    cleaned["to"],
                    employee_id=person.pk if person else None,
                )
            except ExportError as error:
                self.add_error("to", str(error))
        return cleaned


@require_GET
@never_cache
def export_attendance(request: HttpRequest) -> HttpResponseBase:
    """The file if site and days are given, else the form that asks for them."""
    require_permission(request, "view_punch")
    complete = all(request.GET.get(name) for name in ("site", "from", "to"))
    if not complete:
        form = ExportForm(initial=_defaults() | request.GET.dict())
        return _form_page(request, form)
    form = ExportForm(request.GET)
    if not form.is_valid():
        return _form_page(request, form, status=400)
    query: AttendanceQuery = form.cleaned_data["query"]
    kind = form.cleaned_data["format"] or "csv"
    try:
        response = _workbook(request, query) if kind == "xlsx" else _csv(request, query)
    except ExportError as error:
        form.add_error(None, str(error))
        return _form_page(request, form, status=400)
    audit.record(
        audit.actor_of(acting_user(request)),
        "export_attendance",
        f"site:{query.site.pk}",
        {
            "from": str(query.first),
            "to": str(query.last),
            "employee": query.employee_id,
            "format": kind,
        },
    )
    return response


def _csv(request: HttpRequest, query: AttendanceQuery) -> StreamingHttpResponse:
    return _download(request, csv_chunks(query), f"{query.file_stem}.csv", CSV)


def _workbook(request: HttpRequest, query: AttendanceQuery) -> StreamingHttpResponse:
    # Nameless, on disk only until it is closed: a workbook is written in several passes.
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed when it has been read
    try:
        write_xlsx(query, file)
    except BaseException:
        file.close()
        raise
    return _download(request, _blocks(file), f"{query.file_stem}.xlsx", XLSX)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while block := file.read(BLOCK):
            yield block


def _download(
    request: HttpRequest, chunks: Iterator[bytes], name: str, kind: str
) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        aiter_chunks(chunks) if isinstance(request, ASGIRequest) else chunks,
        content_type=kind,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _form_page(request: HttpRequest, form: ExportForm, status: int = 200) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": _("Export attendance"), "form": form}
    return TemplateResponse(
        request, "admin/accesscontrol/punch/export.html", context, status=status
    )


def _defaults() -> dict[str, Any]:
    """This month up to today, as all sites' own clocks show it: in Kolkata it is tomorrow already
    while UTC still has today, and a punch of this morning must not be missing."""
    sites = list(Site.objects.filter(is_active=True))
    days = [site_days.today(site) for site in sites] or [timezone.now().date()]
    defaults: dict[str, Any] = {"from": min(days).replace(day=1), "to": max(days)}
    return defaults | ({"site": sites[0].pk} if len(sites) == 1 else {})
