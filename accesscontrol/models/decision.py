"""Decisions: the outcome of each presentation, with its evidence."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class Outcome(models.TextChoices):
    """What became of a presentation. Only ACCEPTED can lead to a punch."""

    ACCEPTED = "ACCEPTED", _("accepted")
    NO_MATCH = "NO_MATCH", _("not recognised")
    AMBIGUOUS = "AMBIGUOUS", _("two people look alike")
    PAD_FAILED = "PAD_FAILED", _("attack suspected")
    CHALLENGE = "CHALLENGE", _("did not do what was asked")
    LOW_QUALITY = "LOW_QUALITY", _("picture not good enough")
    TOO_FAR = "TOO_FAR", _("too far away")
    NOT_ALLOWED = "NOT_ALLOWED", _("not allowed here or now")
    AT_OTHER_KIOSK = "AT_OTHER_KIOSK", _("stands before another kiosk")
    EMPTY_GALLERY = "EMPTY_GALLERY", _("nobody is enrolled at this site")
    NOT_CALIBRATED = "NOT_CALIBRATED", _("no threshold is set for the model in use")
    EXPIRED = "EXPIRED", _("the picture came too late")
    ERROR = "ERROR", _("error")


class Decision(models.Model):
    """The outcome of one presentation: what was seen, compared and concluded. Never edited."""

    site = models.ForeignKey("accesscontrol.Site", models.PROTECT, verbose_name=_("site"))
    kiosk = models.ForeignKey("accesscontrol.Kiosk", models.PROTECT, verbose_name=_("kiosk"))
    presentation = models.UUIDField(_("presentation"))
    outcome = models.CharField(_("outcome"), max_length=15, choices=Outcome.choices)
    employee = models.ForeignKey(
        "accesscontrol.Employee",
        models.PROTECT,
        null=True,
        related_name="decisions",
        verbose_name=_("employee"),
    )
    nearest = models.ForeignKey(
        "accesscontrol.Employee",
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("nearest"),
        help_text=_("Whose template came nearest, whatever the outcome."),
    )
    score = models.FloatField(_("score"), null=True, help_text=_("Cosine of the best candidate."))
    second_score = models.FloatField(
        _("second score"), null=True, help_text=_("Cosine of the second-best person.")
    )
    threshold = models.FloatField(_("threshold"), null=True)
    margin = models.FloatField(_("margin"), null=True)
    threshold_row = models.ForeignKey("accesscontrol.Threshold", models.PROTECT, null=True)
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT, null=True)
    frames = models.PositiveIntegerField(_("frames"), help_text=_("Faces the evidence is from."))
    evidence = models.JSONField(_("evidence"), default=dict)
    first_captured_at = models.DateTimeField(_("first frame taken"), help_text=_("Kiosk's clock."))
    captured_at = models.DateTimeField(_("last frame taken"), help_text=_("Kiosk's clock."))
    received_at = models.DateTimeField(_("received"), help_text=_("Server's clock."))
    decided_at = models.DateTimeField(_("decided"), help_text=_("Server's clock."))

    class Meta:
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        ordering = ["-id"]
        indexes = [models.Index(fields=["site", "-decided_at"], name="decision_by_site_and_time")]
        constraints = [
            models.UniqueConstraint(
                fields=["kiosk", "presentation"], name="one_decision_a_presentation"
            ),
            models.UniqueConstraint(fields=["id", "employee"], name="decision_of_employee"),
            models.CheckConstraint(
                condition=Q(outcome="ACCEPTED", employee__isnull=False)
                | (~Q(outcome="ACCEPTED") & Q(employee__isnull=True)),
                name="decision_names_a_person_only_if_accepted",
            ),
            models.CheckConstraint(
                # NaN sorts above every number in PostgreSQL: the upper bounds keep it out.
                condition=~Q(outcome="ACCEPTED")
                | Q(
                    model_version__isnull=False,
                    threshold_row__isnull=False,
                    threshold__isnull=False,
                    score__isnull=False,
                    score__gte=F("threshold"),
                    score__lte=1.01,
                    frames__gte=1,
                ),
                name="decision_accepted_at_or_above_the_threshold",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.decided_at:%F %T}"
