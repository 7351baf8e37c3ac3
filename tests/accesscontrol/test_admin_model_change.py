"""The page of a model change: who sees what, and each step only after a confirmation."""

# mypy: allow-untyped-calls
from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accesscontrol import model_change, model_versions, shadow_decisions
from accesscontrol.admin.navigation import navigation
from accesscontrol.decisions import Candidate
from accesscontrol.groups import ensure_groups
from accesscontrol.models import ModelChange, ShadowDecision, Template
from accesscontrol.shadow_decisions import Shadow
from tests.factories import DecisionFactory, ThresholdFactory, UserFactory
from tests.model_changes import embed_all, enrolled, ready_change, started, two_models

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("valkey")]

PAGE = "admin:accesscontrol_modelversion_model_change"


def step(name: str) -> str:
    return reverse("admin:accesscontrol_modelversion_step", args=[name])


def text(client: Client, address: str | None = None) -> str:
    return client.get(address or reverse(PAGE)).content.decode()


def member(client: Client, group: str) -> Client:
    ensure_groups()
    user = UserFactory.create(staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    return client


def test_without_a_change_it_offers_the_other_models(admin_client: Client) -> None:
    _, new = two_models()
    shown = text(admin_client)
    assert "no change is open" in shown
    address = reverse("admin:accesscontrol_modelversion_start_change", args=[new.pk])
    assert address in shown
    assert "Every enrolment photo" in text(admin_client, address)
    assert not ModelChange.objects.exists(), "looking starts nothing"
    admin_client.post(address)
    assert ModelChange.objects.get().new == new


def test_before_any_model_it_says_what_to_do(admin_client: Client) -> None:
    assert "start a worker first" in text(admin_client)


def test_it_shows_how_far_it_is_and_what_is_missing(admin_client: Client) -> None:
    _, new = two_models()
    enrolled(4)
    started(new)
    shown = text(admin_client)
    assert 'value="0"' in shown
    assert "4 of 4 photos have still to be embedded" in shown
    assert 'data-moving="yes"' in shown
    assert step("switch") not in shown
    embed_all(new)
    shown = text(admin_client)
    assert 'value="100"' in shown
    assert 'data-moving="no"' in shown
    assert step("switch") in shown


def test_each_step_asks_first_and_acts_by_post(admin_client: Client) -> None:
    change, _ = ready_change()
    assert "the new model recognises" in text(admin_client, step("switch"))
    assert model_versions.active() == change.old
    admin_client.post(step("switch"))
    assert model_versions.active() == change.new
    assert step("roll_back") in text(admin_client)
    admin_client.post(step("roll_back"))
    assert model_versions.active() == change.old
    admin_client.post(step("switch"))
    assert "deleted for good" in text(admin_client, step("finish"))
    admin_client.post(step("finish"))
    assert not ModelChange.objects.filter(is_open=True).exists()
    assert "Earlier changes" in text(admin_client)


def test_a_step_that_does_not_fit_is_said_and_changes_nothing(admin_client: Client) -> None:
    change, _ = ready_change()
    answer = admin_client.post(step("finish"), follow=True)
    assert "another stage" in answer.content.decode()
    assert "no such step" in admin_client.post(step("nonsense"), follow=True).content.decode()
    change.refresh_from_db()
    assert change.stage == "PREPARING"


def test_who_would_be_lost_is_listed_and_counted_before_the_switch(admin_client: Client) -> None:
    _, new = two_models()
    lost, *_ = enrolled(3)
    started(new)
    embed_all(new, failing=lost.photos.values_list("pk", flat=True))
    shown = text(admin_client)
    assert lost.name in shown
    assert "The face is blurred" in shown
    assert "would not be any more: 1" in text(admin_client, step("switch"))
    file = text(admin_client, reverse("admin:accesscontrol_modelversion_left_out"))
    assert lost.name in file
    admin_client.post(step("try_again"))
    assert embed_all(new) == 1


def test_missing_thresholds_are_solved_on_a_persons_word(admin_client: Client) -> None:
    old, new = two_models()
    (person,) = enrolled(1)
    ThresholdFactory.create(site=person.site, model_version=old, value=0.56)
    started(new)
    solve = reverse("admin:accesscontrol_modelversion_solve")
    assert solve in text(admin_client)
    assert "same false match rate" in text(admin_client, solve)
    admin_client.post(solve)
    assert solve not in text(admin_client)


def test_it_shows_how_the_new_model_agrees(admin_client: Client) -> None:
    change, (person, other, _) = ready_change()
    row = ThresholdFactory.create(site=person.site, model_version=change.new, value=0.6)
    ThresholdFactory.create(site=person.site, model_version=change.old, value=0.6)
    for candidate, score in ((person, 0.8), (person, 0.5), (other, 0.7)):
        decision = DecisionFactory.create(accepted=True, employee=person, site=person.site)
        shadow = Shadow([Candidate(candidate.pk, score)], decision.frames, 12.0)
        shadow_decisions.record(change, decision, row, shadow)
    assert list(ShadowDecision.objects.order_by("pk").values_list("agreement", flat=True)) == [
        "SAME",
        "ONLY_OLD",
        "OTHER",
    ]
    shown = text(admin_client)
    assert shown.count("<circle") == 3
    assert shown.count("gh-differ") == 2
    assert "both accept, but not the same person" in shown


@pytest.mark.parametrize("group", ["HR", "Site manager"])
def test_others_than_it_cannot_open_it(client: Client, group: str) -> None:
    ready_change()
    visitor = member(client, group)
    assert visitor.get(reverse(PAGE)).status_code == 403
    assert visitor.post(step("switch")).status_code == 403
    assert ModelChange.objects.get().stage == "PREPARING"


def test_it_sees_figures_and_no_names(client: Client) -> None:
    _, new = two_models()
    lost, *_ = enrolled(2)
    started(new)
    embed_all(new, failing=lost.photos.values_list("pk", flat=True))
    visitor = member(client, "IT")
    shown = text(visitor)
    assert lost.name not in shown
    assert "Who may see employees" in shown
    left_out = reverse("admin:accesscontrol_modelversion_left_out")
    assert visitor.get(left_out).status_code == 403
    visitor.post(step("switch"))
    assert model_versions.active() == new


def test_a_cancelled_change_is_confirmed_and_keeps_the_old_templates(admin_client: Client) -> None:
    change, employees = ready_change()
    admin_client.post(step("cancel"))
    change.refresh_from_db()
    assert change.stage == "CANCELLED"
    assert Template.objects.filter(model_version=change.old).count() == len(employees)
    assert model_change.current() is None


def test_the_sidebar_marks_this_page_alone(admin_client: Client) -> None:
    response = admin_client.get(reverse(PAGE))
    links = navigation(response.wsgi_request)
    marked = [str(item["title"]) for group in links for item in group["items"] if item["active"]]
    assert marked == ["Change of model"]


def test_a_decisions_page_says_what_the_new_model_would_have_decided(admin_client: Client) -> None:
    change, (person, *_) = ready_change()
    row = ThresholdFactory.create(site=person.site, model_version=change.new, value=0.6)
    decision = DecisionFactory.create(accepted=True, employee=person, site=person.site)
    address = reverse("admin:accesscontrol_decision_change", args=[decision.pk])
    assert "being prepared" not in text(admin_client, address)
    shadow = Shadow([Candidate(person.pk, 0.5)], decision.frames, 12.0)
    shadow_decisions.record(change, decision, row, shadow)
    shown = text(admin_client, address)
    assert "accepted, the new model would refuse" in shown
    assert "0.500" in shown
