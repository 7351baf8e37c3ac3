"""Unknown visitors: faces of people who were refused, kept for days where a site has chosen so."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from pgvector.django import HalfVectorField

LONGEST_RETENTION_DAYS = 30
MOST_PEOPLE = 500
PURPOSE_MAX = 500


class VisitorPolicy(models.Model):
    """A site's choice to keep the faces of unknown visitors, by whom and what for.

    No row, nothing kept: visits and visitors hang on it, and go with it by the database's own
    hand, whoever deletes it (migration 0012).
    """

    site = models.OneToOneField(
        "accesscontrol.Site",
        models.PROTECT,
        related_name="visitor_policy",
        verbose_name=_("site"),
    )
    retention_days = models.PositiveSmallIntegerField(
        _("kept for (days)"),
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_RETENTION_DAYS)],
    )
    purpose = models.CharField(_("purpose"), max_length=PURPOSE_MAX)
    people = models.PositiveSmallIntegerField(
        _("number of people"),
        null=True,
        help_text=_("Among how many people visits are dealt out; empty: found out by itself."),
    )
    switched_on_at = models.DateTimeField(_("switched on at"), auto_now_add=True)
    switched_on_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, verbose_name=_("switched on by")
    )
    stamp = models.CharField(
        max_length=64, blank=True, editable=False, help_text=_("Of the visits grouped last.")
    )

    class Meta:
        verbose_name = _("choice about unknown visitors")
        verbose_name_plural = _("choices about unknown visitors")
        constraints = [
            models.CheckConstraint(
                condition=Q(retention_days__range=(1, LONGEST_RETENTION_DAYS)),
                name="visitor_policy_retention",
            ),
            models.CheckConstraint(condition=~Q(purpose=""), name="visitor_policy_has_a_purpose"),
            models.CheckConstraint(
                condition=Q(people__isnull=True) | Q(people__range=(1, MOST_PEOPLE)),
                name="visitor_policy_people",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.site_id}: {self.retention_days}"


class Visitor(models.Model):
    """Visits that look like one person's, whom nobody has named."""

    policy = models.ForeignKey(VisitorPolicy, models.CASCADE, related_name="visitors")
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT)
    nearest = models.ForeignKey(
        "accesscontrol.Employee",
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("nearest"),
        help_text=_("Whose template came nearest to the middle of the visits."),
    )
    nearest_score = models.FloatField(_("score"), null=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("unknown visitor")
        verbose_name_plural = _("unknown visitors")
        ordering = ["id"]
        constraints = [
            # Target of a visit's composite foreign key: one site and one model version.
            models.UniqueConstraint(
                fields=["id", "policy", "model_version"], name="visitor_of_policy_and_model"
            ),
            models.CheckConstraint(
                # NaN sorts above every number in PostgreSQL: the upper bound keeps it out.
                condition=Q(nearest__isnull=True)
                | Q(nearest_score__gte=-1.01, nearest_score__lte=1.01),
                name="visitor_nearest_with_its_score",
            ),
        ]

    def __str__(self) -> str:
        return str(_("Unknown person %(number)d") % {"number": self.pk})


class Visit(models.Model):
    """The probe of one refused walk-up, rotated like a template (see `accesscontrol.crypto`).

    Triggers and composite foreign keys (migration 0012) hold it to a decision that is NO_MATCH, of
    the policy's site and this model version, and to a visitor of the same.
    """

    policy = models.ForeignKey(VisitorPolicy, models.CASCADE, related_name="visits")
    decision = models.OneToOneField(
        "accesscontrol.Decision", models.CASCADE, related_name="visit", verbose_name=_("decision")
    )
    visitor = models.ForeignKey(Visitor, models.CASCADE, null=True, related_name="visits")
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT)
    dimension = models.PositiveIntegerField(editable=False)
    rotation_id = models.CharField(max_length=16, editable=False)
    embedding = HalfVectorField(editable=False)
    seen_at = models.DateTimeField(_("seen at"), help_text=_("Server's clock."))
    last_seen_at = models.DateTimeField(
        _("last seen at"), help_text=_("Later than that where one stood there for long.")
    )
    refusals = models.PositiveIntegerField(_("refusals"), default=1)
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("visit")
        verbose_name_plural = _("visits")
        ordering = ["seen_at", "id"]
        indexes = [
            models.Index(fields=["policy", "last_seen_at"], name="visit_by_policy_and_time"),
            models.Index(fields=["expires_at"], name="visit_expiry"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(last_seen_at__gte=F("seen_at"), expires_at__gt=F("seen_at")),
                name="visit_times_in_order",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__lte=F("seen_at") + timedelta(days=LONGEST_RETENTION_DAYS)),
                name="visit_expires_in_time",
            ),
            models.CheckConstraint(condition=Q(refusals__gte=1), name="visit_of_a_refusal"),
        ]

    def __str__(self) -> str:
        return f"{self.policy_id} {self.seen_at:%F %T}"
