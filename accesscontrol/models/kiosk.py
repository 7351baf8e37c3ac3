"""Kiosks: the devices at a site's doors."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

PERCENT = [MaxValueValidator(100)]
LEAST_ZONE = 10
"""Percent of the picture: nobody hits a narrower zone."""


class Kiosk(models.Model):
    """A device at a door. It holds its private key; here is only the public one.

    Paired when it has a key, revoked for good when `revoked_at` is set; a new pairing code
    brings a revoked kiosk back with a new key.
    """

    class Direction(models.TextChoices):
        ALTERNATE = "ALTERNATE", _("in and out in turn")
        IN = "IN", _("entrance only (IN)")
        OUT = "OUT", _("exit only (OUT)")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(
        "accesscontrol.Site", models.PROTECT, related_name="kiosks", verbose_name=_("site")
    )
    name = models.CharField(_("name"), max_length=100, help_text=_("Like “Main entrance”."))
    direction = models.CharField(
        _("direction"), max_length=10, choices=Direction.choices, default=Direction.ALTERNATE
    )
    smallest_face = models.PositiveIntegerField(
        _("smallest face (pixels)"),
        default=40,
        validators=[MinValueValidator(20), MaxValueValidator(400)],
        help_text=_(
            "Faces narrower than this in the camera picture are passers-by, whom nobody minds. In "
            "a picture 640 pixels wide a face is 50 to 65 at two metres, 110 to 210 at the device."
        ),
    )
    deciding_face = models.PositiveIntegerField(
        _("face near enough (pixels)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(20), MaxValueValidator(400)],
        help_text=_(
            "Whoever does not come so near that their face gets this wide is asked to come "
            "closer and not let in. Empty: the smallest face is near enough."
        ),
    )
    zone_left = models.PositiveSmallIntegerField(_("zone, left (%)"), default=0, validators=PERCENT)
    zone_top = models.PositiveSmallIntegerField(_("zone, top (%)"), default=0, validators=PERCENT)
    zone_right = models.PositiveSmallIntegerField(
        _("zone, right (%)"), default=100, validators=PERCENT
    )
    zone_bottom = models.PositiveSmallIntegerField(
        _("zone, bottom (%)"), default=100, validators=PERCENT
    )
    public_key = models.TextField(
        blank=True, editable=False, help_text=_("ECDSA P-256, SubjectPublicKeyInfo in PEM.")
    )
    paired_at = models.DateTimeField(_("paired at"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("kiosk")
        verbose_name_plural = _("kiosks")
        ordering = ["site", "name"]
        constraints = [
            models.UniqueConstraint(fields=["site", "name"], name="kiosk_name_once_a_site"),
            models.UniqueConstraint(
                fields=["public_key"],
                condition=~models.Q(public_key=""),
                name="kiosk_key_belongs_to_one_kiosk",
            ),
            models.CheckConstraint(
                condition=models.Q(public_key="", paired_at__isnull=True)
                | (~models.Q(public_key="") & models.Q(paired_at__isnull=False)),
                name="kiosk_paired_with_a_key",
            ),
            models.CheckConstraint(
                condition=models.Q(smallest_face__range=(20, 400)), name="kiosk_smallest_face"
            ),
            models.CheckConstraint(
                condition=models.Q(deciding_face__isnull=True)
                | models.Q(deciding_face__gte=models.F("smallest_face"), deciding_face__lte=400),
                name="kiosk_face_near_enough",
                violation_error_message=_(
                    "A face near enough is at least as wide as the smallest face."
                ),
            ),
            models.CheckConstraint(
                condition=models.Q(
                    zone_right__gte=models.F("zone_left") + LEAST_ZONE,
                    zone_bottom__gte=models.F("zone_top") + LEAST_ZONE,
                    zone_right__lte=100,
                    zone_bottom__lte=100,
                ),
                name="kiosk_zone_within_the_picture",
                violation_error_message=_(
                    "The zone is at least a tenth of the picture wide and high."
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}, {self.site}"

    def is_in_zone(self, x: float, y: float) -> bool:
        """Whether a place in the picture, as shares of its width and height, is of this kiosk."""
        across = self.zone_left <= 100 * x <= self.zone_right
        return across and self.zone_top <= 100 * y <= self.zone_bottom

    @property
    def may_stream(self) -> bool:
        return bool(self.public_key) and self.revoked_at is None


class KioskStatus(models.Model):
    """What a kiosk last told about itself, apart from the kiosk so that neither locks the other."""

    kiosk = models.OneToOneField(Kiosk, models.CASCADE, primary_key=True, related_name="status")
    last_seen_at = models.DateTimeField(_("last seen"), null=True)
    connected_from = models.GenericIPAddressField(_("address"), null=True)

    class Meta:
        verbose_name = _("kiosk status")
        verbose_name_plural = _("kiosk statuses")

    def __str__(self) -> str:
        return str(self.last_seen_at or "")


class PairingCode(models.Model):
    """A single-use code, kept as a digest, that lets one device register its public key."""

    kiosk = models.ForeignKey(Kiosk, models.CASCADE, related_name="pairing_codes")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    redeemed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("pairing code")
        verbose_name_plural = _("pairing codes")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(redeemed_at__isnull=True)
                | models.Q(redeemed_at__lte=models.F("expires_at")),
                name="pairing_code_redeemed_in_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kiosk_id} {self.created_at:%F %T}"
