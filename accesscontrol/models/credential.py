"""PINs and badges: the way in without a face. No consent is needed for them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Pin(models.Model):
    """An employee's PIN, as a slow hash under the installation's key; one is live at most.

    What is left of an ended one says when it was, not what it was.
    """

    employee = models.ForeignKey(
        "accesscontrol.Employee", models.PROTECT, related_name="pins", verbose_name=_("employee")
    )
    key_id = models.CharField(max_length=16, editable=False)
    hash = models.CharField(max_length=200, blank=True, editable=False)
    set_at = models.DateTimeField(_("set at"), auto_now_add=True)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, verbose_name=_("set by")
    )
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        verbose_name = _("PIN")
        verbose_name_plural = _("PINs")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["employee"], condition=Q(ended_at__isnull=True), name="one_live_pin"
            ),
            # Target of the decision's composite foreign key.
            models.UniqueConstraint(fields=["id", "employee"], name="pin_of_employee"),
            models.CheckConstraint(
                condition=(Q(ended_at__isnull=True) & ~Q(hash=""))
                | Q(ended_at__isnull=False, hash="", ended_at__gte=F("set_at")),
                name="pin_live_with_a_hash_ended_without",
            ),
        ]

    def __str__(self) -> str:
        return str(_("ended") if self.ended_at else _("set"))


class Badge(models.Model):
    """A badge of an employee, as a keyed digest of its number; a live one is one person's.

    A badge that has ended keeps its digest, so that "this badge was revoked" can be told from
    "nobody's badge" when HR asks why.
    """

    employee = models.ForeignKey(
        "accesscontrol.Employee", models.PROTECT, related_name="badges", verbose_name=_("employee")
    )
    label = models.CharField(_("label"), max_length=100, blank=True)
    key_id = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    added_at = models.DateTimeField(_("added at"), auto_now_add=True)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, verbose_name=_("added by")
    )
    revoked_at = models.DateTimeField(_("revoked at"), null=True)

    class Meta:
        verbose_name = _("badge")
        verbose_name_plural = _("badges")
        ordering = ["-id"]
        indexes = [models.Index(fields=["digest"], name="badge_by_digest")]
        constraints = [
            models.UniqueConstraint(
                fields=["digest"],
                condition=Q(revoked_at__isnull=True),
                name="live_badge_of_one_person",
            ),
            # Target of the decision's composite foreign key.
            models.UniqueConstraint(fields=["id", "employee"], name="badge_of_employee"),
            models.CheckConstraint(
                condition=Q(digest__regex=r"^[0-9a-f]{64}$"), name="badge_digest_is_hex"
            ),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True) | Q(revoked_at__gte=F("added_at")),
                name="badge_revoked_after_added",
            ),
        ]

    def __str__(self) -> str:
        return self.label or str(_("badge %(number)d") % {"number": self.pk})
