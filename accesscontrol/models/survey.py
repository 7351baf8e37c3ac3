"""What a site's templates score among each other: the data that its threshold is solved from."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class GallerySurvey(models.Model):
    """The newest comparison of a site's gallery with itself, under one model version.

    Counts of scores only: no person and no template can be told from them. A worker writes it.
    """

    site = models.ForeignKey("accesscontrol.Site", models.PROTECT, related_name="surveys")
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT)
    stamp = models.CharField(
        max_length=64, blank=True, help_text=_("Of the gallery that was measured last.")
    )
    people = models.PositiveIntegerField(_("people"), default=0)
    templates = models.PositiveIntegerField(_("templates"), default=0)
    scores = models.JSONField(_("scores"), default=dict)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("gallery survey")
        verbose_name_plural = _("gallery surveys")
        constraints = [
            models.UniqueConstraint(
                fields=["site", "model_version"], name="one_survey_a_site_and_model"
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) | ~Q(stamp=""),
                name="survey_finished_with_its_gallery",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.site_id}/{self.model_version_id}"
