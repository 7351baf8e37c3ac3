"""Further sites at which an employee may enter."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Admission(models.Model):
    """An employee may enter at this site, too: their templates are in its gallery.

    The home site, `Employee.site`, needs no row; one for it changes nothing.
    """

    employee = models.ForeignKey(
        "accesscontrol.Employee",
        models.CASCADE,
        related_name="admissions",
        verbose_name=_("employee"),
    )
    site = models.ForeignKey(
        "accesscontrol.Site", models.PROTECT, related_name="admissions", verbose_name=_("site")
    )
    admitted_at = models.DateTimeField(_("admitted at"), auto_now_add=True)
    admitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, editable=False
    )

    class Meta:
        verbose_name = _("admission")
        verbose_name_plural = _("admissions")
        constraints = [
            models.UniqueConstraint(fields=["employee", "site"], name="admission_once_a_site"),
        ]

    def __str__(self) -> str:
        return f"{self.employee_id}@{self.site_id}"
