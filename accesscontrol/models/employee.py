"""An employee of a site."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from accesscontrol.models.admission import Admission


class EmployeeQuerySet(models.QuerySet["Employee"]):
    """People, by where they may enter."""

    def admitted_to(self, site_id: int) -> EmployeeQuerySet:
        """Those whose home the site is, and those admitted to it besides."""
        besides = Admission.objects.filter(site=site_id).values("employee")
        return self.filter(models.Q(site=site_id) | models.Q(pk__in=besides))


class Employee(models.Model):
    """A person who may enter at a site. Inactive ones are in no gallery."""

    site = models.ForeignKey(
        "accesscontrol.Site", models.PROTECT, related_name="employees", verbose_name=_("site")
    )
    number = models.CharField(
        _("number"), max_length=40, help_text=_("As in the payroll; once for each site.")
    )
    name = models.CharField(_("name"), max_length=200)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Inactive people are not recognised.")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = EmployeeQuerySet.as_manager()

    class Meta:
        verbose_name = _("employee")
        verbose_name_plural = _("employees")
        ordering = ["name", "number"]
        constraints = [
            models.UniqueConstraint(fields=["site", "number"], name="employee_number_once_a_site"),
            models.CheckConstraint(
                condition=~models.Q(number="") & ~models.Q(name=""),
                name="employee_has_number_and_name",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.number})"
