"""The form of an employee, with the further sites at which they may enter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from accesscontrol import sites
from accesscontrol.models import Employee, Site, User

if TYPE_CHECKING:
    ModelFormOfEmployee = forms.ModelForm[Employee]
else:
    ModelFormOfEmployee = forms.ModelForm


class EmployeeForm(ModelFormOfEmployee):
    further_sites = forms.ModelMultipleChoiceField(
        Site.objects.all(),
        required=False,
        label=_("Further sites"),
        help_text=_("Where the person may enter, too, besides their own site."),
        widget=UnfoldAdminSelectMultipleWidget,
    )

    class Meta:
        model = Employee
        fields = ("site", "number", "name", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["further_sites"] = Site.objects.filter(admissions__employee=self.instance)

    def save_further_sites(self, employee: Employee, by: User) -> None:
        """Admit the employee to what was chosen, and end what was not."""
        chosen = set(self.cleaned_data["further_sites"])
        present = {admission.site for admission in employee.admissions.select_related("site")}
        for site in chosen - present:
            sites.admit(employee, site, by)
        for site in present - chosen:
            sites.end_admission(employee, site, by)
