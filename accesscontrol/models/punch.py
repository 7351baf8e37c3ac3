"""Punches: the attendance events. Never edited; a correction is a new row."""

from __future__ import annotations

import zoneinfo
from datetime import datetime

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.utils.translation import gettext_lazy as _


class Direction(models.TextChoices):
    IN = "IN", _("IN")
    OUT = "OUT", _("OUT")


class Punch(models.Model):
    """One arrival or departure of an employee.

    `at` is the server's clock; the kiosk's is kept beside it. The database refuses a second
    punch of a person within the cool-down, and any UPDATE or DELETE (migration 0002).
    """

    decision = models.OneToOneField(
        "accesscontrol.Decision", models.PROTECT, related_name="punch", verbose_name=_("decision")
    )
    employee = models.ForeignKey(
        "accesscontrol.Employee",
        models.PROTECT,
        related_name="punches",
        verbose_name=_("employee"),
    )
    site = models.ForeignKey("accesscontrol.Site", models.PROTECT, verbose_name=_("site"))
    kiosk = models.ForeignKey("accesscontrol.Kiosk", models.PROTECT, verbose_name=_("kiosk"))
    presentation = models.UUIDField(_("presentation"))
    direction = models.CharField(_("direction"), max_length=3, choices=Direction.choices)
    at = models.DateTimeField(_("time"), help_text=_("Server's clock."))
    captured_at = models.DateTimeField(_("taken"), help_text=_("Kiosk's clock."))
    time_zone = models.CharField(
        _("time zone"), max_length=64, help_text=_("The site's zone at that time.")
    )
    cooling = DateTimeRangeField(
        _("cool-down"), editable=False, help_text=_("No other punch of the person in this time.")
    )

    class Meta:
        verbose_name = _("punch")
        verbose_name_plural = _("punches")
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["-at", "-id"], name="punch_by_time"),
            models.Index(fields=["site", "at", "id"], name="punch_by_site_and_time"),
            models.Index(fields=["employee", "-at"], name="punch_by_employee_and_time"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["kiosk", "presentation"], name="one_punch_a_presentation"
            ),
            ExclusionConstraint(
                name="no_second_punch_within_the_cool_down",
                expressions=[
                    # The id as a range of itself: integers have no GiST operators without the
                    # btree_gist extension, which not every PostgreSQL brings.
                    (
                        models.Func(
                            models.F("employee"),
                            models.F("employee"),
                            models.Value("[]"),
                            function="int8range",
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                    ("cooling", RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                condition=models.Q(direction__in=["IN", "OUT"]), name="punch_direction"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.employee_id} {self.direction} {self.at:%F %T}"

    @property
    def local_at(self) -> datetime:
        """The time on the site's own clock, with its offset."""
        return self.at.astimezone(zoneinfo.ZoneInfo(self.time_zone))
