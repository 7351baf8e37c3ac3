"""The attendance export: which punches, in which form, on which days."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accesscontrol import export
from accesscontrol.export import AttendanceQuery, ExportError
from accesscontrol.models import Employee, Punch, Site
from tests.factories import EmployeeFactory, KioskFactory, PunchFactory, SiteFactory

pytestmark = pytest.mark.django_db


def exported(query: AttendanceQuery) -> list[dict[str, str]]:
    data = b"".join(export.csv_chunks(query)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(data, newline="")))


def punched(site: Site, *moments: str, **fields: Any) -> list[Punch]:
    employee = fields.pop("employee", None) or EmployeeFactory.create(site=site)
    kiosk = KioskFactory.create(site=site, paired=True)
    return [
        PunchFactory.create(
            employee=employee, kiosk=kiosk, at=datetime.fromisoformat(moment), **fields
        )
        for moment in moments
    ]


def test_a_row_says_who_where_when_in_local_time_and_in_utc() -> None:
    site = SiteFactory.create(name="Werk Süd", time_zone="Europe/Berlin")
    employee = EmployeeFactory.create(site=site, number="0042", name="Jörg Müller-Lüdenscheidt")
    (punch,) = punched(site, "2026-07-01T06:58:07.9Z", employee=employee)

    assert exported(AttendanceQuery(site, date(2026, 7, 1), date(2026, 7, 1))) == [
        {
            "punch_id": str(punch.pk),
            "employee_number": "0042",
            "employee_name": "Jörg Müller-Lüdenscheidt",
            "site": "Werk Süd",
            "kiosk": punch.kiosk.name,
            "direction": "IN",
            "local_date": "2026-07-01",
            "local_time": "08:58:07",
            "utc_offset": "UTC+02:00",
            "time_zone": "Europe/Berlin",
            "utc_time": "2026-07-01T06:58:07Z",
            "correction": "",
            "method": "FACE",
        }
    ]


def test_both_days_are_included_and_their_neighbours_are_not() -> None:
    site = SiteFactory.create(time_zone="Asia/Kolkata", cool_down_s=0)  # UTC+05:30
    punched(
        site,
        "2026-11-09T18:29:59Z",  # 23:59:59 the day before
        "2026-11-09T18:30:00Z",  # 00:00
        "2026-11-11T18:29:59Z",  # 23:59:59 on the last day
        "2026-11-11T18:30:00Z",  # 00:00 the day after
    )
    rows = exported(AttendanceQuery(site, date(2026, 11, 10), date(2026, 11, 11)))
    assert [row["utc_time"] for row in rows] == ["2026-11-09T18:30:00Z", "2026-11-11T18:29:59Z"]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("America/Santiago", date(2026, 9, 6), 23),  # the clock jumps at midnight itself
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("America/Havana", date(2026, 11, 1), 25),  # midnight comes twice
        ("Asia/Kolkata", date(2026, 3, 29), 24),
    ],
)
def test_a_daylight_saving_day_is_exported_whole(zone: str, day: date, hours: float) -> None:
    site = SiteFactory.create(time_zone=zone, cool_down_s=0)
    first = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=14)
    moments = [first + timedelta(minutes=15 * step) for step in range(4 * 52)]
    employee = EmployeeFactory.create(site=site)
    kiosk = KioskFactory.create(site=site)
    for at in moments:
        PunchFactory.create(employee=employee, kiosk=kiosk, at=at)

    rows = exported(AttendanceQuery(site, day, day))

    assert len(rows) == hours * 4
    assert {row["local_date"] for row in rows} == {day.isoformat()}


def test_the_two_half_past_twos_of_an_autumn_night_differ_by_their_offset() -> None:
    site = SiteFactory.create(time_zone="Europe/Berlin")
    punched(site, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z")
    rows = exported(AttendanceQuery(site, date(2026, 10, 25), date(2026, 10, 25)))
    assert [(row["local_time"], row["utc_offset"]) for row in rows] == [
        ("02:30:00", "UTC+02:00"),
        ("02:30:00", "UTC+01:00"),
    ]


def test_only_the_sites_own_punches_and_only_the_persons_if_asked() -> None:
    site, other = SiteFactory.create(), SiteFactory.create()
    (mine,) = punched(site, "2026-11-10T08:00:00Z")
    (colleagues,) = punched(site, "2026-11-10T08:00:00Z")
    punched(other, "2026-11-10T08:00:00Z")
    day = date(2026, 11, 10)

    everyone = exported(AttendanceQuery(site, day, day))
    one = exported(AttendanceQuery(site, day, day, employee_id=mine.employee_id))

    assert [row["punch_id"] for row in everyone] == [str(mine.pk), str(colleagues.pk)]
    assert [row["punch_id"] for row in one] == [str(mine.pk)]


def test_an_export_without_punches_is_a_header() -> None:
    day = date(2026, 11, 10)
    data = b"".join(export.csv_chunks(AttendanceQuery(SiteFactory.create(), day, day)))
    assert data == b"\xef\xbb\xbf" + ",".join(export.COLUMNS).encode() + b"\r\n"


def test_hostile_names_come_out_as_quoted_harmless_text() -> None:
    site = SiteFactory.create(name='=HYPERLINK("http://x")')
    employee = EmployeeFactory.create(site=site, number="@SUM(1)", name='Bobby"; \r\n=1+1,"')
    punched(site, "2026-11-10T08:00:00Z", employee=employee)
    day = date(2026, 11, 10)

    (row,) = exported(AttendanceQuery(site, day, day))

    assert row["employee_number"] == "'@SUM(1)"
    assert row["site"].startswith("'=")
    assert "\n'=1+1" in row["employee_name"]
    assert None not in row  # as many cells as columns: the quotes and line breaks held


def test_the_same_request_gives_the_same_bytes_again() -> None:
    site = SiteFactory.create()
    punched(site, "2026-11-10T08:00:00Z", "2026-11-10T16:00:00Z")
    query = AttendanceQuery(site, date(2026, 11, 10), date(2026, 11, 10))

    def workbook() -> bytes:
        file = io.BytesIO()
        assert export.write_xlsx(query, file) == 2
        return file.getvalue()

    assert b"".join(export.csv_chunks(query)) == b"".join(export.csv_chunks(query))
    assert workbook() == workbook()


def test_the_last_day_cannot_be_before_the_first() -> None:
    with pytest.raises(ExportError, match="before the first"):
        AttendanceQuery(SiteFactory.create(), date(2026, 11, 11), date(2026, 11, 10))


@pytest.fixture
def crowd() -> Callable[[int], AttendanceQuery]:
    """Many punches, several at the very same moment, written straight into the tables."""

    def make(count: int) -> AttendanceQuery:
        site = SiteFactory.create()
        (first,) = punched(site, "2026-11-01T00:00:00Z")
        table, decision = Punch._meta.db_table, first.decision._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {Employee._meta.db_table} (site_id, number, name, is_active,"
                " created_at) SELECT %s, 'n' || n, 'Name ' || n, true, now()"
                " FROM generate_series(1, 4) n RETURNING id",
                [site.pk],
            )
            people = [row[0] for row in cursor.fetchall()]
            columns = [str(field.column) for field in first.decision._meta.concrete_fields]
            same = [c for c in columns if c not in {"id", "presentation", "employee_id"}]
            cursor.execute(
                f"WITH made AS (INSERT INTO {decision} (presentation, employee_id,"
                f" {', '.join(same)}) SELECT gen_random_uuid(), (%s::bigint[])[1 + n %% 4],"
                f" {', '.join(same)} FROM {decision}, generate_series(1, %s) n"
                " RETURNING id, presentation, employee_id),"
                " numbered AS (SELECT *, row_number() OVER (PARTITION BY employee_id) n FROM made)"
                f" INSERT INTO {table} (decision_id, employee_id, site_id, kiosk_id, presentation,"
                " direction, at, captured_at, time_zone, cooling) SELECT id, employee_id, %s, %s,"
                " presentation, 'IN', timestamptz '2026-11-02Z' + n * interval '1 minute',"
                " now(), 'Europe/Berlin', tstzrange(timestamptz '2026-11-02Z' + n * interval"
                " '1 minute', timestamptz '2026-11-02Z' + (n + 1) * interval '1 minute')"
                " FROM numbered",
                [people, count, site.pk, first.kiosk_id],
            )
        return AttendanceQuery(site, date(2026, 11, 2), date(2026, 12, 31))

    return make


def test_a_long_export_is_read_in_chunks_and_misses_no_punch(
    crowd: Callable[[int], AttendanceQuery],
) -> None:
    query = crowd(20_000)
    expected = list(query.punches().order_by("at", "id").values_list("id", flat=True))

    with CaptureQueriesContext(connection) as queries:
        found = [int(row["punch_id"]) for row in exported(query)]

    assert found == expected
    assert len(found) == 20_000
    assert len(queries) == 20_000 // export.CHUNK + 1
    assert all("LIMIT" in q["sql"] for q in queries.captured_queries)


def test_the_header_comes_before_the_first_query() -> None:
    day = date(2026, 11, 10)
    query = AttendanceQuery(SiteFactory.create(), day, day)
    with CaptureQueriesContext(connection) as queries:
        assert next(export.csv_chunks(query)).startswith(b"\xef\xbb\xbfpunch_id,")
    assert len(queries) == 0


def test_memory_does_not_grow_with_the_rows(crowd: Callable[[int], AttendanceQuery]) -> None:
    query = crowd(20_000)
    sum(map(len, export.csv_chunks(query)))  # what is loaded once is loaded now
    tracemalloc.start()
    size = sum(map(len, export.csv_chunks(query)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 2_000_000
    assert peak < 6_000_000  # a chunk of rows and its text, never the whole
