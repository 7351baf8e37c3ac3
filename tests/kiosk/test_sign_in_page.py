"""The way in without a face on the kiosk page, in a real Chromium with a real server behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from accesscontrol import credentials, kiosks
from accesscontrol.frames import Frame, FrameOutlet
from accesscontrol.models import Employee, Kiosk, Punch
from kiosk.protocol import Message
from tests.factories import EmployeeFactory, KioskFactory, SiteFactory
from tests.kiosk.browser import ALLOWED, FAKE_CAMERA, chromium, new_context
from tests.kiosk.server import StandInWorker, WebServer, decision, faces
from tests.sign_ins import BADGE, OTHER_PIN, PIN

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_MS = 20_000
SIZES = [(800, 1280), (1280, 800), (600, 1024), (1024, 600)]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        expect.set_options(timeout=PATIENCE_MS)
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright, *FAKE_CAMERA, *ALLOWED) as running:
        yield running


@pytest.fixture(scope="module")
def blind(playwright: Playwright) -> Iterator[Browser]:
    """A device without a camera."""
    with chromium(playwright) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = new_context(browser)
    yield context.new_page()
    context.close()


@pytest.fixture
def kiosk(outlet: FrameOutlet) -> Kiosk:
    return KioskFactory.create(name="Haupteingang", site=SiteFactory.create(name="Köln"))


@pytest.fixture
def asha(kiosk: Kiosk) -> Employee:
    employee = EmployeeFactory.create(site=kiosk.site, number="42", name="Asha Rao")
    credentials.set_pin(employee, PIN, by=None)
    credentials.add_badge(employee, BADGE, by=None)
    return employee


def state(page: Page, *states: str) -> None:
    expect(page.locator("#kiosk")).to_have_attribute(
        "data-state", re.compile(f"^({'|'.join(states)})$")
    )


def pair(page: Page, web: WebServer, kiosk: Kiosk, *states: str) -> None:
    code = kiosks.new_pairing_code(kiosk, by=None)
    page.goto(f"{web.url}/kiosk/?code={code}")
    page.get_by_role("button", name="Pair").click()
    state(page, *(states or ("waiting", "looking", "refusal", "greeting")))


def open_panel(page: Page) -> None:
    page.get_by_role("button", name="No face? Use your PIN or badge").click()
    expect(page.get_by_label("Employee number")).to_be_focused()


def tap(page: Page, digits: str) -> None:
    for digit in digits:
        page.locator("#sign-in").get_by_role("button", name=digit, exact=True).click()


def sign_in_by_keypad(page: Page, number: str, pin: str) -> None:
    open_panel(page)
    tap(page, number)
    page.get_by_role("button", name="OK").click()
    expect(page.get_by_label("PIN", exact=True)).to_be_focused()
    tap(page, pin)
    page.get_by_role("button", name="OK").click()


def hold_badge(page: Page, number: str) -> None:
    """A reader types all of it at once, whatever the machine is busy with."""
    page.evaluate(
        """(keys) => keys.forEach((key) => {
            const target = document.activeElement ?? document.body;
            if (key.length === 1 && target.matches("input")) target.value += key;
            target.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
        })""",
        [*number, "Enter"],
    )


def test_on_the_keypad_with_number_and_pin(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, asha: Employee
) -> None:
    pair(page, web, kiosk)
    sign_in_by_keypad(page, "42", PIN)
    expect(page.locator("#greeting-name")).to_have_text("Asha Rao")
    expect(page.locator("#greeting-when")).to_contain_text("IN ")
    expect(page.locator("#sign-in")).to_be_hidden()
    assert Punch.objects.get().employee == asha
    state(page, "waiting", "looking")
    expect(page.locator("#sign-in-pin")).to_have_value("")


def test_with_a_keyboard(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, asha: Employee
) -> None:
    pair(page, web, kiosk)
    open_panel(page)
    page.keyboard.type("42", delay=80)
    page.keyboard.press("Tab")
    page.get_by_label("PIN", exact=True).focus()
    page.keyboard.type(PIN, delay=80)
    page.keyboard.press("Enter")
    expect(page.locator("#greeting-name")).to_have_text("Asha Rao")


def test_with_a_badge_held_to_the_reader_without_a_tap(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, asha: Employee
) -> None:
    pair(page, web, kiosk)
    hold_badge(page, "04A25F1B9C")
    expect(page.locator("#greeting-name")).to_have_text("Asha Rao")
    assert Punch.objects.get().decision.method == "BADGE"


def test_with_a_badge_while_a_field_is_selected(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, asha: Employee
) -> None:
    pair(page, web, kiosk)
    open_panel(page)
    hold_badge(page, "04A25F1B9C")
    expect(page.locator("#greeting-name")).to_have_text("Asha Rao")
    expect(page.locator("#sign-in-number")).to_have_value("")


def test_a_wrong_pin_is_said_and_can_be_mended(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, asha: Employee
) -> None:
    pair(page, web, kiosk)
    sign_in_by_keypad(page, "42", OTHER_PIN)
    expect(page.locator("#sign-in-note")).to_contain_text("do not fit")
    expect(page.get_by_label("Employee number")).to_have_value("42")
    expect(page.get_by_label("PIN", exact=True)).to_have_value("")
    tap(page, PIN)
    page.get_by_role("button", name="OK").click()
    expect(page.locator("#greeting-name")).to_have_text("Asha Rao")


def test_an_unknown_badge_is_a_refusal_on_the_screen(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    pair(page, web, kiosk)
    hold_badge(page, "99999999")
    expect(page.locator("#refusal-title")).to_have_text("That does not fit")


def test_the_button_is_one_tap_away_while_a_refusal_says_use_your_pin(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    def refuse(frame: Frame) -> list[Message]:
        refused = {"outcome": "NO_MATCH", "employee": None, "direction": None, "at": None}
        reason = "Take off the sunglasses, or use your PIN."
        return [faces(frame, size=(640, 360)), decision(frame, **refused, reason=reason)]

    worker.answer = refuse
    pair(page, web, kiosk)
    state(page, "refusal")
    expect(page.locator("#refusal-reason")).to_contain_text("use your PIN")
    open_panel(page)
    tap(page, "4")
    page.wait_for_function("document.querySelector('#kiosk').dataset.state !== 'refusal'")
    expect(page.get_by_label("Employee number")).to_have_value("4")


def test_look_alikes_are_asked_for_the_pin_alone(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    asked: list[int] = []

    def ask(frame: Frame) -> list[Message]:
        messages = [faces(frame, size=(640, 360))]
        if not asked:
            asked.append(frame.sequence)
            refused = {"outcome": "AMBIGUOUS", "employee": None, "direction": None, "at": None}
            messages.append(decision(frame, **refused, reason="…", ask_pin_ms=4000))
        return messages

    worker.answer = ask
    pair(page, web, kiosk)
    expect(page.locator("#sign-in-title")).to_have_text("Please enter your PIN")
    expect(page.get_by_label("Employee number")).to_be_hidden()
    expect(page.get_by_label("PIN", exact=True)).to_be_focused()
    expect(page.locator("#sign-in")).to_be_hidden()  # the time is over
    state(page, "waiting", "looking")


def test_without_a_camera_the_pin_still_lets_people_in(
    blind: Browser, web: WebServer, kiosk: Kiosk, worker: StandInWorker, asha: Employee
) -> None:
    context = new_context(blind)
    page = context.new_page()
    pair(page, web, kiosk, "no-camera")
    sign_in_by_keypad(page, "42", PIN)
    expect(page.locator("#greeting-name")).to_have_text("Asha Rao")
    context.close()


@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
def test_every_key_is_large_and_on_the_screen(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    pair(page, web, kiosk)
    open_panel(page)
    # As long as it gets in German.
    page.locator("#sign-in-title").evaluate(
        "(title) => title.textContent = 'Anmeldung ohne Gesichtserkennung'"
    )
    page.locator("#sign-in-cancel").evaluate("(it) => it.textContent = 'Vorgang abbrechen'")
    for key in page.locator("#sign-in button").all():
        box = key.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert 0 <= box["y"] <= box["y"] + box["height"] <= height
    keys = [key.bounding_box() for key in page.locator(".keypad button").all()]
    assert min(min(box["width"], box["height"]) for box in keys if box) >= 44
    overflow = page.evaluate("document.querySelector('#sign-in').scrollWidth > innerWidth")
    assert not overflow
