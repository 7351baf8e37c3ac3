"""Decisions in the admin: each is answered with a sentence a person can act on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from accesscontrol.admin.why import why
from accesscontrol.models import Outcome
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    PunchFactory,
    SiteFactory,
    ThresholdFactory,
)

pytestmark = pytest.mark.django_db
LIST = "admin:accesscontrol_decision_changelist"


@pytest.mark.parametrize("outcome", Outcome.values)
def test_every_outcome_has_a_sentence_and_a_page(admin_client: Client, outcome: str) -> None:
    accepted = outcome == Outcome.ACCEPTED
    decision = DecisionFactory.create(**({"accepted": True} if accepted else {"outcome": outcome}))
    sentence = why(decision)
    assert sentence.endswith(".")
    page = admin_client.get(reverse("admin:accesscontrol_decision_change", args=[decision.pk]))
    assert page.status_code == 200


@pytest.mark.parametrize("outcome", [o for o in Outcome.values if o != Outcome.ACCEPTED])
def test_a_decision_without_any_evidence_is_answered_as_well(outcome: str) -> None:
    bare = DecisionFactory.create(
        outcome=outcome, score=None, second_score=None, threshold=None, margin=None,
        threshold_row=None, model_version=None, frames=0,
    )  # fmt: skip
    assert "None" not in why(bare)


def test_an_accepted_person_is_named_with_score_threshold_and_punch() -> None:
    employee = EmployeeFactory.create(name="Asha Rao", site__time_zone="Asia/Kolkata")
    ThresholdFactory.create(site=employee.site, value=0.62)
    punch = PunchFactory.create(employee=employee, at=datetime(2026, 11, 10, 3, 32, tzinfo=UTC))
    assert why(punch.decision) == (
        "Asha Rao was recognised: the likeness 0.83 reaches the site's threshold 0.62, and the "
        "next-nearest person lies 0.61 lower (at least 0.05 is asked). Punched IN at 09:02:00."
    )


def test_a_refused_person_is_told_the_score_and_what_to_do() -> None:
    employee = EmployeeFactory.create(name="Björn")
    decision = DecisionFactory.create(site=employee.site, nearest=employee, score=0.58)
    assert why(decision) == (
        "The nearest enrolled person, Björn, has a likeness of 0.58; the site asks for 0.62. If it "
        "was Björn, enrol another photo, taken in the light of this door."
    )


def test_an_acceptance_within_the_cool_down_says_why_there_is_no_punch() -> None:
    assert "within the site's cool-down" in why(DecisionFactory.create(accepted=True))


def test_the_list_is_filtered_by_site_outcome_and_the_sites_own_day(admin_client: Client) -> None:
    kolkata = SiteFactory.create(time_zone="Asia/Kolkata")
    kiosk = KioskFactory.create(site=kolkata, paired=True)
    late = datetime(2026, 11, 9, 18, 40, tzinfo=UTC)  # 00:10 on the 10th there
    wanted = DecisionFactory.create(site=kolkata, kiosk=kiosk, at=late)
    DecisionFactory.create(site=kolkata, kiosk=kiosk, at=late, outcome=Outcome.TOO_FAR)
    DecisionFactory.create(site=kolkata, kiosk=kiosk, at=datetime(2026, 11, 9, 18, tzinfo=UTC))
    DecisionFactory.create(at=late)
    answer = admin_client.get(
        reverse(LIST),
        {
            "site__id__exact": str(kolkata.pk),
            "outcome__exact": Outcome.NO_MATCH.value,
            "decided_at_from": "2026-11-10",
            "decided_at_to": "2026-11-10",
        },
    )
    assert [row.pk for row in answer.context["cl"].queryset] == [wanted.pk]
    assert "2026-11-10 00:10:00" in answer.content.decode()
