"""The threshold of a site: append-only, so that every decision can point at the one it used."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Threshold(models.Model):
    """The score at which a site accepts, under one model version; the newest row is in force.

    A threshold means nothing for another model's scores, so without a row for the active model
    version nobody is accepted.
    """

    site = models.ForeignKey("accesscontrol.Site", models.PROTECT, related_name="thresholds")
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT)
    value = models.FloatField(_("threshold"), help_text=_("Cosine, between 0 and 1."))
    margin = models.FloatField(
        _("margin"), help_text=_("How far the best person must lie above the second best.")
    )
    false_match_rate = models.FloatField(
        _("false match rate"),
        null=True,
        help_text=_("1:1 rate of the model's calibration at this threshold, if measured."),
    )
    budget = models.FloatField(
        _("budget"),
        null=True,
        blank=True,
        help_text=_("Wrong acceptances a year it was solved for; empty if it was chosen by hand."),
    )
    basis = models.JSONField(
        _("basis"), default=dict, blank=True, help_text=_("The data it was solved or chosen from.")
    )
    set_at = models.DateTimeField(_("set at"), auto_now_add=True)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, verbose_name=_("set by")
    )
    reason = models.CharField(_("reason"), max_length=200)

    class Meta:
        verbose_name = _("threshold")
        verbose_name_plural = _("thresholds")
        ordering = ["-id"]
        get_latest_by = "id"
        indexes = [models.Index(fields=["site", "model_version", "-id"], name="threshold_in_force")]
        constraints = [
            # Target of the decision's composite foreign key.
            models.UniqueConstraint(
                fields=["id", "site", "model_version"], name="threshold_of_site_and_model"
            ),
            models.CheckConstraint(
                # NaN is greater than every number in PostgreSQL, so this keeps it out as well.
                condition=models.Q(value__gt=0, value__lt=1),
                name="threshold_between_0_and_1",
            ),
            models.CheckConstraint(
                condition=models.Q(budget__isnull=True) | models.Q(budget__gt=0, budget__lte=1e6),
                name="threshold_budget_above_0",
            ),
            models.CheckConstraint(
                condition=models.Q(margin__gte=0, margin__lt=1), name="margin_between_0_and_1"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.value:.3f}"
