"""HR gives somebody a PIN, who enters it at the door; HR finds the punch. One browser, no face."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accesscontrol import kiosks
from accesscontrol.frames import FrameOutlet
from accesscontrol.groups import ensure_groups
from accesscontrol.models import Consent, Decision, Punch, Template
from tests.factories import EmployeeFactory, KioskFactory, UserFactory
from tests.kiosk.browser import ALLOWED, FAKE_CAMERA, chromium
from tests.kiosk.server import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery staple"
PATIENCE_MS = 30_000


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        with chromium(playwright, *FAKE_CAMERA, *ALLOWED) as running:
            yield running


def log_in(page: Page, username: str) -> None:
    page.goto(reverse("admin:login"))
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    expect(page).to_have_url(reverse("admin:index"))


def test_a_person_without_consent_to_face_recognition_comes_in_by_pin(
    browser: Browser, web: WebServer, outlet: FrameOutlet
) -> None:
    ensure_groups()
    hr = UserFactory.create(staff=True, username="hr")
    hr.groups.add(Group.objects.get(name="HR"))
    asha = EmployeeFactory.create(name="Asha Rao", number="42")
    kiosk = KioskFactory.create(site=asha.site)

    office = browser.new_context(base_url=web.url).new_page()
    log_in(office, "hr")
    office.goto(reverse("admin:accesscontrol_employee_change", args=[asha.pk]))
    office.get_by_role("link", name="Random PIN…").click()
    office.get_by_role("button", name="Make a random PIN").click()
    pin = office.locator(".gh-pin").inner_text()

    door = browser.new_context(base_url=web.url, viewport={"width": 800, "height": 1280}).new_page()
    door.goto(f"/kiosk/?code={kiosks.new_pairing_code(kiosk, by=None)}")
    door.get_by_role("button", name="Pair").click()
    door.get_by_role("button", name="No face? Use your PIN or badge").click()
    for digit in asha.number:
        door.locator(f"[data-key='{digit}']").click()
    door.get_by_role("button", name="OK").click()
    for digit in pin:
        door.locator(f"[data-key='{digit}']").click()
    door.get_by_role("button", name="OK").click()
    expect(door.locator("#greeting-name")).to_have_text("Asha Rao")

    assert Punch.objects.get().employee == asha
    assert not Consent.objects.exists()
    assert not Template.objects.exists()
    office.goto(reverse("admin:accesscontrol_punch_changelist"))
    expect(office.locator("#result_list")).to_contain_text("Asha Rao")
    decision = Decision.objects.get()
    office.goto(reverse("admin:accesscontrol_decision_change", args=[decision.pk]))
    expect(office.locator(".gh-answer")).to_contain_text(
        "Asha Rao signed in with their number and PIN; the face was not looked at. Punched IN"
    )
