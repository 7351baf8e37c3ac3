"""The audit log: who did what, append-only, each entry sealed to the one before."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEntry(models.Model):
    """One action. `hash` covers the entry and `previous_hash`, so a change breaks the chain."""

    at = models.DateTimeField(_("time"))
    actor = models.CharField(
        _("who"), max_length=200, help_text=_("user:NAME, kiosk:ID, command or worker")
    )
    action = models.CharField(_("action"), max_length=50)
    subject = models.CharField(_("what"), max_length=200, help_text=_("Like employee:17."))
    detail = models.JSONField(_("detail"), default=dict)
    previous_hash = models.CharField(max_length=64, unique=True)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(hash__regex=r"^[0-9a-f]{64}$"), name="audit_hash_is_hex"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"
