"""A site: a place with doors, its own gallery, threshold and clock."""

from __future__ import annotations

import zoneinfo
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

EVERY_DAY = "1234567"
"""ISO weekdays, Monday is 1."""


def validate_time_zone(value: str) -> None:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValidationError(
            _("“%(value)s” is no time zone. Write it like Europe/Berlin or Asia/Kolkata."),
            params={"value": value},
        ) from None


class PadPolicy(models.TextChoices):
    """What a site does about pictures of faces held before its cameras."""

    OFF = "off", _("off: a photo of an employee is accepted")
    PASSIVE = "passive", _("passive: what does not look alive is refused")
    STRICT = "strict", _("strict: passive, and who would be accepted must move their head")


class Site(models.Model):
    """A place with doors. Faces are only ever compared with the templates of their own site."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    slug = models.SlugField(
        _("short name"), unique=True, help_text=_("Used on the command line and in file names.")
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text=_("Like Europe/Berlin. Punches are stored in UTC and shown in this zone."),
    )
    cool_down_s = models.PositiveIntegerField(
        _("cool-down (seconds)"),
        default=300,
        validators=[MaxValueValidator(24 * 3600)],
        help_text=_("A person seen again within this time is greeted but not punched again."),
    )
    longest_shift_h = models.PositiveIntegerField(
        _("longest shift (hours)"),
        default=16,
        validators=[MinValueValidator(1), MaxValueValidator(48)],
        help_text=_("After an IN older than this the next punch is an IN again."),
    )
    pad_policy = models.CharField(
        _("presentation attack detection"),
        max_length=10,
        choices=PadPolicy.choices,
        default=PadPolicy.OFF,
        help_text=_(
            "Whether pictures of faces, on paper or a screen, are told from faces. It needs the "
            "model that fetch-models --with minifasnet installs; without it a site that asks for "
            "it accepts nobody."
        ),
    )
    open_days = models.CharField(
        _("days"),
        max_length=7,
        default=EVERY_DAY,
        validators=[RegexValidator(r"^(?=.)1?2?3?4?5?6?7?$")],
        help_text=_("On which people may enter."),
    )
    opens_at = models.TimeField(
        _("from"), null=True, blank=True, help_text=_("On the site's clock. Empty: at any time.")
    )
    closes_at = models.TimeField(
        _("until"),
        null=True,
        blank=True,
        help_text=_(
            "Earlier than “from” means on the next day. Whoever is inside can leave at any time."
        ),
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("site")
        verbose_name_plural = _("sites")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(cool_down_s__lte=24 * 3600), name="site_cool_down_at_most_a_day"
            ),
            models.CheckConstraint(
                condition=models.Q(longest_shift_h__range=(1, 48)), name="site_longest_shift"
            ),
            models.CheckConstraint(
                condition=models.Q(pad_policy__in=["off", "passive", "strict"]),
                name="site_pad_policy",
            ),
            models.CheckConstraint(
                condition=models.Q(open_days__regex=r"^1?2?3?4?5?6?7?$") & ~models.Q(open_days=""),
                name="site_open_days",
            ),
            models.CheckConstraint(
                condition=models.Q(opens_at__isnull=True, closes_at__isnull=True)
                | models.Q(opens_at__isnull=False, closes_at__isnull=False)
                & ~models.Q(opens_at=models.F("closes_at")),
                name="site_hours_have_two_ends",
                violation_error_message=_(
                    "Give both the time from which and until which people may enter, or neither."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)

    @property
    def cool_down(self) -> timedelta:
        return timedelta(seconds=self.cool_down_s)

    @property
    def longest_shift(self) -> timedelta:
        return timedelta(hours=self.longest_shift_h)
