"""Look-alikes: two people whom the cameras cannot tell apart, as HR says."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class LookAlike(models.Model):
    """A pair whom a camera cannot tell apart: where both are near, the kiosk asks for PIN or badge.

    Found at enrolment, or kept by HR. The pair has no order, so the lower number comes first. Rows
    go with either one's consent.
    """

    one = models.ForeignKey(
        "accesscontrol.Employee", models.PROTECT, related_name="+", verbose_name=_("one")
    )
    other = models.ForeignKey(
        "accesscontrol.Employee", models.PROTECT, related_name="+", verbose_name=_("other")
    )
    # None: HR has not said yet whether these are two people or one enrolled twice.
    confirmed_at = models.DateTimeField(_("confirmed at"), null=True, blank=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, verbose_name=_("confirmed by")
    )

    class Meta:
        verbose_name = _("look-alikes")
        verbose_name_plural = _("look-alikes")
        constraints = [
            models.UniqueConstraint(fields=["one", "other"], name="look_alikes_once"),
            models.CheckConstraint(
                condition=Q(one__lt=F("other")), name="look_alikes_lower_number_first"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.one_id}/{self.other_id}"
