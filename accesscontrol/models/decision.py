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
    SIGN_IN_FAILED = "SIGN_IN_FAILED", _("wrong number, PIN or badge")
    EXPIRED = "EXPIRED", _("the picture came too late")
    ERROR = "ERROR", _("error")


class Method(models.TextChoices):
    """How a person said who they are."""

    FACE = "FACE", _("face")
    PIN = "PIN", _("PIN")
    BADGE = "BADGE", _("badge")
    FACE_AND_PIN = "FACE_AND_PIN", _("face and PIN")
    FACE_AND_BADGE = "FACE_AND_BADGE", _("face and badge")


class Decision(models.Model):
    """The outcome of one presentation: what was seen, compared and concluded. Never edited.

    So are sign-ins with PIN or badge: the client's own id of the attempt is their presentation.
    One that answers the step-up of an ambiguous presentation points at its decision. Composite
    foreign keys (migration 0010) hold what accepted a person to that person.
    """

    site = models.ForeignKey("accesscontrol.Site", models.PROTECT, verbose_name=_("site"))
    kiosk = models.ForeignKey("accesscontrol.Kiosk", models.PROTECT, verbose_name=_("kiosk"))
    presentation = models.UUIDField(_("presentation"))
    outcome = models.CharField(_("outcome"), max_length=15, choices=Outcome.choices)
    method = models.CharField(
        _("method"),
        max_length=15,
        choices=Method.choices,
        default=Method.FACE,
        db_default=Method.FACE,
    )
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
        help_text=_("Whose template came nearest, or whose PIN or badge it was."),
    )
    score = models.FloatField(_("score"), null=True, help_text=_("Cosine of the best candidate."))
    second_score = models.FloatField(
        _("second score"), null=True, help_text=_("Cosine of the second-best person.")
    )
    threshold = models.FloatField(_("threshold"), null=True)
    margin = models.FloatField(_("margin"), null=True)
    threshold_row = models.ForeignKey("accesscontrol.Threshold", models.PROTECT, null=True)
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT, null=True)
    pin = models.ForeignKey(
        "accesscontrol.Pin", models.PROTECT, null=True, related_name="+", editable=False
    )
    badge = models.ForeignKey(
        "accesscontrol.Badge", models.PROTECT, null=True, related_name="+", editable=False
    )
    steps_up = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="step_ups", verbose_name=_("steps up")
    )
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
                | Q(method__in=["PIN", "BADGE"])
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
            models.CheckConstraint(
                condition=Q(method="FACE", pin__isnull=True, badge__isnull=True)
                | (
                    Q(method__in=["PIN", "FACE_AND_PIN"], badge__isnull=True)
                    & (~Q(outcome="ACCEPTED") | Q(pin__isnull=False))
                )
                | (
                    Q(method__in=["BADGE", "FACE_AND_BADGE"], pin__isnull=True)
                    & (~Q(outcome="ACCEPTED") | Q(badge__isnull=False))
                ),
                name="decision_accepted_by_its_method",
            ),
            models.CheckConstraint(
                condition=Q(method__in=["FACE", "PIN", "BADGE"], steps_up__isnull=True)
                | Q(method__in=["FACE_AND_PIN", "FACE_AND_BADGE"], steps_up__isnull=False),
                name="decision_steps_up_by_face_and_more",
            ),
            models.UniqueConstraint(
                fields=["steps_up"],
                condition=Q(outcome="ACCEPTED"),
                name="one_acceptance_a_step_up",
            ),
            # Target of a step-up's composite foreign key: it is settled where it was asked for.
            models.UniqueConstraint(fields=["id", "kiosk"], name="decision_of_kiosk"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} {self.decided_at:%F %T}"
