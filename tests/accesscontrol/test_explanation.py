"""A decision's page: what it rests on, in words, for who may see it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accesscontrol import likeness
from accesscontrol.admin.trail_plot import plot
from accesscontrol.admin.why import why
from accesscontrol.candidates import keep_candidates
from accesscontrol.corrections import Marked, correct_punch
from accesscontrol.explanation import Frame, explain
from accesscontrol.models import Decision, Employee, Outcome, Site
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    ModelVersionFactory,
    PunchFactory,
    SiteFactory,
    ThresholdFactory,
    UserFactory,
    active_model_version,
)

pytestmark = pytest.mark.django_db

TRAIL = [[0, 0.4, 80.0, 0.1], [120, 0.6, 85.0, 0.2], [260, 0.55, 90.0, 0.15]]
EVIDENCE = {
    "trail": TRAIL,
    "policy": {"lowest_quality": 0.25, "smallest_face": 40.0},
    "quality": 0.71,
    "face_width": 90.0,
    "pad": {"score": 0.15, "threshold": 0.5, "frames": 3, "model": "minifasnet 1"},
    "waited_ms": 10,
    "pipeline_ms": 100,
    "search_ms": 5,
    "batch": 3,
}
FUSED = {
    "data": "portraits of 1,664 people",
    "impostor": {"mean": 0.633, "sd": 0.0551},
    "thresholds": {"1e-2": 0.760, "1e-4": 0.828, "1e-6": 0.873},
}


@pytest.fixture
def site() -> Site:
    site: Site = SiteFactory.create()
    return site


@pytest.fixture
def people(site: Site) -> list[Employee]:
    names = ("Asha Rao", "Bert", "Carl")
    return [EmployeeFactory.create(site=site, name=name, consented=True) for name in names]


@pytest.fixture
def decision(site: Site, people: list[Employee]) -> Decision:
    """Asha was refused; Bert and Carl were less near."""
    by = UserFactory.create(username="rosa")
    ThresholdFactory.create(site=site, value=0.62, reason="quiet door", set_by=by)
    row: Decision = DecisionFactory.create(
        site=site, nearest=people[0], score=0.58, second_score=0.3, evidence=dict(EVIDENCE)
    )
    scores = (0.58, 0.3, 0.1)
    keep_candidates(row, [(p.pk, score) for p, score in zip(people, scores, strict=True)])
    return row


def page_of(client: Client, decision: Decision) -> str:
    address = reverse("admin:accesscontrol_decision_change", args=[decision.pk])
    return client.get(address).content.decode()


def login(client: Client, group: str) -> Client:
    user = UserFactory.create(staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return client


class TestWhatALikenessMeans:
    @pytest.mark.parametrize(
        ("score", "words"),
        [
            (0.63, "as alike as two strangers usually are"),
            (0.70, "1 in 9 pairs of strangers is as alike"),
            (0.76, "1 in 100 pairs of strangers is as alike"),
            (0.794, "1 in 1,000 pairs of strangers is as alike"),
            (0.873, "1 in 1,000,000 pairs of strangers is as alike"),
            (0.95, "fewer than 1 in 1,000,000 pairs of strangers is as alike"),
        ],
    )
    def test_by_the_models_own_calibration(self, score: float, words: str) -> None:
        version = ModelVersionFactory.create(calibration=FUSED)
        assert likeness.meaning(version, score) == words

    def test_it_never_rises_with_the_score(self) -> None:
        version = ModelVersionFactory.create(calibration=FUSED)
        found = [likeness.stranger_share(version, score / 100) for score in range(-100, 101)]
        shares = [share for share, _ in filter(None, found)]
        assert len(shares) == 201
        assert shares == sorted(shares, reverse=True)
        assert all(0 < share <= 1 for share in shares)

    @pytest.mark.parametrize("calibration", [{}, {"thresholds": {}}])
    def test_without_a_calibration_nothing_is_claimed(self, calibration: dict[str, Any]) -> None:
        version = ModelVersionFactory.create(calibration=calibration)
        assert likeness.meaning(version, 0.63) == ""
        assert likeness.meaning(None, 0.63) == ""

    def test_below_what_is_measured_nothing_is_claimed(self) -> None:
        version = ModelVersionFactory.create(calibration={"thresholds": {"1e-2": 0.4}})
        assert likeness.meaning(version, 0.2) == ""

    @pytest.mark.parametrize("score", [float("nan"), float("inf")])
    def test_what_is_no_score_means_nothing(self, score: float) -> None:
        version = ModelVersionFactory.create(calibration=FUSED)
        assert likeness.stranger_share(version, score) is None


class TestThePage:
    def test_it_answers_first_and_then_shows_what_it_rests_on(
        self, client: Client, decision: Decision
    ) -> None:
        page = page_of(login(client, "HR"), decision)
        for shown in (
            "The nearest enrolled person, Asha Rao",
            "0.580", "0.300", "0.100",
            "1 in 220,000 pairs of strangers is as alike",
            "0.620", "set by rosa", "quiet door",
            "0.280", "margin asked: 0.050",
            str(active_model_version()),
            "0.71", "asked: 0.25", "90 px", "asked: 40", "of 3 faces, by minifasnet 1",
            "decoded and analysed", "together with frames of 2 other kiosks",
        ):  # fmt: skip
            assert shown in page, shown
        assert page.index("The nearest enrolled person") < page.index("Who came near")

    def test_the_threshold_that_was_in_force_is_shown_not_todays(
        self, client: Client, decision: Decision
    ) -> None:
        ThresholdFactory.create(site=decision.site, value=0.9, reason="stricter since")
        page = page_of(login(client, "HR"), decision)
        assert "quiet door" in page
        assert "stricter since" not in page

    def test_the_frames_are_plotted_and_said_in_words(
        self, client: Client, decision: Decision
    ) -> None:
        page = page_of(login(client, "HR"), decision)
        svg = page[page.index('<svg class="gh-plot gh-trail"') : page.index("</svg>")]
        assert svg.count("<circle") == 6
        assert "3 faces over 0.3 seconds; quality between 0.40 and 0.60" in svg
        assert not re.search(r"style=|<script|href=|url\(", svg), "nothing inline, nothing fetched"
        assert "<td>120 ms</td><td>0.60</td><td>85 px</td><td>0.20</td>" in page

    def test_numbers_of_the_plot_have_points_in_every_language(
        self, client: Client, decision: Decision, settings: Any
    ) -> None:
        settings.LANGUAGE_CODE = "de"
        page = page_of(login(client, "HR"), decision)
        marks = re.findall(r'<circle cx="([^"]+)" cy="([^"]+)"', page)
        assert len(marks) == 6
        assert all("," not in x + y for x, y in marks)

    @pytest.mark.parametrize("evidence", [{}, {"trail": None}, {"trail": []}, {"policy": None}])
    def test_an_old_decision_without_frames_or_candidates_is_shown_too(
        self, client: Client, site: Site, people: list[Employee], evidence: dict[str, Any]
    ) -> None:
        old = DecisionFactory.create(site=site, nearest=people[0], score=0.58, evidence=evidence)
        page = page_of(login(client, "HR"), old)
        assert "No frames were kept" in page
        assert "0.580" in page

    @pytest.mark.parametrize("outcome", [o for o in Outcome.values if o != Outcome.ACCEPTED])
    def test_a_decision_without_anything_is_shown(self, client: Client, outcome: str) -> None:
        bare = DecisionFactory.create(
            outcome=outcome, score=None, second_score=None, threshold=None, margin=None,
            threshold_row=None, model_version=None, frames=0,
        )  # fmt: skip
        assert "Nobody was compared." in page_of(login(client, "HR"), bare)


class TestWhoMaySeeWhom:
    NAMES = ("Asha", "Bert", "Carl")

    def test_hr_reads_the_names(self, client: Client, decision: Decision) -> None:
        page = page_of(login(client, "HR"), decision)
        assert all(name in page for name in self.NAMES)

    def test_it_reads_scores_and_another_person(self, client: Client, decision: Decision) -> None:
        page = page_of(login(client, "IT"), decision)
        assert not any(name in page for name in self.NAMES)
        assert page.count("another person") == 3
        assert "0.580" in page

    def test_the_list_names_nobody_either(self, client: Client, decision: Decision) -> None:
        login(client, "IT")
        address = reverse("admin:accesscontrol_decision_changelist")
        for query in ({}, {"q": "Asha"}):
            page = client.get(address, query).content.decode()
            assert not any(name in page.replace("value=", "") for name in self.NAMES[1:])
            assert "Rao" not in page

    def test_an_acceptance_and_its_correction_name_nobody(
        self, client: Client, people: list[Employee]
    ) -> None:
        punch = PunchFactory.create(employee=people[0])
        correct_punch(punch.decision, Marked(people[1], "Carl told me"), by=None)
        page = page_of(login(client, "IT"), punch.decision)
        assert not any(name in page for name in self.NAMES)

    def test_some_are_seen_and_some_are_not(
        self, decision: Decision, people: list[Employee]
    ) -> None:
        shown = explain(decision, Employee.objects.filter(pk=people[1].pk))
        assert [line.name for line in shown.candidates] == [
            "another person", "Bert", "another person",
        ]  # fmt: skip
        assert why(shown.decision).startswith("The nearest enrolled person has a likeness of 0.58")

    def test_whoever_withdrew_is_another_person_to_everybody(
        self, client: Client, decision: Decision
    ) -> None:
        decision.candidate_scores.filter(rank=1).update(employee=None)
        Decision.objects.filter(pk=decision.pk).update(nearest=None)
        page = page_of(login(client, "HR"), Decision.objects.get(pk=decision.pk))
        assert "Asha" not in page
        assert "another person" in page

    def test_the_row_itself_is_left_as_it_is(self, decision: Decision) -> None:
        explain(decision, Employee.objects.none())
        assert decision.nearest is not None
        assert decision.nearest.name == "Asha Rao"


class TestThePlot:
    def test_without_frames_there_is_none(self) -> None:
        assert plot([], 0.25, None) is None

    def test_one_frame_is_a_mark_without_a_line(self) -> None:
        drawn = plot([Frame(0, 0.5, 80, None)], None, 0.5)
        assert drawn is not None
        (line,) = drawn.lines
        assert (line.path, len(line.marks), line.limit) == ("", 1, "")
        assert drawn.summary.endswith("no attack scores.")

    def test_values_beyond_the_axis_stay_on_it(self) -> None:
        drawn = plot([Frame(0, -1.0, 80, None), Frame(10, 7.0, 80, None)], None, None)
        assert drawn is not None
        assert [mark[1] for mark in drawn.lines[0].marks] == ["168.0", "12.0"]
