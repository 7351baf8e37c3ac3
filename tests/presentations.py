"""Presentations for `record_decision`: an enrolled person at a kiosk, ready to be decided."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accesscontrol.decisions import (
    Candidate,
    Evidence,
    Policy,
    Recorded,
    Verdict,
    record_decision,
)
from accesscontrol.models import Employee, Kiosk, Outcome, Site
from tests.enrolled import template, unit
from tests.factories import EmployeeFactory, KioskFactory, SiteFactory, threshold_of


def policy_of(site: Site) -> Policy:
    row = threshold_of(site)
    return Policy(
        threshold_id=row.pk,
        model_version_id=row.model_version_id,
        threshold=row.value,
        margin=row.margin,
        fewest_frames=3,
        smallest_face=40.0,
        lowest_quality=0.0,
    )


def evidence(at: datetime | None = None, **fields: Any) -> Evidence:
    at = at or timezone.now()
    return Evidence(
        **{
            "presentation": uuid.uuid4(),
            "frames": 5,
            "face_width": 80.0,
            "quality": 0.7,
            "first_captured_at": at - timedelta(seconds=1),
            "captured_at": at - timedelta(milliseconds=50),
            "received_at": at,
            **fields,
        }
    )


@dataclass(frozen=True, slots=True)
class Door:
    """A kiosk and the one person enrolled at its site."""

    site: Site
    kiosk: Kiosk
    employee: Employee
    policy: Policy

    @property
    def accepted(self) -> Verdict:
        return Verdict(Outcome.ACCEPTED, Candidate(self.employee.pk, 0.83), Candidate(0, 0.2))

    def walk_up(
        self, at: datetime | None = None, *, kiosk: Kiosk | None = None, **fields: Any
    ) -> Recorded:
        """The person is recognised at this moment."""
        kiosk = kiosk or self.kiosk
        return record_decision(kiosk.pk, evidence(at, **fields), self.accepted, self.policy)


def door(*, direction: str = "ALTERNATE", **site: Any) -> Door:
    place = SiteFactory.create(**site)
    employee = EmployeeFactory.create(site=place, consented=True, name="Asha Rao")
    template(employee, unit(1))
    kiosk = KioskFactory.create(site=place, paired=True, direction=direction)
    return Door(place, kiosk, employee, policy_of(place))
