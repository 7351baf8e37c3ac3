"""The change from one face model to another, while people walk in and out."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accesscontrol.models.enrolment import Refusal
from accesscontrol.models.model_version import ModelVersion


class ModelChange(models.Model):
    """One change of the model that recognises; at most one is open at a time.

    While it is open, every accepted photo gets a template under both model versions. Which of
    the two recognises says `ModelVersion.is_active`; a trigger (migration 0009) holds the stage to
    it.
    """

    class Stage(models.TextChoices):
        PREPARING = "PREPARING", _("preparing: the old model recognises")
        SWITCHED = "SWITCHED", _("switched: the new model recognises, the old one is kept")
        FINISHED = "FINISHED", _("finished")
        CANCELLED = "CANCELLED", _("cancelled")

    old = models.ForeignKey(
        ModelVersion, models.PROTECT, related_name="+", verbose_name=_("old model")
    )
    new = models.ForeignKey(
        ModelVersion, models.PROTECT, related_name="+", verbose_name=_("new model")
    )
    stage = models.CharField(
        _("stage"), max_length=10, choices=Stage.choices, default=Stage.PREPARING
    )
    is_open = models.GeneratedField(
        expression=Q(stage__in=["PREPARING", "SWITCHED"]),  # type: ignore[arg-type]  # stubs lag
        output_field=models.BooleanField(),
        db_persist=True,
    )
    shadow_percent = models.PositiveSmallIntegerField(
        _("share of walk-ups that the new model is tried on (%)"),
        default=100,
        validators=[MaxValueValidator(100)],
    )
    started_at = models.DateTimeField(_("started at"), auto_now_add=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    switched_at = models.DateTimeField(_("switched at"), null=True, blank=True)
    rolled_back_at = models.DateTimeField(_("rolled back at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("model change")
        verbose_name_plural = _("model changes")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_open"], condition=Q(is_open=True), name="one_open_model_change"
            ),
            models.CheckConstraint(condition=~Q(old=F("new")), name="model_change_changes"),
            models.CheckConstraint(
                condition=Q(stage__in=["PREPARING", "SWITCHED"], ended_at__isnull=True)
                | Q(stage__in=["FINISHED", "CANCELLED"], ended_at__isnull=False),
                name="model_change_ends_with_its_stage",
            ),
            models.CheckConstraint(
                condition=Q(stage__in=["PREPARING", "CANCELLED"])
                | Q(stage__in=["SWITCHED", "FINISHED"], switched_at__isnull=False),
                name="model_change_switched_at",
            ),
            models.CheckConstraint(
                condition=Q(shadow_percent__lte=100), name="model_change_shadow_percent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.old} → {self.new}"

    @property
    def in_use(self) -> ModelVersion:
        """The one of the two that recognises."""
        return self.new if self.stage == self.Stage.SWITCHED else self.old

    @property
    def beside(self) -> ModelVersion:
        """The other one."""
        return self.old if self.stage == self.Stage.SWITCHED else self.new


class EmbeddingAttempt(models.Model):
    """A photo on its way to a template under a further model version, or why it has none.

    Gone once the template is there. Counted before each attempt, so that a photo that kills its
    worker is given up.
    """

    photo = models.ForeignKey(
        "accesscontrol.EnrolmentPhoto", models.CASCADE, related_name="embedding_attempts"
    )
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.CASCADE)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True)
    refusal = models.CharField(
        _("reason"), max_length=20, choices=Refusal.choices, blank=True, default=""
    )

    class Meta:
        verbose_name = _("embedding attempt")
        verbose_name_plural = _("embedding attempts")
        constraints = [
            models.UniqueConstraint(
                fields=["photo", "model_version"], name="one_attempt_a_photo_and_model"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.photo_id}/{self.model_version_id}"


class ShadowDecision(models.Model):
    """What the new model would have made of a decision; it names nobody and decides nothing."""

    class Agreement(models.TextChoices):
        SAME = "SAME", _("both accept the same person")
        OTHER = "OTHER", _("both accept, but not the same person")
        ONLY_OLD = "ONLY_OLD", _("accepted, the new model would refuse")
        ONLY_NEW = "ONLY_NEW", _("refused, the new model would accept")
        NEITHER = "NEITHER", _("both refuse")

    change = models.ForeignKey(ModelChange, models.CASCADE, related_name="shadows")
    decision = models.OneToOneField(
        "accesscontrol.Decision", models.CASCADE, related_name="shadow", verbose_name=_("decision")
    )
    site = models.ForeignKey("accesscontrol.Site", models.PROTECT, related_name="+")
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT)
    threshold_row = models.ForeignKey("accesscontrol.Threshold", models.PROTECT)
    agreement = models.CharField(_("agreement"), max_length=8, choices=Agreement.choices)
    threshold = models.FloatField(_("threshold"))
    score = models.FloatField(_("score"), null=True)
    second_score = models.FloatField(_("second score"), null=True)
    frames = models.PositiveIntegerField(_("frames"))
    cost_ms = models.FloatField(_("cost (ms)"), default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("shadow decision")
        verbose_name_plural = _("shadow decisions")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                # NaN sorts above every number in PostgreSQL: the upper bound keeps it out.
                condition=Q(score__isnull=True) | Q(score__gte=-1.01, score__lte=1.01),
                name="shadow_score",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.decision_id} {self.agreement}"
