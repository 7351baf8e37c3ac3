"""Punches: the attendance events. Never edited; a correction is a new row."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from typing import Self

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.utils.translation import gettext_lazy as _


class Direction(models.TextChoices):
    IN = "IN", _("IN")
    OUT = "OUT", _("OUT")


class PunchQuerySet(models.QuerySet["Punch"]):
    def standing(self) -> Self:
        """Those that count: no correction has cancelled them."""
        return self.filter(cancelled_by__isnull=True)


class Punch(models.Model):
    """One arrival or departure of an employee.

    `at` is the server's clock; the kiosk's is kept beside it. The database refuses a second
    punch of a person within the cool-down, and any UPDATE or DELETE (migration 0002). It is the
    kiosk's, of the accepted person, or comes from a correction and is of whom that one names
    (migration 0008).
    """

    decision = models.ForeignKey(
        "accesscontrol.Decision", models.PROTECT, related_name="punches", verbose_name=_("decision")
    )
    correction = models.OneToOneField(
        "accesscontrol.Correction",
        models.PROTECT,
        null=True,
        related_name="punch",
        verbose_name=_("correction"),
        help_text=_("What brought it, if no kiosk did."),
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
    accepted_employee = models.GeneratedField(
        # What the foreign key to the accepting decision goes by: no correction needs one.
        expression=models.Case(models.When(correction__isnull=True, then=models.F("employee"))),
        output_field=models.BigIntegerField(null=True),
        db_persist=True,
    )

    objects = PunchQuerySet.as_manager()

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
                fields=["kiosk", "presentation"],
                condition=models.Q(correction__isnull=True),
                name="one_punch_a_presentation",
            ),
            models.UniqueConstraint(
                fields=["decision"],
                condition=models.Q(correction__isnull=True),
                name="one_punch_a_decision",
            ),
            # Target of a correction's composite foreign key.
            models.UniqueConstraint(fields=["id", "decision"], name="punch_of_decision"),
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
            models.CheckConstraint(
                # It could not be brought back otherwise within the cool-down of what it cancels.
                condition=models.Q(correction__isnull=True) | models.Q(cooling__isempty=True),
                name="punch_by_correction_has_no_cool_down",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.employee_id} {self.direction} {self.at:%F %T}"

    @property
    def local_at(self) -> datetime:
        """The time on the site's own clock, with its offset."""
        return self.at.astimezone(zoneinfo.ZoneInfo(self.time_zone))
