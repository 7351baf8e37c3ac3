"""manage.py export_attendance."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accesscontrol import export
from accesscontrol.environment import PROJECT
from accesscontrol.models import Site
from tests.factories import EmployeeFactory, PunchFactory, SiteFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    site = SiteFactory.create(name="Werk Süd", slug="werk-sued")
    employee = EmployeeFactory.create(site=site, name="Jörg")
    PunchFactory.create(employee=employee, at=datetime(2026, 11, 10, 8, tzinfo=UTC))
    return site


def run(site: str, first: str, last: str, *more: str) -> str:
    out = io.StringIO()
    call_command(
        "export_attendance", f"--site={site}", f"--from={first}", f"--to={last}", *more, stdout=out
    )
    return out.getvalue()


@pytest.mark.parametrize("name", ["werk-sued", "Werk Süd", "WERK SÜD", "Werk-Sued"])
def test_the_site_goes_by_its_name_or_short_name(site: Site, name: str) -> None:
    assert "Jörg" in run(name, "2026-11-10", "2026-11-10")


def test_stdout_has_the_very_bytes_of_the_export(site: Site) -> None:
    day = date(2026, 11, 10)
    wanted = b"".join(export.csv_chunks(export.AttendanceQuery(site, day, day)))
    assert run("werk-sued", "2026-11-10", "2026-11-10").encode() == wanted


def test_a_file_is_written_whole_and_nothing_is_left_beside_it(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "november.xlsx"
    run("werk-sued", "2026-11-01", "2026-11-30", "--format=xlsx", f"--output={file}")
    assert list(tmp_path.iterdir()) == [file]
    assert "xl/worksheets/sheet1.xml" in zipfile.ZipFile(file).namelist()


def test_a_folder_that_is_not_there_is_named(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"Cannot write .*nowhere"):
        run("werk-sued", "2026-11-01", "2026-11-30", f"--output={tmp_path / 'nowhere' / 'a.csv'}")


def test_a_workbook_is_not_poured_into_a_text_stream(site: Site) -> None:
    with pytest.raises(CommandError, match="--output"):
        run("werk-sued", "2026-11-01", "2026-11-30", "--format=xlsx")


def test_an_unknown_site_is_answered_with_those_there_are(site: Site) -> None:
    with pytest.raises(CommandError, match=r"“Nord”.*Werk Süd \(werk-sued\).*add_site"):
        run("Nord", "2026-11-01", "2026-11-30")


def test_without_any_site_the_answer_is_how_to_add_one() -> None:
    with pytest.raises(CommandError, match=r"no site yet.*add_site"):
        run("Nord", "2026-11-01", "2026-11-30")


def test_a_date_in_another_form_is_refused_with_an_example(site: Site) -> None:
    with pytest.raises(CommandError, match=r"“1\.11\.2026” is no date.*2026-11-30"):
        run("werk-sued", "1.11.2026", "2026-11-30")


def test_days_the_wrong_way_round_are_refused(site: Site) -> None:
    with pytest.raises(CommandError, match="before the first"):
        run("werk-sued", "2026-11-30", "2026-11-01")


def test_help_names_the_arguments() -> None:
    out = subprocess.run(
        [sys.executable, "manage.py", "export_attendance", "--help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--from DAY" in out.stdout
