"""A registered face model: what made a template, and what its scores mean."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ModelVersion(models.Model):
    """One embedder with one set of weights. Vectors of two model versions are never compared."""

    name = models.CharField(_("name"), max_length=100)
    version = models.CharField(_("version"), max_length=50)
    sha256 = models.CharField(_("SHA-256 of the weights"), max_length=64, unique=True)
    dimension = models.PositiveIntegerField(_("dimension"))
    licence = models.CharField(_("licence"), max_length=200)
    calibration = models.JSONField(
        _("calibration"),
        default=dict,
        help_text=_("Measured false match rates and the thresholds that give them."),
    )
    is_active = models.BooleanField(
        _("active"), default=False, help_text=_("The one that recognises now.")
    )
    registered_at = models.DateTimeField(_("registered at"), auto_now_add=True)

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        ordering = ["-registered_at"]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_name_and_version_once"),
            models.UniqueConstraint(
                fields=["is_active"],
                condition=models.Q(is_active=True),
                name="one_active_model_version",
            ),
            # Target of the template's composite foreign key.
            models.UniqueConstraint(fields=["id", "dimension"], name="model_version_dimension"),
            models.CheckConstraint(
                condition=models.Q(sha256__regex=r"^[0-9a-f]{64}$"), name="model_sha256_is_hex"
            ),
            models.CheckConstraint(
                condition=models.Q(dimension__gte=1), name="model_dimension_at_least_1"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def is_calibrated(self) -> bool:
        """Whether it says what its scores mean; without that it cannot accept anybody."""
        return bool(self.calibration)
