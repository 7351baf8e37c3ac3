"""Failed sign-ins in a row, kept in the database: whoever empties Valkey gains no guesses."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Throttle(models.Model):
    """How often it failed in a row at one kiosk, for one number at a site, or for one pair.

    `subject` is "kiosk:ID", "number:SITE:DIGEST" or "pair:ID". A number is kept as a keyed digest:
    people type their PIN into the wrong field.
    """

    subject = models.CharField(max_length=100, unique=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    turned_away = models.PositiveIntegerField(
        _("turned away"), default=0, help_text=_("Attempts that were not looked at.")
    )
    refused_until = models.DateTimeField(_("refused until"), null=True)
    is_locked = models.BooleanField(_("locked"), default=False)
    attempt = models.UUIDField(
        null=True, editable=False, help_text=_("The newest one: repeated, it is not counted.")
    )
    counted_at = models.DateTimeField(_("last attempt"))

    class Meta:
        verbose_name = _("throttle")
        verbose_name_plural = _("throttles")
        indexes = [models.Index(fields=["counted_at"], name="throttle_by_last_attempt")]
        constraints = [
            models.CheckConstraint(
                condition=Q(subject__regex=r"^(kiosk|number|pair):"), name="throttle_of_a_subject"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject}: {self.failures}"
