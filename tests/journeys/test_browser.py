"""A face before the browser's camera, a greeting on the page, a row in the admin, a line of CSV.

Headless Chromium with a fake camera that plays a real face; everything behind it is real.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

from tests.journeys.installation import TestInstallation
from tests.kiosk.browser import ALLOWED, chromium, new_context

pytestmark = pytest.mark.journey
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@dataclass(frozen=True, slots=True)
class HumanResources:
    """HR at the admin, in a browser of its own."""

    page: Page
    url: str

    def log_in(self, password: str) -> None:
        self.page.goto(f"{self.url}admin/")
        self.page.get_by_label("Username").fill("admin")
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page).to_have_url(f"{self.url}admin/")

    def add_employee(self, site: str, number: str, name: str, photo: Path) -> None:
        """Add a person, record the consent, upload a photo, and see it accepted."""
        self.page.goto(f"{self.url}admin/accesscontrol/employee/add/")
        self.page.locator("select[name=site]").select_option(label=site)
        self.page.locator("input[name=number]").fill(number)
        self.page.locator("input[name=name]").fill(name)
        self.page.locator("button[name=_continue]").click()
        self.page.locator("input[name=text_version]").fill("2026-01 signed")
        self.page.get_by_role("button", name="Record consent").click()
        self.page.locator("input[name=photos]").set_input_files(photo)
        self.page.get_by_role("button", name="Upload photos").click()
        # The page follows by itself.
        expect(self.page.locator(".gh-photo[data-status=ACCEPTED]")).to_have_count(
            1, timeout=PATIENCE_MS
        )

    def new_pairing_code(self, site: str, kiosk: str) -> str:
        self.page.goto(f"{self.url}admin/accesscontrol/kiosk/add/")
        self.page.locator("select[name=site]").select_option(label=site)
        self.page.locator("input[name=name]").fill(kiosk)
        self.page.locator("button[name=_continue]").click()
        self.page.get_by_role("link", name="New pairing code").click()
        self.page.get_by_role("button", name="Make code").click()
        return self.page.locator("#pairing-code").inner_text().strip()

    def attendance(self) -> list[str]:
        """The rows of the attendance log as one reads them."""
        self.page.goto(f"{self.url}admin/accesscontrol/punch/")
        return self.page.locator("#result_list tbody tr").all_inner_texts()

    def exported(self, site: str) -> list[dict[str, str]]:
        self.page.get_by_role("link", name="Export CSV").click()
        self.page.locator("select[name=site]").select_option(label=site)
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Export").click()
        with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))


@contextmanager
def kiosk_with_camera(playwright: Playwright, video: Path) -> Iterator[BrowserContext]:
    camera = [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    ]
    with chromium(playwright, *camera, *ALLOWED) as browser:
        yield new_context(browser)


@pytest.fixture(scope="module")
def hr(playwright: Playwright, installation: TestInstallation) -> Iterator[HumanResources]:
    with chromium(playwright) as browser:
        people = HumanResources(new_context(browser).new_page(), installation.url)
        people.log_in(installation.manage("reset_login", "--username", "admin").strip())
        yield people


def camera_video(walk_past: Path, folder: Path) -> Path:
    """The frames of a walk-past as the motion JPEG that Chromium's fake camera plays."""
    video = folder / f"{walk_past.name}.mjpeg"
    video.write_bytes(b"".join(frame.read_bytes() for frame in sorted(walk_past.iterdir())))
    return video


def pair(page: Page, url: str, code: str) -> None:
    page.goto(f"{url}kiosk/?code={code}")
    page.get_by_role("button", name="Pair").click()


def test_an_employee_is_greeted_and_found_in_the_admin_and_in_the_csv(
    playwright: Playwright,
    installation: TestInstallation,
    hr: HumanResources,
    faces: dict[str, Path],
    walk_pasts: Path,
    tmp_path: Path,
) -> None:
    installation.add_site("Reception", "--time-zone", "Asia/Kolkata")
    hr.add_employee("Reception", "44", "Barack Obama", faces["obama.jpg"])
    code = hr.new_pairing_code("Reception", "Front desk")

    with kiosk_with_camera(playwright, camera_video(walk_pasts / "obama2", tmp_path)) as kiosk:
        page = kiosk.new_page()
        pair(page, installation.url, code)
        expect(page.locator("#greeting")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#greeting-name")).to_have_text("Barack Obama")
        expect(page.locator("#greeting-when")).to_contain_text("IN")
        shown = re.search(r"\d{2}:\d{2}", page.locator("#greeting-when").inner_text())

    assert shown
    rows = [row for row in hr.attendance() if "Reception" in row]
    assert len(rows) == 1
    assert "Barack Obama" in rows[0]
    assert shown[0] in rows[0]
    exported = hr.exported("Reception")
    assert [(row["employee_name"], row["direction"]) for row in exported] == [
        ("Barack Obama", "IN")
    ]
    assert exported[0]["local_time"].startswith(shown[0])


def test_a_stranger_reads_why_and_is_nowhere_in_the_attendance(
    playwright: Playwright,
    installation: TestInstallation,
    hr: HumanResources,
    faces: dict[str, Path],
    walk_pasts: Path,
    tmp_path: Path,
) -> None:
    installation.add_site("Warehouse")
    hr.add_employee("Warehouse", "44", "Barack Obama", faces["obama.jpg"])
    code = hr.new_pairing_code("Warehouse", "Gate")

    with kiosk_with_camera(playwright, camera_video(walk_pasts / "astronaut", tmp_path)) as kiosk:
        page = kiosk.new_page()
        pair(page, installation.url, code)
        expect(page.locator("#refusal")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#refusal-reason")).not_to_be_empty()
        expect(page.locator("#greeting")).to_be_hidden()

    assert not [row for row in hr.attendance() if "Warehouse" in row]
    assert hr.exported("Warehouse") == []
