"""The further sites of an employee, on their page in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accesscontrol.groups import ensure_groups
from accesscontrol.models import Admission, AuditEntry, Employee
from tests.factories import EmployeeFactory, SiteFactory, UserFactory

pytestmark = pytest.mark.django_db


def address(employee: Employee) -> str:
    return reverse("admin:accesscontrol_employee_change", args=[employee.pk])


def save(client: Client, employee: Employee, *further: int) -> None:
    answer = client.post(
        address(employee),
        {
            "site": employee.site_id,
            "number": employee.number,
            "name": employee.name,
            "is_active": "on",
            "further_sites": further,
        },
    )
    assert answer.status_code == 302


def admitted(employee: Employee) -> set[int]:
    return set(Admission.objects.filter(employee=employee).values_list("site_id", flat=True))


def test_what_is_chosen_is_what_holds(admin_client: Client) -> None:
    employee = EmployeeFactory.create()
    one, two = SiteFactory.create_batch(2)
    save(admin_client, employee, one.pk, two.pk)
    assert admitted(employee) == {one.pk, two.pk}
    save(admin_client, employee, two.pk)
    assert admitted(employee) == {two.pk}
    save(admin_client, employee)
    assert admitted(employee) == set()


def test_it_says_who_did_it_and_nothing_where_nothing_changed(admin_client: Client) -> None:
    employee = EmployeeFactory.create()
    site = SiteFactory.create()
    for _ in range(2):
        save(admin_client, employee, site.pk)
    save(admin_client, employee)
    entries = AuditEntry.objects.filter(action__in=["admit_employee", "end_admission"])
    assert list(entries.order_by("pk").values_list("action", "actor")) == [
        ("admit_employee", "user:admin"),
        ("end_admission", "user:admin"),
    ]
    assert Admission.objects.count() == 0


def test_the_page_shows_what_is_chosen(admin_client: Client) -> None:
    employee = EmployeeFactory.create()
    site = SiteFactory.create(name="Harbour")
    save(admin_client, employee, site.pk)
    page = admin_client.get(address(employee)).content.decode()
    assert f'<option value="{site.pk}" selected>Harbour</option>' in page


def test_who_may_only_look_sees_the_names(client: Client) -> None:
    ensure_groups()
    user = UserFactory.create(staff=True)
    user.groups.add(Group.objects.get(name="Site manager"))
    client.force_login(user)
    employee = EmployeeFactory.create()
    Admission.objects.create(employee=employee, site=SiteFactory.create(name="Harbour"))
    page = client.get(address(employee)).content.decode()
    assert "Harbour" in page
    assert "<select" not in page.split("further sites", 1)[-1].split("</form>")[0]
    client.post(address(employee), {"further_sites": []})
    assert len(admitted(employee)) == 1
