"""Who may open what in the admin, by group; what changes something is a POST with a token."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accesscontrol.groups import GROUPS, ensure_groups
from accesscontrol.models import AuditEntry, Consent, Correction, EnrolmentPhoto, Kiosk, User
from tests.factories import (
    ConsentFactory,
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    PhotoFactory,
    PunchFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
LISTS = [
    "site",
    "employee",
    "kiosk",
    "decision",
    "punch",
    "threshold",
    "modelversion",
    "auditentry",
    "user",
    "visitor",
]
SEEN = {
    "HR": {"site", "employee", "kiosk", "decision", "punch", "visitor"},
    "Site manager": {
        "site", "employee", "kiosk", "decision", "punch", "threshold", "visitor",
    },
    "IT": {"site", "kiosk", "decision", "threshold", "modelversion", "auditentry"},
}  # fmt: skip


def member_of(group: str) -> User:
    user = UserFactory.create(staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


@pytest.fixture
def photo() -> EnrolmentPhoto:
    return PhotoFactory.create()


def addresses(photo: EnrolmentPhoto) -> dict[str, tuple[str, str]]:
    """Every view of ours: method and address."""
    kiosk = KioskFactory.create(paired=True)
    decision = DecisionFactory.create(site=kiosk.site, kiosk=kiosk)
    other = EmployeeFactory.create()
    employee = [photo.employee_id]
    one = [photo.employee_id, photo.pk]

    def url(name: str, args: list[object] | None = None) -> str:
        return reverse(f"admin:accesscontrol_{name}", args=args)

    return {
        "consent": ("POST", url("employee_consent", [*employee])),
        "withdraw page": ("GET", url("employee_withdraw", [*employee])),
        "upload": ("POST", url("employee_upload", [*employee])),
        "state": ("GET", url("employee_photo_state", [*employee])),
        "image": ("GET", url("employee_photo_image", [*one])),
        "delete page": ("GET", url("employee_photo_delete", [*one])),
        "pair page": ("GET", url("kiosk_pair", [kiosk.pk])),
        "revoke page": ("GET", url("kiosk_revoke", [kiosk.pk])),
        "export": ("GET", url("punch_export")),
        "not me page": ("GET", url("decision_not_me", [decision.pk])),
        "this was page": ("GET", url("decision_was", [decision.pk])),
        "gallery health": ("GET", url("employee_health")),
        "PIN page": ("GET", url("employee_pin", [*employee])),
        "random PIN page": ("GET", url("employee_random_pin", [*employee])),
        "revoke PIN page": ("GET", url("employee_revoke_pin", [*employee])),
        "badge": ("POST", url("employee_badge", [*employee])),
        "lift lock": ("POST", url("employee_lift_lock", [*employee])),
        "lift kiosk's lock": ("POST", url("kiosk_lift", [kiosk.pk])),
        "two people page": ("GET", url("employee_two_people", [*employee, other.pk])),
        "end pair page": ("GET", url("employee_end_pair", [*employee, other.pk])),
    }


HR_VIEWS = {
    "consent", "withdraw page", "upload", "state", "image", "delete page", "export", "not me page",
    "this was page", "gallery health", "PIN page", "random PIN page", "revoke PIN page", "badge",
    "lift lock", "lift kiosk's lock", "two people page", "end pair page",
}  # fmt: skip


@pytest.mark.parametrize(
    ("group", "allowed"),
    [
        ("HR", HR_VIEWS),
        ("Site manager", {"export", "gallery health"}),
        ("IT", {"pair page", "revoke page"}),
    ],
)
def test_each_group_reaches_its_own_views_and_no_others(
    client: Client, photo: EnrolmentPhoto, group: str, allowed: set[str]
) -> None:
    client.force_login(member_of(group))
    for name, (method, address) in addresses(photo).items():
        status = client.generic(method, address).status_code
        assert (status in {200, 302}) == (name in allowed), f"{name}: {status}"
        assert status in {200, 302, 403}, name


@pytest.mark.parametrize("group", list(SEEN))
def test_each_group_sees_its_own_lists_and_no_others(client: Client, group: str) -> None:
    PunchFactory.create()
    client.force_login(member_of(group))
    for noun in LISTS:
        status = client.get(reverse(f"admin:accesscontrol_{noun}_changelist")).status_code
        assert status == (200 if noun in SEEN[group] else 403), noun


@pytest.mark.parametrize("staff", [False, True])
def test_a_login_without_permissions_reaches_none(
    client: Client, photo: EnrolmentPhoto, staff: bool
) -> None:
    client.force_login(UserFactory.create(is_staff=staff))
    for name, (method, address) in addresses(photo).items():
        assert client.generic(method, address).status_code == (403 if staff else 302), name


def test_without_login_every_view_leads_to_the_login(client: Client, photo: EnrolmentPhoto) -> None:
    for method, address in addresses(photo).values():
        answer = client.generic(method, address)
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("admin:login"))


def test_a_get_changes_nothing(admin_client: Client, photo: EnrolmentPhoto) -> None:
    before = AuditEntry.objects.count()
    for name, (_, address) in addresses(photo).items():
        if name != "export":
            admin_client.get(address)
    assert EnrolmentPhoto.objects.filter(pk=photo.pk).exists()
    assert Consent.objects.filter(withdrawn_at=None).exists()
    assert not Kiosk.objects.filter(revoked_at__isnull=False).exists()
    assert AuditEntry.objects.count() == before


def test_a_post_without_token_is_refused(photo: EnrolmentPhoto) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(UserFactory.create(superuser=True))
    for name, (_, address) in addresses(photo).items():
        assert strict.post(address).status_code in {403, 405}, name
    assert not Correction.objects.exists()
    assert EnrolmentPhoto.objects.filter(pk=photo.pk).exists()


@pytest.mark.parametrize("noun", ["punch", "decision", "threshold", "modelversion", "auditentry"])
def test_what_happened_cannot_be_added_changed_or_deleted_even_by_a_superuser(
    admin_client: Client, noun: str
) -> None:
    punch = PunchFactory.create()
    rows = {
        "punch": punch,
        "decision": punch.decision,
        "threshold": punch.decision.threshold_row,
        "modelversion": punch.decision.model_version,
        "auditentry": None,
    }
    row = rows[noun]
    assert admin_client.get(reverse(f"admin:accesscontrol_{noun}_add")).status_code == 403
    if row is not None:
        change = reverse(f"admin:accesscontrol_{noun}_change", args=[row.pk])
        assert admin_client.get(change).status_code == 200
        assert admin_client.post(change, {"direction": "OUT"}).status_code == 403
        delete = reverse(f"admin:accesscontrol_{noun}_delete", args=[row.pk])
        assert admin_client.post(delete, {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("noun", ["employee", "site", "kiosk"])
def test_people_sites_and_kiosks_are_never_deleted(admin_client: Client, noun: str) -> None:
    punch = PunchFactory.create()
    row = getattr(punch, noun)
    delete = reverse(f"admin:accesscontrol_{noun}_delete", args=[row.pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403


def test_the_groups_are_there_and_changes_to_them_stay() -> None:
    assert set(GROUPS) <= set(Group.objects.values_list("name", flat=True))
    hr = Group.objects.get(name="HR")
    assert hr.permissions.count() == len(GROUPS["HR"])
    hr.permissions.clear()
    ensure_groups()
    assert hr.permissions.count() == 0


def test_a_site_manager_sees_why_but_no_photos(client: Client) -> None:
    consent = ConsentFactory.create()
    PhotoFactory.create(employee=consent.employee, file_name="portrait.jpg")
    decision = DecisionFactory.create(nearest=consent.employee)
    client.force_login(member_of("Site manager"))
    page = client.get(reverse("admin:accesscontrol_employee_change", args=[consent.employee_id]))
    assert "portrait.jpg" not in page.content.decode()
    page = client.get(reverse("admin:accesscontrol_decision_change", args=[decision.pk]))
    assert "The nearest enrolled person" in page.content.decode()
