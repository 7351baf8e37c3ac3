"""A decision's page tells what somebody was asked to do with their head, and did."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accesscontrol.admin.challenge_words import in_a_sentence
from accesscontrol.admin.pose_plot import pose_plot
from accesscontrol.admin.why import why
from accesscontrol.models import Decision, Outcome
from tests.factories import DecisionFactory

pytestmark = pytest.mark.django_db


def challenge(**changed: Any) -> dict[str, Any]:
    """Left, up and right, each in time, with poses as a worker keeps them."""
    return {
        "fulfilled": True,
        "end": "FULFILLED",
        "movements": [
            {"movement": "LEFT", "prompted_ms": 400, "reached_ms": 1300, "back_ms": 1900},
            {"movement": "UP", "prompted_ms": 1900, "reached_ms": 3000, "back_ms": 3600},
            {"movement": "RIGHT", "prompted_ms": 3600, "reached_ms": 4800, "back_ms": 5400},
        ],
        "level": [2.0, -5.0],
        "poses": [
            [0, 2.0, -5.0], [400, 3.0, -4.0], [1000, 20.0, -5.0], [1300, 34.0, 0.0],
            [1900, 1.0, -5.0], [2500, 0.0, 12.0], [3000, 2.0, 30.0], [3600, 2.0, -3.0],
            [4300, -15.0, -5.0], [4800, -28.0, -6.0], [5400, 2.0, -5.0],
        ],
        **changed,
    }  # fmt: skip


def refused(kept: dict[str, Any] | None) -> Decision:
    decision: Decision = DecisionFactory.create(
        outcome=Outcome.CHALLENGE, evidence={"challenge": kept}
    )
    return decision


def test_what_was_done_is_said_in_a_sentence_with_its_times() -> None:
    decision = DecisionFactory.create(accepted=True, evidence={"challenge": challenge()})
    sentence = (
        "The person was asked to turn the head left, then to look up, then to turn the head right, "
        "and did so within 0.9 s and 1.1 s and 1.2 s."
    )
    assert in_a_sentence(decision) == sentence
    assert sentence in why(decision)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("WRONG", "made another movement"),
        ("TOO_EARLY", "moved sooner after the prompt than a person can"),
        ("EXPIRED", "did not do it in time"),
        ("LOST", "was out of sight in between"),
        (None, "left before it was done"),
        ("OF_A_LATER_VERSION", "left before it was done"),
    ],
)
def test_a_refusal_says_what_was_missed_and_that_there_is_another_way_in(
    end: str | None, words: str
) -> None:
    first = {"movement": "LEFT", "prompted_ms": 400, "reached_ms": None, "back_ms": None}
    never = {"movement": "UP", "prompted_ms": None, "reached_ms": None, "back_ms": None}
    decision = refused(challenge(fulfilled=False, end=end, movements=[first, never]))
    text = why(decision)
    assert f"asked to turn the head left, and {words}" in text
    assert "look up" not in text, "what was not shown was not asked"
    assert "another way in" in text


def test_who_was_never_asked_is_told_apart() -> None:
    assert "would have been asked" in why(refused(None))


def test_the_page_draws_how_the_head_was_held(admin_client: Client) -> None:
    decision = DecisionFactory.create(accepted=True, evidence={"challenge": challenge()})
    page = admin_client.get(reverse("admin:accesscontrol_decision_change", args=[decision.pk]))
    text = page.content.decode()
    assert "What the person was asked to do" in text
    assert "Turned by at most 32° to the left and 30° to the right." in text
    assert text.count("gh-limit") >= 3
    assert "&quot;poses&quot;" not in text, "the raw evidence leaves out what the plot shows"


def test_a_decision_without_a_challenge_has_no_such_part(admin_client: Client) -> None:
    decision = DecisionFactory.create(accepted=True)
    page = admin_client.get(reverse("admin:accesscontrol_decision_change", args=[decision.pk]))
    assert "What the person was asked to do" not in page.content.decode()


def test_left_is_up_in_the_plot_and_everything_stays_in_it() -> None:
    drawn = pose_plot(challenge(poses=[[0, 2.0, -5.0], [100, 500.0, -500.0], [200, -500.0, 0.0]]))
    assert drawn is not None
    heights = [float(point.split(",")[1]) for point in drawn.yaw.split()]
    assert heights[1] < heights[0] < heights[2]
    assert min(heights) >= 26
    assert max(heights) <= 168


@pytest.mark.parametrize("kept", [None, {}, {"poses": []}, {"poses": [[1, 2]]}])
def test_without_poses_there_is_no_plot(kept: dict[str, Any] | None) -> None:
    assert pose_plot(kept) is None
