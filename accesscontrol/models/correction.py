"""Corrections: what HR says about a decision. A new row each, never edited."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Correction(models.Model):
    """HR's word on a decision: whom it really was, or that it was not who was recognised.

    The corrections of a decision are a chain; the one that none replaces holds. What follows for
    the attendance are rows as well: the punch that it cancels, which stays, and the punch that it
    brings, which points here. Composite foreign keys (migration 0008) hold both to the decision.
    """

    decision = models.ForeignKey(
        "accesscontrol.Decision",
        models.PROTECT,
        related_name="corrections",
        verbose_name=_("decision"),
    )
    replaces = models.OneToOneField(
        "self", models.PROTECT, null=True, related_name="replaced_by", verbose_name=_("replaces")
    )
    employee = models.ForeignKey(
        "accesscontrol.Employee",
        models.PROTECT,
        null=True,
        related_name="corrections",
        verbose_name=_("employee"),
        help_text=_("Whom it really was; empty: nobody can say, but not who was recognised."),
    )
    cancels = models.OneToOneField(
        "accesscontrol.Punch",
        models.PROTECT,
        null=True,
        related_name="cancelled_by",
        verbose_name=_("cancels"),
    )
    reason = models.CharField(_("reason"), max_length=200)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, verbose_name=_("made by")
    )
    made_at = models.DateTimeField(_("made at"), auto_now_add=True)

    class Meta:
        verbose_name = _("correction")
        verbose_name_plural = _("corrections")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["decision"],
                condition=Q(replaces__isnull=True),
                name="one_first_correction_a_decision",
            ),
            # Targets of composite foreign keys: its successor's and its punch's.
            models.UniqueConstraint(fields=["id", "decision"], name="correction_of_decision"),
            models.UniqueConstraint(
                fields=["id", "decision", "employee"], name="correction_names_employee"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="correction_has_a_reason"),
            models.CheckConstraint(
                condition=~Q(replaces=models.F("id")), name="correction_replaces_an_earlier_one"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.decision_id} {self.employee_id or '-'}"
