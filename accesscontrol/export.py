"""The attendance export: one generator of rows for the admin and the command line.

Columns, in this order; names are stable, new ones go to the end:

| column            | content                                                            |
| ----------------- | ------------------------------------------------------------------ |
| `punch_id`        | number of the punch, unique in the installation                    |
| `employee_number` | as in the payroll                                                  |
| `employee_name`   |                                                                    |
| `site`            | name of the site                                                   |
| `kiosk`           | name of the kiosk                                                  |
| `direction`       | `IN` or `OUT`                                                      |
| `local_date`      | `2026-03-29`, on the site's own clock                              |
| `local_time`      | `02:59:59`, on the site's own clock                                |
| `utc_offset`      | `UTC+01:00`: tells the two 02:30 of an autumn night apart          |
| `time_zone`       | `Europe/Berlin`, the site's zone when the punch was made           |
| `utc_time`        | `2026-03-29T00:59:59Z` (ISO 8601)                                  |
| `correction`      | `correction` where HR brought the punch, empty where a kiosk did   |
| `method`          | `FACE`, `PIN`, `BADGE`, `FACE_AND_PIN`, `FACE_AND_BADGE`; empty    |
|                   | where HR brought the punch                                         |

Rows are ordered by time, then number. Punches that HR has cancelled are left out. Punches are never
changed, so the same days give the same bytes again until a correction is made. CSV is RFC 4180
(comma, CR LF, quotes where needed) in UTF-8 with a byte order mark, without which Excel shows
"Müller" as "MÃ¼ller"; programs read it as `utf-8-sig`. Cells are formula-safe
(`accesscontrol.cells`).
"""

from __future__ import annotations

import csv
import io
import zoneinfo
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import IO

import xlsxwriter
from asgiref.sync import sync_to_async
from django.db.models import QuerySet

from accesscontrol import site_days
from accesscontrol.cells import neutral
from accesscontrol.models import Punch, Site

COLUMNS = (
    "punch_id",
    "employee_number",
    "employee_name",
    "site",
    "kiosk",
    "direction",
    "local_date",
    "local_time",
    "utc_offset",
    "time_zone",
    "utc_time",
    "correction",
    "method",
)
CHUNK = 2_000
"""Rows of one query: memory stays the same however long the export is."""
XLSX_MAX_ROWS = 1_048_575
BOM = "\ufeff"


class ExportError(Exception):
    """The export cannot be made as asked for; the message says what to change."""


@dataclass(frozen=True, slots=True)
class AttendanceQuery:
    """Which punches: those of a site on these days of its own clock, both inclusive."""

    site: Site
    first: date
    last: date
    employee_id: int | None = None

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ExportError(f"The last day, {self.last}, is before the first, {self.first}.")
        if self.last.year >= date.max.year or self.first.year <= date.min.year:
            raise ExportError("Give days like 2026-11-30.")

    @property
    def file_stem(self) -> str:
        return f"attendance_{self.site.slug}_{self.first}_{self.last}"

    def punches(self) -> QuerySet[Punch]:
        start, end = site_days.bounds(self.site.zone, self.first, self.last)
        found = Punch.objects.standing().filter(site=self.site, at__gte=start, at__lt=end)
        return found.filter(employee=self.employee_id) if self.employee_id else found


def rows(query: AttendanceQuery) -> Iterator[tuple[str, ...]]:
    """Yield the rows in the order of COLUMNS, as neutralised text, reading CHUNK at a time."""
    site_name = neutral(query.site.name)
    punches = query.punches().order_by("at", "id")
    fields = punches.values_list(
        "id", "employee__number", "employee__name", "kiosk__name", "direction", "correction",
        "decision__method", "time_zone", "at",
    )  # fmt: skip
    rest = fields
    while chunk := list(rest[:CHUNK]):
        for number, *person_and_place, correction, method, zone, at in chunk:
            employee_number, name, kiosk, direction = map(neutral, person_and_place)
            who_and_where = (str(number), employee_number, name, site_name, kiosk, direction)
            brought = ("correction", "") if correction else ("", method)
            yield (*who_and_where, *_times(at, zone), *brought)
        if len(chunk) < CHUNK:
            return
        last_id, last_at = chunk[-1][0], chunk[-1][-1]
        # Written so that the index on (site, at, id) is entered at `last_at`.
        rest = fields.filter(at__gte=last_at).exclude(at=last_at, id__lte=last_id)


def _times(at: datetime, zone: str) -> tuple[str, str, str, str, str]:
    local = at.astimezone(zoneinfo.ZoneInfo(zone))
    text = local.isoformat(timespec="seconds")  # 2026-03-29T02:59:59+01:00
    utc = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    return text[:10], text[11:19], f"UTC{text[19:]}", zone, f"{utc}Z"


def csv_chunks(query: AttendanceQuery) -> Iterator[bytes]:
    """Yield the CSV file piece by piece; the header comes before the first query."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)  # its default is RFC 4180
    buffer.write(BOM)
    writer.writerow(COLUMNS)
    yield _drain(buffer)
    for count, row in enumerate(rows(query), start=1):
        writer.writerow(row)
        if count % CHUNK == 0:
            yield _drain(buffer)
    yield _drain(buffer)


def _drain(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


async def aiter_chunks(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Iterate without blocking the event loop: each step runs in the request's own thread.

    Under ASGI Django would read a plain iterator to its end before it sends the first byte.
    """
    iterator = iter(chunks)
    step = sync_to_async(lambda: next(iterator, None))
    while (chunk := await step()) is not None:
        yield chunk


def write_xlsx(query: AttendanceQuery, file: IO[bytes]) -> int:
    """Write the workbook to a seekable binary file; returns the number of rows.

    Raises ExportError for more rows than a sheet holds.
    """
    book = xlsxwriter.Workbook(file, {"constant_memory": True})
    # Not the present time: the same request gives the same bytes.
    book.set_properties({"created": datetime(2000, 1, 1)})  # noqa: DTZ001  the file has no zone
    sheet = book.add_worksheet("Attendance")
    bold = book.add_format({"bold": True})
    sheet.set_column(0, len(COLUMNS) - 1, 18)
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(COLUMNS):
        sheet.write_string(0, column, name, bold)
    count = 0
    for count, row in enumerate(rows(query), start=1):
        if count > XLSX_MAX_ROWS:
            raise ExportError(
                f"A sheet holds {XLSX_MAX_ROWS:,} rows. Export fewer days at a time, or as CSV."
            )
        for column, cell in enumerate(row):
            sheet.write_string(count, column, cell)
    book.close()
    return count
