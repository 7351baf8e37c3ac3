"""Enrolment photos and the templates made from them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from pgvector.django import HalfVectorField


class PhotoStatus(models.TextChoices):
    PENDING = "PENDING", _("waiting")
    ACCEPTED = "ACCEPTED", _("accepted")
    REFUSED = "REFUSED", _("refused")


class Refusal(models.TextChoices):
    """Why a photo was refused; the label is the advice that HR reads."""

    NO_FACE = "NO_FACE", _("No face found. Use a photo that shows the face from the front.")
    SEVERAL_FACES = (
        "SEVERAL_FACES",
        _("More than one face. Crop the photo so that it shows one person only."),
    )
    FACE_TOO_SMALL = (
        "FACE_TOO_SMALL",
        _("The face is too small. Use a photo in which it is at least 50 pixels wide."),
    )
    LOW_QUALITY = (
        "LOW_QUALITY",
        _("The face cannot be made out well. Use a sharp photo of the whole face from the front."),
    )
    BLURRED = "BLURRED", _("The face is blurred. Use a sharp photo.")
    TOO_DARK = "TOO_DARK", _("The face is too dark. Use a photo with light on the face.")
    TOO_BRIGHT = "TOO_BRIGHT", _("The face is over-exposed. Use a photo with softer light.")
    LOW_CONTRAST = "LOW_CONTRAST", _("The photo is hazy. Use one with more contrast.")
    TURNED = "TURNED", _("The face is turned away. Use a photo that shows it from the front.")
    COVERED = (
        "COVERED",
        _("Something covers a part of the face. Use a photo without mask, scarf or dark glasses."),
    )
    UNREADABLE = (
        "UNREADABLE",
        _("The file cannot be read as an image. Save it again as JPEG, PNG or WebP."),
    )
    OTHER_PERSON = (
        "OTHER_PERSON",
        _("This face does not look like the photos already accepted for this person."),
    )
    NOT_PROCESSED = (
        "NOT_PROCESSED",
        _("The photo could not be processed. Upload it again; if it happens twice, tell IT."),
    )


class EnrolmentPhoto(models.Model):
    """One uploaded photo: sealed while it waits and when accepted, its bytes gone when refused."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    employee = models.ForeignKey(
        "accesscontrol.Employee", models.PROTECT, related_name="photos", verbose_name=_("employee")
    )
    consent = models.ForeignKey("accesscontrol.Consent", models.PROTECT, related_name="photos")
    consent_live = models.BooleanField(default=True, editable=False)
    status = models.CharField(
        _("status"), max_length=10, choices=PhotoStatus.choices, default=PhotoStatus.PENDING
    )
    refusal = models.CharField(
        _("reason"), max_length=20, choices=Refusal.choices, blank=True, default=""
    )
    file_name = models.CharField(_("file"), max_length=200, blank=True)
    sealed = models.BinaryField(null=True, editable=False)
    key_id = models.CharField(max_length=16, blank=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    quality = models.JSONField(_("quality"), default=dict, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    claimed_at = models.DateTimeField(null=True, editable=False)
    uploaded_at = models.DateTimeField(_("uploaded at"), auto_now_add=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, editable=False
    )
    processed_at = models.DateTimeField(_("processed at"), null=True, editable=False)

    class Meta:
        verbose_name = _("enrolment photo")
        verbose_name_plural = _("enrolment photos")
        ordering = ["uploaded_at"]
        indexes = [
            models.Index(
                fields=["uploaded_at"],
                condition=models.Q(status="PENDING"),
                name="photo_waiting",
            )
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(consent_live=True), name="photo_has_consent"),
            models.UniqueConstraint(
                fields=["employee", "digest"],
                condition=~models.Q(status="REFUSED"),
                name="same_photo_once_a_person",
            ),
            models.UniqueConstraint(fields=["id", "employee"], name="photo_of_employee"),
            models.CheckConstraint(
                condition=models.Q(status="REFUSED", sealed__isnull=True) & ~models.Q(refusal="")
                | models.Q(status__in=["PENDING", "ACCEPTED"], sealed__isnull=False, refusal=""),
                name="photo_refused_with_reason_and_without_bytes",
            ),
            models.CheckConstraint(
                condition=models.Q(status="PENDING", processed_at__isnull=True)
                | models.Q(status__in=["ACCEPTED", "REFUSED"], processed_at__isnull=False),
                name="photo_processed_at",
            ),
        ]

    def __str__(self) -> str:
        return self.file_name or str(self.id)


class Template(models.Model):
    """One embedding of one photo under one model version, rotated (see `accesscontrol.crypto`).

    Composite foreign keys (migration 0002) hold it to a live consent and a photo of the same
    employee and to its model version's dimension.
    """

    employee = models.ForeignKey("accesscontrol.Employee", models.PROTECT, related_name="templates")
    photo = models.ForeignKey(EnrolmentPhoto, models.CASCADE, related_name="templates")
    consent = models.ForeignKey("accesscontrol.Consent", models.PROTECT, related_name="templates")
    consent_live = models.BooleanField(default=True, editable=False)
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT)
    dimension = models.PositiveIntegerField(editable=False)
    rotation_id = models.CharField(
        max_length=16, editable=False, help_text=_("The template key it was rotated with.")
    )
    embedding = HalfVectorField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(consent_live=True), name="template_has_consent"
            ),
            models.UniqueConstraint(
                fields=["photo", "model_version"], name="one_template_a_photo_and_model"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.employee_id}/{self.model_version_id}"
