"""The kiosk page while somebody is asked to move their head, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from accesscontrol import kiosks
from accesscontrol.frames import Frame, FrameOutlet
from accesscontrol.models import Kiosk
from kiosk.protocol import Message
from tests.factories import KioskFactory, SiteFactory
from tests.kiosk.browser import ALLOWED, FAKE_CAMERA, chromium, new_context
from tests.kiosk.server import StandInWorker, WebServer, decision, faces

pytestmark = pytest.mark.django_db(transaction=True)

PRESENTATION = "6f1f2a52-6f0e-4a8e-9df5-7f3f3c8f6c11"
SIZE = (640, 360)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright, *FAKE_CAMERA, *ALLOWED) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = new_context(browser)
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def kiosk(outlet: FrameOutlet) -> Kiosk:
    return KioskFactory.create(site=SiteFactory.create())


def prompt(frame: Frame, movement: str, **fields: Any) -> Message:
    asked = {
        "type": "prompt",
        "presentation": PRESENTATION,
        "seq": frame.sequence,
        "movement": movement,
        "step": 1,
        "steps": 2,
    }
    return {**asked, **fields}


def asking(movement: str, **fields: Any) -> Callable[[Frame], list[Message]]:
    box = [270.0, 90.0, 370.0, 210.0]
    return lambda frame: [
        faces(frame, (box, "asked"), size=SIZE),
        prompt(frame, movement, **fields),
    ]


def pair(page: Page, web: WebServer, kiosk: Kiosk) -> None:
    code = kiosks.new_pairing_code(kiosk, by=None)
    page.goto(f"{web.url}/kiosk/?code={code}")
    page.get_by_role("button", name="Pair").click()


def shown(page: Page) -> None:
    expect(page.locator("#prompt")).to_be_visible(timeout=20_000)


@pytest.mark.parametrize(
    ("movement", "word", "side"), [("LEFT", "left", -1), ("RIGHT", "right", 1)]
)
def test_the_arrow_points_to_the_persons_own_side_of_the_mirrored_picture(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, movement: str, word: str,
    side: int,
) -> None:  # fmt: skip
    worker.answer = asking(movement)
    pair(page, web, kiosk)
    shown(page)
    expect(page.locator("#prompt-title")).to_have_text(f"Turn your head to the {word}")
    page.wait_for_function("document.getElementById('camera').readyState >= 2")
    tip, mirrored = page.evaluate(
        """() => {
            const arrow = document.querySelector("#prompt .arrow");
            const camera = document.getElementById("camera");
            const at = new DOMMatrix(getComputedStyle(arrow).transform);
            const video = new DOMMatrix(getComputedStyle(camera).transform);
            // The drawing's tip lies at x = 4 of 24: to the left of its middle.
            return [at.a * (4 - 12), video.a];
        }"""
    )
    assert mirrored == -1, "who looks into the screen sees their left on its left"
    assert tip * side > 0
    text = page.locator("#prompt-title").bounding_box()
    arrow = page.locator("#prompt .arrow").bounding_box()
    assert text is not None
    assert arrow is not None
    assert (arrow["x"] - text["x"]) * side > 0, "and stands on that side"


def test_an_arrow_up_points_up(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = asking("UP")
    pair(page, web, kiosk)
    shown(page)
    expect(page.locator("#prompt-title")).to_have_text("Look up")
    x, y = page.evaluate(
        """() => {
            const arrow = document.querySelector("#prompt .arrow");
            const at = new DOMMatrix(getComputedStyle(arrow).transform);
            return [at.a * (4 - 12), at.b * (4 - 12)];
        }"""
    )
    assert abs(x) < 0.01
    assert y < 0


def test_another_way_in_is_offered_from_the_start(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = asking("LEFT")
    pair(page, web, kiosk)
    shown(page)
    expect(page.locator("#prompt-instead")).to_contain_text("PIN or badge")
    expect(page.locator("#prompt-step")).to_have_text("Step 1 of 2")


def test_the_asked_face_is_marked_and_nothing_else_is_said_meanwhile(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = asking("RIGHT")
    pair(page, web, kiosk)
    shown(page)
    expect(page.locator("#faces .face")).to_have_attribute("data-state", "asked")
    expect(page.locator("#live")).to_be_hidden()


def test_then_it_says_to_look_ahead(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = asking("LEFT")
    pair(page, web, kiosk)
    shown(page)
    worker.answer = asking("AHEAD")
    expect(page.locator("#prompt-title")).to_have_text("Now look straight ahead")
    expect(page.locator("#prompt-icon")).to_have_attribute("href", "#icon-ahead")


@pytest.mark.parametrize("outcome", ["ACCEPTED", "CHALLENGE"])
def test_its_decision_ends_it(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, outcome: str
) -> None:
    worker.answer = asking("LEFT")
    pair(page, web, kiosk)
    shown(page)
    end = {"presentation": PRESENTATION, "outcome": outcome}
    worker.answer = lambda frame: [faces(frame, size=SIZE), decision(frame, **end)]
    expect(page.locator("#prompt")).to_be_hidden()
    expect(page.locator("#greeting" if outcome == "ACCEPTED" else "#refusal")).to_be_visible()


def test_a_decision_about_somebody_else_does_not(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = asking("LEFT")
    pair(page, web, kiosk)
    shown(page)
    ask = asking("LEFT")
    worker.answer = lambda frame: [*ask(frame), decision(frame, employee="Ben")]
    expect(page.locator("#greeting-name")).to_have_text("Ben")
    expect(page.locator("#prompt")).to_be_visible()
    message = page.locator("#greeting").bounding_box()
    arrow = page.locator("#prompt").bounding_box()
    assert message is not None
    assert arrow is not None
    assert arrow["y"] + arrow["height"] <= message["y"], "neither covers the other"


def test_what_the_server_stops_asking_goes_by_itself(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = asking("LEFT")
    pair(page, web, kiosk)
    shown(page)
    worker.answer = lambda frame: [faces(frame, size=SIZE)]
    expect(page.locator("#prompt")).to_be_hidden()
    expect(page.locator("#kiosk")).not_to_have_attribute("data-asked", re.compile(".*"))


def test_whoever_asked_for_less_motion_gets_an_arrow_that_stands(
    browser: Browser, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 800, "height": 1280})
    page = context.new_page()
    worker.answer = asking("RIGHT")
    pair(page, web, kiosk)
    shown(page)
    running = page.evaluate("document.querySelector('#prompt .arrow').getAnimations().length")
    assert running == 0
    assert (
        page.evaluate(
            "new DOMMatrix(getComputedStyle(document.querySelector('#prompt .arrow')).transform).a"
        )
        == -1
    )
    context.close()


@pytest.mark.parametrize("viewport", [(800, 1280), (1280, 800), (360, 640)])
def test_long_words_stay_on_the_screen(
    browser: Browser, web: WebServer, kiosk: Kiosk, worker: StandInWorker,
    viewport: tuple[int, int],
) -> None:  # fmt: skip
    context = browser.new_context(viewport={"width": viewport[0], "height": viewport[1]})
    page = context.new_page()
    worker.answer = asking("LEFT")
    pair(page, web, kiosk)
    shown(page)
    page.evaluate(
        """() => {
            const fill = (id, text) => { document.getElementById(id).textContent = text; };
            fill("prompt-title", "Drehen Sie Ihren Kopf bitte nach rechts");
            fill("prompt-instead",
              "Wenn Sie das nicht können oder möchten: Verwenden Sie Ihre Geheimnummer oder Ihren "
              + "Betriebsausweis (Identifikationsmöglichkeit ohne Gesichtserkennung).");
        }"""
    )
    box = page.locator("#prompt").bounding_box()
    assert box is not None
    assert box["width"] <= viewport[0]
    assert box["height"] <= 0.6 * viewport[1]
    assert page.evaluate(
        """() => [...document.querySelectorAll("#prompt, #prompt p")]
            .every((part) => part.scrollWidth <= part.clientWidth + 1)"""
    )
    context.close()
