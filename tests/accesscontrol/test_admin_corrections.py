"""The pages on which HR corrects a decision."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from accesscontrol.corrections import Marked, correct_punch
from accesscontrol.models import Correction, Employee, Punch, User
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    PunchFactory,
    SiteFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def hr(client: Client) -> Client:
    user = UserFactory.create(staff=True, username="rosa")
    user.groups.add(Group.objects.get(name="HR"))
    client.force_login(user)
    return client


@pytest.fixture
def punch() -> Punch:
    """Asha's, as the kiosk says."""
    made: Punch = PunchFactory.create(employee__name="Asha Rao")
    return made


@pytest.fixture
def bert(punch: Punch) -> Employee:
    employee: Employee = EmployeeFactory.create(site=punch.site, name="Bert", number="77")
    return employee


def address(view: str, punch: Punch) -> str:
    return reverse(f"admin:accesscontrol_decision_{view}", args=[punch.decision_id])


def post(client: Client, view: str, punch: Punch, **fields: Any) -> Any:
    return client.post(address(view, punch), {"reason": "I know", "after": "", **fields})


def test_not_me_says_first_what_it_does(hr: Client, punch: Punch) -> None:
    page = hr.get(address("not_me", punch)).content.decode()
    assert f"The punch of {punch.employee}, IN at" in page
    assert not Correction.objects.exists()


def test_not_me_cancels_the_punch_and_leads_back(hr: Client, punch: Punch) -> None:
    answer = post(hr, "not_me", punch)
    assert answer["Location"] == address("change", punch)
    assert not Punch.objects.standing().exists()
    made = Correction.objects.get()
    assert (made.reason, made.made_by) == ("I know", User.objects.get(username="rosa"))
    page = hr.get(address("change", punch)).content.decode()
    assert "It was not who was recognised" in page
    assert "I know" in page


def test_this_was_bert(hr: Client, punch: Punch, bert: Employee) -> None:
    assert post(hr, "was", punch, employee=bert.pk).status_code == 302
    made = Punch.objects.standing().get()
    assert (made.employee, made.direction) == (bert, "IN")
    page = hr.get(reverse("admin:accesscontrol_punch_changelist")).content.decode()
    assert "cancelled" in page
    decisions = hr.get(reverse("admin:accesscontrol_decision_changelist")).content.decode()
    assert "corrected by HR" in decisions
    assert "by correction" in page


def test_the_direction_can_be_chosen(hr: Client, punch: Punch, bert: Employee) -> None:
    post(hr, "was", punch, employee=bert.pk, direction="OUT")
    assert Punch.objects.standing().get().direction == "OUT"


@pytest.mark.parametrize("search", ["ber", "BERT", "77"])
def test_somebody_who_was_not_near_is_found_by_name_or_number(
    hr: Client, punch: Punch, bert: Employee, search: str
) -> None:
    page = hr.get(address("was", punch), {"q": search}).content.decode()
    assert "Bert (77)" in page
    inputs = re.findall(r'<input[^>]*name="employee"[^>]*>', page)
    chosen = [one for one in inputs if re.search(r"\schecked[\s>]", one)]
    assert len(chosen) == 1, "the only one found is chosen"
    assert f'value="{bert.pk}"' in chosen[0]


def test_a_search_without_result_says_so(hr: Client, punch: Punch) -> None:
    page = hr.get(address("was", punch), {"q": "<Nobody>"}).content.decode()
    assert "Nobody of this site is called “&lt;Nobody&gt;”" in page


def test_people_of_another_site_are_not_offered_nor_taken(
    hr: Client, punch: Punch, bert: Employee
) -> None:
    stranger = EmployeeFactory.create(site=SiteFactory.create(), name="Berta")
    page = hr.get(address("was", punch), {"q": "Bert"}).content.decode()
    assert "Berta" not in page
    assert post(hr, "was", punch, employee=stranger.pk).status_code == 400
    assert not Correction.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": ""},
        {"reason": "x" * 201},
        {"employee": ""},
        {"employee": "x"},
        {"employee": "9" * 30},
        {"direction": "UP"},
        {"after": "x"},
        {"after": "999"},
    ],
)
def test_what_is_wrong_is_said_on_the_page(
    hr: Client, punch: Punch, bert: Employee, fields: dict[str, Any]
) -> None:
    answer = post(hr, "was", punch, **{"employee": bert.pk, **fields})
    assert answer.status_code == 400
    if "after" not in fields or fields["after"] == "999":
        assert 'role="alert"' in answer.content.decode()
    assert not Correction.objects.exists()


def test_the_same_form_twice_is_one_correction(hr: Client, punch: Punch, bert: Employee) -> None:
    for _ in range(2):
        assert post(hr, "was", punch, employee=bert.pk).status_code == 302
    assert Correction.objects.count() == 1
    assert Punch.objects.count() == 2


def test_a_page_that_is_out_of_date_is_told(hr: Client, punch: Punch, bert: Employee) -> None:
    correct_punch(punch.decision, Marked(None, "ill"), by=None)
    answer = post(hr, "was", punch, employee=bert.pk)
    assert answer.status_code == 400
    assert "meanwhile" in answer.content.decode()


def test_only_who_may_correct_sees_the_buttons(client: Client, hr: Client, punch: Punch) -> None:
    assert address("was", punch) in hr.get(address("change", punch)).content.decode()
    manager = UserFactory.create(staff=True)
    manager.groups.add(Group.objects.get(name="Site manager"))
    client.force_login(manager)
    assert address("was", punch) not in client.get(address("change", punch)).content.decode()


@pytest.mark.parametrize("missing", ["view_decision", "view_employee", "add_correction"])
def test_every_permission_is_needed(client: Client, punch: Punch, missing: str) -> None:
    user = UserFactory.create(staff=True)
    needed = {"view_decision", "view_employee", "add_correction"} - {missing}
    user.user_permissions.set(Permission.objects.filter(codename__in=needed))
    client.force_login(user)
    for view in ("not_me", "was"):
        assert client.get(address(view, punch)).status_code == 403
        assert post(client, view, punch).status_code == 403
    assert not Correction.objects.exists()


def test_a_refused_decision_has_nobody_to_deny(hr: Client) -> None:
    decision = DecisionFactory.create()
    page = hr.get(reverse("admin:accesscontrol_decision_change", args=[decision.pk]))
    text = page.content.decode()
    assert reverse("admin:accesscontrol_decision_not_me", args=[decision.pk]) not in text
    assert reverse("admin:accesscontrol_decision_was", args=[decision.pk]) in text


def test_a_decision_that_is_none_is_not_found(hr: Client) -> None:
    for view in ("not_me", "was"):
        url = reverse(f"admin:accesscontrol_decision_{view}", args=[10**9])
        assert hr.get(url).status_code == 404
