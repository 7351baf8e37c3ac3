"""PIN, badges and look-alikes on an employee's page, for whom may enrol."""

from __future__ import annotations

import re
import uuid

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accesscontrol import credentials, look_alikes, throttling
from accesscontrol.models import AuditEntry, Badge, Employee, LookAlike, Pin
from tests.enrolled import template, turned, unit
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    SiteFactory,
    UserFactory,
    threshold_of,
)
from tests.sign_ins import BADGE, PIN

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha() -> Employee:
    return EmployeeFactory.create(name="Asha Rao", number="0042")


@pytest.fixture
def hr(client: Client) -> Client:
    user = UserFactory.create(staff=True, username="hr")
    user.groups.add(Group.objects.get(name="HR"))
    client.force_login(user)
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:accesscontrol_employee_{name}", args=args)


def page(client: Client, employee: Employee) -> str:
    return client.get(url("change", employee.pk)).content.decode()


def test_a_random_pin_is_shown_once(hr: Client, asha: Employee) -> None:
    assert "shown once" in hr.get(url("random_pin", asha.pk)).content.decode()
    assert not Pin.objects.exists(), "a GET changes nothing"
    answer = hr.post(url("random_pin", asha.pk))
    (pin,) = re.findall(r'class="gh-pin">(\d+)<', answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    found = credentials.matching_pin(pin, [asha])
    assert found is not None
    assert pin not in page(hr, asha)
    assert AuditEntry.objects.get(action="set_pin").actor == "user:hr"


def test_a_chosen_pin_is_set_and_a_weak_one_told_why(hr: Client, asha: Employee) -> None:
    weak = hr.post(url("pin", asha.pk), {"pin": "123456"})
    assert weak.status_code == 400
    assert "easy to guess" in weak.content.decode()
    assert not Pin.objects.exists()
    assert hr.post(url("pin", asha.pk), {"pin": PIN}).status_code == 302
    assert credentials.matching_pin(PIN, [asha])
    assert "nobody can read it" in page(hr, asha)


def test_a_pin_is_revoked_after_a_question(hr: Client, asha: Employee) -> None:
    credentials.set_pin(asha, PIN, by=None)
    assert "Revoke the PIN of Asha Rao" in hr.get(url("revoke_pin", asha.pk)).content.decode()
    hr.post(url("revoke_pin", asha.pk))
    assert credentials.held(asha).pin is None
    hr.post(url("revoke_pin", asha.pk))  # a second time says so, and breaks nothing
    assert "has no PIN" in page(hr, asha)


def test_badges_are_added_by_a_reader_and_revoked(hr: Client, asha: Employee) -> None:
    hr.post(url("badge", asha.pk), {"number": BADGE, "label": "blue card"})
    badge = Badge.objects.get()
    text = page(hr, asha)
    assert "blue card" in text
    assert credentials.plain_badge(BADGE) not in text
    hr.post(url("revoke_badge", asha.pk, badge.pk))
    assert credentials.held(asha).badges == []


def test_a_badge_of_somebody_else_is_told(hr: Client, asha: Employee) -> None:
    credentials.add_badge(EmployeeFactory.create(), BADGE, by=None)
    hr.post(url("badge", asha.pk), {"number": BADGE})
    assert "belongs to somebody else" in page(hr, asha)


def test_a_badge_is_revoked_on_its_own_persons_page_only(hr: Client, asha: Employee) -> None:
    badge = credentials.add_badge(EmployeeFactory.create(), BADGE, by=None)
    assert hr.post(url("revoke_badge", asha.pk, badge.pk)).status_code == 404


def test_a_lockout_is_shown_and_lifted(hr: Client, asha: Employee) -> None:
    (subject,) = throttling.subjects_of(asha)
    kiosk = "kiosk:00000000-0000-0000-0000-000000000000"
    for count in range(throttling.FREE):
        throttling.begin([kiosk, subject], uuid.uuid4())
        assert ("Lift the lock" in page(hr, asha)) == (count == throttling.FREE - 1)
    hr.post(url("lift_lock", asha.pk))
    assert "Lift the lock" not in page(hr, asha)


def test_a_kiosks_lock_is_shown_and_lifted_by_hr_alone(hr: Client, asha: Employee) -> None:
    kiosk = KioskFactory.create(site=asha.site, paired=True)
    for _ in range(throttling.FREE):
        throttling.begin([throttling.of_kiosk(kiosk.pk)], uuid.uuid4())
    address = reverse("admin:accesscontrol_kiosk_change", args=[kiosk.pk])
    assert "5 failed sign-ins in a row" in hr.get(address).content.decode()
    assert hr.post(reverse("admin:accesscontrol_kiosk_lift", args=[kiosk.pk])).status_code == 302
    assert "sign-in locked" not in hr.get(address).content.decode()
    it = UserFactory.create(staff=True)
    it.groups.add(Group.objects.get(name="IT"))
    hr.force_login(it)
    assert hr.post(reverse("admin:accesscontrol_kiosk_lift", args=[kiosk.pk])).status_code == 403


@pytest.fixture
def twins() -> tuple[Employee, Employee]:
    site = SiteFactory.create()
    threshold_of(site)
    asha, bela = (EmployeeFactory.create(site=site, consented=True, name=n) for n in "AB")
    template(asha, unit(1))
    template(bela, turned(unit(1), 0.9))
    return asha, bela


def test_look_alikes_become_a_pair_and_end(hr: Client, twins: tuple[Employee, Employee]) -> None:
    asha, bela = twins
    assert "These are two people…" in page(hr, asha)
    question = hr.get(url("two_people", asha.pk, bela.pk)).content.decode()
    assert "two different people?" in question
    hr.post(url("two_people", bela.pk, asha.pk))
    assert look_alikes.pair_of(asha.pk, bela.pk)
    for person in twins:
        assert "the kiosk asks for the PIN" in page(hr, person)
    hr.post(url("end_pair", asha.pk, bela.pk))
    assert not LookAlike.objects.exists()


def test_gallery_health_leads_there(hr: Client, twins: tuple[Employee, Employee]) -> None:
    asha, bela = twins
    address = f"{url('health')}?site={asha.site_id}"
    assert "These are two people…" in hr.get(address).content.decode()
    look_alikes.confirm_two_people(asha, bela, by=None)
    text = hr.get(address).content.decode()
    assert "These are two people…" not in text
    assert "asks for the PIN" in text


@pytest.mark.parametrize("group", ["Site manager", "IT", None])
def test_whoever_may_not_enrol_sees_and_does_none_of_it(
    client: Client, asha: Employee, group: str | None
) -> None:
    user = UserFactory.create(staff=True)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client.force_login(user)
    badge = credentials.add_badge(asha, BADGE, by=None)
    other = EmployeeFactory.create()
    for name, args in {
        "pin": (),
        "random_pin": (),
        "revoke_pin": (),
        "badge": (),
        "lift_lock": (),
        "revoke_badge": (badge.pk,),
        "two_people": (other.pk,),
        "end_pair": (other.pk,),
    }.items():
        assert client.post(url(name, asha.pk, *args)).status_code == 403, name
    if group == "Site manager":
        assert "PIN and badges" not in page(client, asha)
    assert not AuditEntry.objects.exclude(action="add_badge").exists()


def test_a_decision_by_pin_explains_itself_without_a_face(hr: Client, asha: Employee) -> None:
    pin = credentials.set_pin(asha, PIN, by=None)
    row = DecisionFactory.create(
        accepted=True, site=asha.site, employee=asha, method="PIN", pin=pin, frames=0, score=None
    )
    text = hr.get(reverse("admin:accesscontrol_decision_change", args=[row.pk])).content.decode()
    assert "Asha Rao signed in with their number and PIN; the face was not looked at." in text
    assert "Who came near" not in text
    listed = hr.get(reverse("admin:accesscontrol_decision_changelist")).content.decode()
    assert "PIN" in listed
