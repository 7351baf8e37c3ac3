"""Look-alikes are found at enrolment: from then on a kiosk asks the two, and HR is to judge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accesscontrol import credentials, decisions, enrolment, look_alikes
from accesscontrol.admin import dashboard
from accesscontrol.enrolment import Enrolled, EnrolmentError
from accesscontrol.models import (
    Admission,
    AuditEntry,
    Employee,
    LookAlike,
    Outcome,
    Site,
)
from accesscontrol.step_ups import pair_to_ask
from tests.concurrency import at_once, errors
from tests.enrolled import Vector, template, turned, unit
from tests.factories import (
    EmployeeFactory,
    PhotoFactory,
    SiteFactory,
    UserFactory,
    active_model_version,
    live_consent_of,
)
from tests.presentations import evidence, policy_of
from tests.sign_ins import PIN

pytestmark = pytest.mark.django_db

FACE = unit(1)
ALIKE = turned(FACE, 0.98, seed=2)


def enrol(employee: Employee, face: Vector) -> bool:
    """A worker accepts a photo of this face."""
    photo = PhotoFactory.create(employee=employee, consent=live_consent_of(employee))
    return enrolment.accept_photo(photo, Enrolled(b"jpeg", face, {}), active_model_version())


@pytest.fixture
def site() -> Site:
    return SiteFactory.create()


@pytest.fixture
def asha(site: Site) -> Employee:
    asha = EmployeeFactory.create(site=site, consented=True, name="Asha")
    policy_of(site)
    template(asha, FACE)
    return asha


@pytest.fixture
def bela(site: Site) -> Employee:
    return EmployeeFactory.create(site=site, consented=True, name="Bela")


class TestFound:
    def test_with_the_photo_that_makes_them_alike(self, asha: Employee, bela: Employee) -> None:
        assert enrol(bela, ALIKE)
        pair = look_alikes.pair_of(asha.pk, bela.pk)
        assert pair is not None
        assert pair.confirmed_at is None
        (entry,) = AuditEntry.objects.filter(action="find_look_alikes")
        assert (entry.actor, entry.detail) == ("worker", {"other": pair.other_id})

    def test_the_kiosk_asks_these_two_from_then_on(self, asha: Employee, bela: Employee) -> None:
        enrol(bela, ALIKE)
        credentials.set_pin(bela, PIN, by=None)
        near = [decisions.Candidate(asha.pk, 0.98), decisions.Candidate(bela.pk, 0.975)]
        shown, policy = evidence(), policy_of(asha.site)
        verdict = decisions.decide(shown, near, policy, shown.received_at)
        assert verdict.outcome == Outcome.AMBIGUOUS
        assert pair_to_ask(shown, verdict, near, policy) == look_alikes.pair_of(asha.pk, bela.pk)

    def test_nobody_unlike(self, asha: Employee, bela: Employee) -> None:
        enrol(bela, unit(3))
        assert not LookAlike.objects.exists()

    def test_no_pair_with_oneself(self, asha: Employee) -> None:
        enrol(asha, ALIKE)
        assert not LookAlike.objects.exists()

    def test_nobody_of_another_site(self, asha: Employee) -> None:
        far = SiteFactory.create()
        policy_of(far)
        enrol(EmployeeFactory.create(site=far, consented=True), ALIKE)
        assert not LookAlike.objects.exists()

    def test_a_guest_of_the_site(self, asha: Employee, site: Site) -> None:
        guest = EmployeeFactory.create(site=SiteFactory.create(), consented=True)
        Admission.objects.create(employee=guest, site=site)
        enrol(guest, ALIKE)
        assert look_alikes.pair_of(asha.pk, guest.pk)

    def test_once_however_many_photos(self, asha: Employee, bela: Employee) -> None:
        enrol(bela, ALIKE)
        enrol(bela, turned(FACE, 0.97, seed=5))
        assert LookAlike.objects.count() == 1

    def test_what_hr_confirmed_stays_confirmed(self, asha: Employee, bela: Employee) -> None:
        enrol(bela, ALIKE)
        look_alikes.confirm_two_people(asha, bela, by=None)
        enrol(bela, turned(FACE, 0.97, seed=5))
        (pair,) = LookAlike.objects.all()
        assert pair.confirmed_at is not None


def test_of_two_enrolled_at_once_the_pair_is_found(transactional_db: None) -> None:
    site = SiteFactory.create()
    policy_of(site)
    people = [EmployeeFactory.create(site=site, consented=True) for _ in range(2)]
    for round_ in range(1, 6):
        faces = [unit(100 + round_), turned(unit(100 + round_), 0.98)]
        works: list[Callable[[], object]] = [
            partial(enrol, *who) for who in zip(people, faces, strict=True)
        ]
        assert not errors(at_once(works))
        (pair,) = LookAlike.objects.all()
        pair.delete()
        for person in people:
            enrolment.withdraw_consent(person, by=None)
            enrolment.give_consent(person, text_version="anew", by=None)


def test_no_pair_is_left_of_one_who_withdraws_meanwhile(transactional_db: None) -> None:
    site = SiteFactory.create()
    policy_of(site)
    stays, goes = (EmployeeFactory.create(site=site, consented=True) for _ in range(2))
    for round_ in range(1, 6):
        template(goes, unit(200 + round_))
        works: list[Callable[[], object]] = [
            partial(enrol, stays, turned(unit(200 + round_), 0.98)),
            partial(enrolment.withdraw_consent, goes, by=None),
        ]
        assert not [e for e in errors(at_once(works)) if not isinstance(e, EnrolmentError)]
        assert not LookAlike.objects.exists()
        enrolment.give_consent(goes, text_version="anew", by=None)


class TestToldToHR:
    @pytest.fixture
    def hr(self, client: Client) -> Client:
        user = UserFactory.create(staff=True)
        user.groups.add(Group.objects.get(name="HR"))
        client.force_login(user)
        return client

    def test_on_the_first_page_and_on_the_persons_until_they_judged(
        self, hr: Client, asha: Employee, bela: Employee
    ) -> None:
        enrol(bela, ALIKE)
        pages = [
            reverse("admin:index"),
            reverse("admin:accesscontrol_employee_change", args=[bela.pk]),
        ]
        for page in pages:
            assert "These are two people…" in hr.get(page).content.decode()
        question = reverse("admin:accesscontrol_employee_two_people", args=[asha.pk, bela.pk])
        hr.post(question)
        for page in pages:
            assert "These are two people…" not in hr.get(page).content.decode()

    def test_a_few_at_a_time_and_how_many_more_there_are(
        self, hr: Client, asha: Employee, bela: Employee, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dashboard, "MOST_PAIRS", 2)
        enrol(bela, ALIKE)
        enrol(EmployeeFactory.create(site=asha.site, consented=True), turned(FACE, 0.97, seed=5))
        shown = hr.get(reverse("admin:index")).content.decode()
        assert shown.count("These are two people…") == 2
        assert "1 more pair follows" in shown

    def test_to_nobody_who_may_not_enrol(
        self, client: Client, asha: Employee, bela: Employee
    ) -> None:
        enrol(bela, ALIKE)
        user = UserFactory.create(staff=True)
        user.groups.add(Group.objects.get(name="Site manager"))
        client.force_login(user)
        assert "Look-alikes found" not in client.get(reverse("admin:index")).content.decode()
