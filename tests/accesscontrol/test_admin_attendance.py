"""The attendance log in the admin: filters, columns, export."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client
from django.urls import reverse

from accesscontrol import site_days
from accesscontrol.models import AuditEntry, Punch
from tests.factories import EmployeeFactory, KioskFactory, PunchFactory, SiteFactory, UserFactory

pytestmark = pytest.mark.django_db
LIST = "admin:accesscontrol_punch_changelist"
EXPORT = "admin:accesscontrol_punch_export"


@pytest.fixture
def punches() -> list[Punch]:
    """Asha at 00:10 and 09:00 on the 10th in Kolkata, Björn at 09:00 on the 10th in Berlin."""
    kolkata = SiteFactory.create(name="Kolkata", slug="kolkata", time_zone="Asia/Kolkata")
    berlin = SiteFactory.create(name="Berlin", slug="berlin", time_zone="Europe/Berlin")
    asha = EmployeeFactory.create(site=kolkata, name="Asha")
    bjoern = EmployeeFactory.create(site=berlin, name="Björn")
    kiosk = KioskFactory.create(site=kolkata, paired=True)
    return [
        PunchFactory.create(
            employee=asha, kiosk=kiosk, at=datetime(2026, 11, 9, 18, 40, tzinfo=UTC)
        ),
        PunchFactory.create(
            employee=asha,
            kiosk=kiosk,
            at=datetime(2026, 11, 10, 3, 30, tzinfo=UTC),
            direction="OUT",
        ),
        PunchFactory.create(employee=bjoern, at=datetime(2026, 11, 10, 8, tzinfo=UTC)),
    ]


def listed(client: Client, **parameters: Any) -> list[Punch]:
    return list(client.get(reverse(LIST), parameters).context["cl"].queryset)


def test_times_are_those_of_the_site_with_their_offset(
    admin_client: Client, punches: list[Punch]
) -> None:
    text = admin_client.get(reverse(LIST)).content.decode()
    assert "2026-11-10 00:10:00" in text
    assert "UTC+05:30" in text
    assert "2026-11-10 09:00:00" in text
    assert "UTC+01:00" in text


def test_a_day_is_each_sites_own(admin_client: Client, punches: list[Punch]) -> None:
    assert len(listed(admin_client, at_from="2026-11-10", at_to="2026-11-10")) == 3
    assert listed(admin_client, at_from="2026-11-09", at_to="2026-11-09") == []
    assert listed(admin_client, at_from="2026-11-11") == []


def test_the_log_is_filtered_by_site_and_person(admin_client: Client, punches: list[Punch]) -> None:
    asha = punches[0].employee
    assert listed(admin_client, site__id__exact=asha.site_id) == [punches[1], punches[0]]
    assert listed(admin_client, employee__id__exact=punches[2].employee_id) == [punches[2]]
    assert listed(admin_client, direction__exact="OUT") == [punches[1]]


def test_a_date_that_is_none_does_not_break_the_page(admin_client: Client) -> None:
    assert admin_client.get(reverse(LIST), {"at_from": "yesterday"}).status_code == 200


def test_the_export_button_carries_the_filters(admin_client: Client, punches: list[Punch]) -> None:
    site = str(punches[0].site_id)
    filters = {"site__id__exact": site, "at_from": "2026-11-01", "at_to": "2026-11-30"}
    text = admin_client.get(reverse(LIST), filters).content.decode()
    address = f"{reverse(EXPORT)}?site={site}&amp;from=2026-11-01&amp;to=2026-11-30"
    assert f'href="{address}"' in text


def export(client: Client, **parameters: Any) -> Any:
    wanted = {"from": "2026-11-10", "to": "2026-11-10"} | parameters
    return client.get(reverse(EXPORT), wanted)


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_the_export_holds_what_was_filtered(admin_client: Client, punches: list[Punch]) -> None:
    answer = export(admin_client, site=punches[0].site_id)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    name = "attendance_kolkata_2026-11-10_2026-11-10.csv"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    found = rows(b"".join(answer))
    assert [row["punch_id"] for row in found] == [str(punch.pk) for punch in punches[:2]]


def test_the_export_may_be_of_one_person(admin_client: Client, punches: list[Punch]) -> None:
    other = EmployeeFactory.create(site=punches[0].site)
    answer = export(admin_client, site=punches[0].site_id, employee=other.pk)
    assert rows(b"".join(answer)) == []


def test_the_export_is_a_workbook_if_asked(admin_client: Client, punches: list[Punch]) -> None:
    answer = export(admin_client, site=punches[0].site_id, format="xlsx")
    sheet = zipfile.ZipFile(io.BytesIO(b"".join(answer))).read("xl/worksheets/sheet1.xml")
    assert b"Asha" in sheet
    assert b"<f>" not in sheet


def test_an_export_is_written_down(admin_client: Client, punches: list[Punch]) -> None:
    export(admin_client, site=punches[0].site_id)
    entry = AuditEntry.objects.get(action="export_attendance")
    assert entry.actor == "user:admin"
    assert entry.detail["from"] == "2026-11-10"


@pytest.mark.parametrize("missing", ["site", "from", "to"])
def test_what_is_missing_is_asked_for(
    admin_client: Client, punches: list[Punch], missing: str
) -> None:
    answer = export(admin_client, **({"site": punches[0].site_id} | {missing: ""}))
    assert answer.status_code == 200
    assert 'type="date"' in answer.content.decode()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"from": "2026-11-12"}, "before the first"),
        ({"from": "yesterday"}, "valid date"),
        ({"site": "999999"}, "valid choice"),
        ({"site": "' OR 1=1"}, "valid choice"),
        ({"format": "exe"}, "valid choice"),
        ({"employee": "x"}, ""),
        ({"to": "9999-12-31"}, "Give days"),
    ],
)
def test_a_bad_request_is_answered_on_the_form(
    admin_client: Client, punches: list[Punch], bad: dict[str, str], message: str
) -> None:
    answer = export(admin_client, **({"site": punches[0].site_id} | bad))
    assert answer.status_code == 400
    assert message in answer.content.decode()


@pytest.mark.django_db(transaction=True)
async def test_under_asgi_the_header_is_sent_before_any_row_is_read() -> None:
    site = await SiteFactory._meta.model.objects.acreate(name="Kolkata", slug="kolkata")
    user = await get_user_model().objects.acreate(
        username="hr", is_staff=True, is_superuser=True, password="!"
    )
    client = AsyncClient()
    await client.aforce_login(user)
    answer: Any = await client.get(
        reverse(EXPORT), {"site": site.pk, "from": "2026-11-10", "to": "2026-11-10"}
    )
    assert isinstance(answer, StreamingHttpResponse)
    assert answer.is_async
    chunks = [chunk async for chunk in answer]
    assert chunks[0].startswith(b"\xef\xbb\xbfpunch_id,")


def test_the_overview_counts_todays_punches_on_each_sites_clock(admin_client: Client) -> None:
    PunchFactory.create(
        employee__site__name="Auckland", employee__site__time_zone="Pacific/Auckland"
    )
    PunchFactory.create(employee__site__name="Honolulu", at=datetime(2020, 1, 1, tzinfo=UTC))
    answer = admin_client.get(reverse("admin:index"))
    today = {row.site.name: row.punches for row in answer.context["today"]}
    assert today == {"Auckland": 1, "Honolulu": 0}


def test_the_overview_shows_nothing_that_a_login_may_not_see(client: Client) -> None:
    PunchFactory.create()
    client.force_login(UserFactory.create(staff=True))
    text = client.get(reverse("admin:index")).content.decode()
    assert "Today" not in text
    assert "Kiosks silent" not in text


def test_the_export_offers_this_month_up_to_the_latest_today_of_any_site(
    admin_client: Client,
) -> None:
    """Somewhere it is tomorrow already: this morning's punch there must not be left out."""
    ahead = SiteFactory.create(time_zone="Pacific/Kiritimati")
    behind = SiteFactory.create(time_zone="Pacific/Pago_Pago")
    form = admin_client.get(reverse(EXPORT)).context["form"]
    assert form.initial["to"] == site_days.today(ahead)
    assert form.initial["from"] == site_days.today(behind).replace(day=1)
